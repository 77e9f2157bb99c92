"""A configuration names an embedder; what cannot work is said before anything is embedded."""

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from headroom.errors import ConfigurationError, EmbedderUnavailableError
from headroom.memory.config import EmbedderBackend, MemoryConfig
from headroom.memory.embedders import create_embedder


def run(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_the_default_is_the_bundled_model() -> None:
    embeddings = create_embedder(MemoryConfig())
    assert (embeddings.name, embeddings.dimension) == ("all-MiniLM-L6-v2-int8", 384)


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        (EmbedderBackend.OPENAI, "openai:text-embedding-3-small"),
        (EmbedderBackend.OLLAMA, "ollama:nomic-embed-text"),
    ],
)
def test_each_backend_has_its_usual_model(backend: EmbedderBackend, name: str) -> None:
    assert create_embedder(MemoryConfig(embedder_backend=backend, openai_api_key="sk-not-real")).name == name


@pytest.mark.parametrize(
    ("model", "dimension"),
    [("text-embedding-3-small", 1536), ("text-embedding-3-large", 3072), ("text-embedding-ada-002", 1536)],
)
def test_the_dimension_of_openais_models_is_known_without_asking(model: str, dimension: int) -> None:
    config = MemoryConfig(
        embedder_backend=EmbedderBackend.OPENAI, embedder_model=model, openai_api_key="sk-not-real"
    )
    assert create_embedder(config).dimension == dimension


def test_openai_without_a_key_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        create_embedder(MemoryConfig(embedder_backend=EmbedderBackend.OPENAI))


def test_the_key_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-real")
    assert create_embedder(MemoryConfig(embedder_backend=EmbedderBackend.OPENAI)).dimension == 1536


def test_the_bundled_model_has_one_dimension_only() -> None:
    with pytest.raises(ConfigurationError, match="384 numbers, but vector_dimension is 1536"):
        create_embedder(MemoryConfig(vector_dimension=1536))


@pytest.mark.parametrize(
    ("package", "setting"),
    [
        ("openai", "embedder_backend='openai', openai_api_key='k'"),
        ("ollama", "embedder_backend='ollama'"),
        ("sentence-transformers", "embedder_model='all-mpnet-base-v2'"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(package: str, setting: str) -> None:
    said = run(f"""
import sys
sys.modules[{package.replace("-", "_")!r}] = None  # as if it were not installed
from headroom.errors import MissingDependencyError
from headroom.memory.config import MemoryConfig
from headroom.memory.embedders import create_embedder
try:
    create_embedder(MemoryConfig({setting}))
except MissingDependencyError as error:
    print(error)
""")
    assert f'pip install "headroom-memory[{package}]"' in said


def test_importing_and_choosing_loads_no_runtime() -> None:
    loaded = run("""
import sys
from headroom.memory.config import MemoryConfig
from headroom.memory.embedders import create_embedder
create_embedder(MemoryConfig())
create_embedder(MemoryConfig(embedder_backend="openai", openai_api_key="k"))
create_embedder(MemoryConfig(embedder_backend="ollama"))
print(sorted({"torch", "onnxruntime", "tokenizers", "openai", "ollama", "httpx"} & set(sys.modules)))
""")
    assert loaded == "[]"


class OwnEmbedder:
    def __init__(self, name: Any = "own", dimension: Any = 3) -> None:
        self.name = name
        self.dimension = dimension
        self.batches: list[list[str]] = []

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        self.batches.append(texts)
        return np.array([[len(text), 1, 0] for text in texts], np.float32)


def test_an_embedder_of_ones_own_is_used() -> None:
    own = OwnEmbedder()
    embeddings = create_embedder(MemoryConfig(embedder=own))
    assert (embeddings.name, embeddings.dimension) == ("own", 3)
    np.testing.assert_allclose(embeddings.embed(["", "a"]), [[0, 1, 0], [0.5**0.5, 0.5**0.5, 0]], rtol=1e-6)
    assert own.batches == [["", "a"]]


def test_ones_own_embedder_gets_no_more_texts_at_once_than_it_says() -> None:
    own = OwnEmbedder()
    own.batch_size = 2  # type: ignore[attr-defined]
    assert create_embedder(MemoryConfig(embedder=own)).embed(["a", "b", "c", "d", "e"]).shape == (5, 3)
    assert own.batches == [["a", "b"], ["c", "d"], ["e"]]


def test_ones_own_embedder_is_not_closed() -> None:
    class Closable(OwnEmbedder):
        def close(self) -> None:
            raise AssertionError

    create_embedder(MemoryConfig(embedder=Closable())).close()


class Nameless:
    dimension = 3

    def embed(self, texts: list[str]) -> None: ...


class Mute:
    name = "mute"
    dimension = 3


@pytest.mark.parametrize(
    ("embedder", "said"),
    [
        (Nameless(), "needs a `name`"),
        (OwnEmbedder(name=""), "needs a `name`"),
        (OwnEmbedder(dimension=None), "own needs a `dimension`"),
        (OwnEmbedder(dimension=0), "own needs a `dimension`"),
        (Mute(), "mute needs a method `embed(texts)`"),
    ],
)
def test_what_is_no_embedder_is_refused(embedder: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        create_embedder(MemoryConfig(embedder=embedder))


def test_ones_own_embedder_must_have_the_configured_dimension() -> None:
    with pytest.raises(ConfigurationError, match="own gives vectors of 3 numbers, but vector_dimension is 4"):
        create_embedder(MemoryConfig(embedder=OwnEmbedder(), vector_dimension=4))


@pytest.mark.parametrize("path", ["/no/such/model", "./no-such-model", "~/no-such-model"])
def test_a_path_to_nothing_is_an_error_and_not_looked_for_on_the_network(path: str) -> None:
    pytest.importorskip("sentence_transformers", reason="the extra sentence-transformers is not installed")
    with pytest.raises(EmbedderUnavailableError, match=f"no directory {path}"):
        create_embedder(MemoryConfig(embedder_model=path))


def test_a_hub_name_is_the_identity_of_its_model() -> None:
    pytest.importorskip("sentence_transformers", reason="the extra sentence-transformers is not installed")
    config = MemoryConfig(embedder_model="BAAI/bge-small-en-v1.5")
    assert create_embedder(config).name == "sentence-transformers:BAAI/bge-small-en-v1.5"
