"""What ships is what was built, from the official weights, and says so."""

import hashlib

import onnxruntime

from headroom.memory.embedders import bundled


def test_files_have_the_recorded_sums() -> None:
    lines = (bundled.MODEL / "SHA256SUMS").read_text().splitlines()
    recorded = {name: digest for digest, name in (line.split() for line in lines)}
    assert recorded.keys() == {"model.onnx", "tokenizer.json"}
    for name, digest in recorded.items():
        assert hashlib.sha256((bundled.MODEL / name).read_bytes()).hexdigest() == digest


def test_the_tokenizer_is_the_official_one() -> None:
    official = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
    assert hashlib.sha256((bundled.MODEL / "tokenizer.json").read_bytes()).hexdigest() == official
    assert official in (bundled.MODEL / "PROVENANCE.md").read_text()


def test_licence_and_provenance_lie_beside_the_model() -> None:
    assert "Apache License" in (bundled.MODEL / "LICENSE").read_text()
    provenance = (bundled.MODEL / "PROVENANCE.md").read_text()
    assert bundled.NAME in provenance
    assert "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db" in provenance


def test_the_graph_takes_one_text_and_gives_one_vector() -> None:
    session = onnxruntime.InferenceSession(bundled.MODEL / "model.onnx", providers=["CPUExecutionProvider"])
    assert [(node.name, node.shape, node.type) for node in session.get_inputs()] == [
        ("input_ids", ["tokens"], "tensor(int64)")
    ]
    assert [(node.name, node.shape, node.type) for node in session.get_outputs()] == [
        ("embedding", [384], "tensor(float)")
    ]
