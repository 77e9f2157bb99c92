"""The package's public names are a tested list, and importing it loads nothing heavy."""

import subprocess
import sys

import pytest

import headroom

PUBLIC = [
    "ANONYMOUS",
    "Arg",
    "AsyncClientMemory",
    "ClientMemory",
    "Engine",
    "ExchangeTrace",
    "HierarchicalMemory",
    "Memory",
    "MemoryCategory",
    "MemoryConfig",
    "MemoryFilter",
    "Scope",
    "bind",
    "carry",
    "current_memory",
    "current_scope",
    "remember",
    "turn",
    "with_memory",
]
HEAVY = {"torch", "onnxruntime", "openai", "groq", "hnswlib", "numpy", "sentence_transformers", "starlette"}


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_public_names_are_these() -> None:
    assert sorted(headroom.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(headroom))


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_can_be_imported_first(name: str) -> None:
    assert run(f"from headroom import {name}; print({name} is not None)") == "True\n"


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = headroom.nonsense


def test_importing_loads_nothing_heavy() -> None:
    loaded = set(run("import sys, headroom; print(*sys.modules)").split())
    assert loaded.isdisjoint(HEAVY)


def test_wrapping_loads_no_model_and_no_other_sdk() -> None:
    code = "import sys; from headroom import with_memory; print(*sys.modules)"
    assert set(run(code).split()).isdisjoint({"torch", "onnxruntime", "openai", "groq", "hnswlib"})
