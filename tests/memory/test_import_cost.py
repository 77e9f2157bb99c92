"""`import headroom` is free of heavy libraries; each comes with its first use."""

import subprocess
import sys

import pytest

HEAVY = ["torch", "onnxruntime", "openai", "groq", "hnswlib", "numpy", "sentence_transformers", "tokenizers"]


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


@pytest.mark.parametrize(
    "statement",
    [
        "import headroom",
        "from headroom.memory import MemoryConfig, MemoryFilter, EmbedderBackend; MemoryConfig()",
    ],
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    assert modules_after(statement).isdisjoint(HEAVY)


def test_opening_a_memory_loads_no_model_yet_and_never_torch() -> None:
    loaded = modules_after(
        "import tempfile, headroom.memory as m\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    with m.Engine(m.MemoryConfig(db_path=folder + '/memory.db')) as engine:\n"
        "        assert engine.count('alice') == 0"
    )

    assert loaded.isdisjoint({"torch", "onnxruntime", "openai", "groq", "sentence_transformers"})


def test_every_public_name_is_there() -> None:
    import headroom.memory  # noqa: PLC0415 - what is tested

    for name in headroom.memory.__all__:
        assert getattr(headroom.memory, name) is not None
    assert set(headroom.memory.__all__) <= set(dir(headroom.memory))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = headroom.memory.nothing
