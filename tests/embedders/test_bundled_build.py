"""The model that ships is what the build script makes of the official weights."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from reference_vectors import Reference

from headroom.memory.embedders import bundled

pytest.importorskip("onnx", reason="building the model needs onnx")
pytest.importorskip("safetensors", reason="building the model needs safetensors")

SCRIPT = Path(__file__).parents[2] / ".ci" / "build_model.py"


def test_a_rebuilt_model_gives_the_same_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Reference
) -> None:
    subprocess.run([sys.executable, SCRIPT, "--into", tmp_path], check=True, capture_output=True, timeout=120)
    assert (tmp_path / "tokenizer.json").read_bytes() == (bundled.MODEL / "tokenizer.json").read_bytes()
    monkeypatch.setattr(bundled, "MODEL", tmp_path)
    rebuilt = np.array(bundled.BundledEmbedder().embed(reference.sentences))
    # Not the same bytes: another release of onnx may write the same graph in another way.
    assert (rebuilt * reference.bundled).sum(axis=1).min() > 0.9999
