"""From a configuration to the embedder that it names."""

from typing import Any

from headroom.errors import ConfigurationError
from headroom.memory.config import BUNDLED_DIMENSION, EmbedderBackend, MemoryConfig
from headroom.memory.embedder import Embedder
from headroom.memory.embedders.base import Backend
from headroom.memory.embedders.bundled import BundledEmbedder
from headroom.memory.embedders.embeddings import Embeddings
from headroom.memory.embedders.ollama import OllamaEmbedder
from headroom.memory.embedders.openai import OpenAIEmbedder
from headroom.memory.embedders.sentence_transformers import SentenceTransformersEmbedder


def create_embedder(config: MemoryConfig) -> Embeddings:
    """The embedder that `config` names, safe to call from any number of threads. No model is loaded yet.

    Raises:
        ConfigurationError: It lacks something, or its dimension is not `vector_dimension`.
        MissingDependencyError: Its package is not installed.
        EmbedderUnavailableError: Its directory does not exist.
    """
    return Embeddings(
        _backend(config) if config.embedder is None else _checked(config.embedder, config.vector_dimension),
        max_pending=config.max_pending,
        cached_queries=config.cache_max_size if config.cache_enabled else 0,
    )


def _backend(config: MemoryConfig) -> Backend[Any]:
    if config.uses_bundled_model:
        _check_dimension("the bundled model", BUNDLED_DIMENSION, config.vector_dimension)
        return BundledEmbedder()
    model, dimension, timeout = str(config.embedder_model), config.vector_dimension, config.embedder_timeout
    match config.embedder_backend:
        case EmbedderBackend.LOCAL:
            return SentenceTransformersEmbedder(model, dimension)
        case EmbedderBackend.OPENAI:
            return OpenAIEmbedder(
                model,
                api_key=config.openai_api_key,
                base_url=config.openai_base_url,
                dimension=dimension,
                timeout=timeout,
            )
        case EmbedderBackend.OLLAMA:
            return OllamaEmbedder(
                model, base_url=config.ollama_base_url, dimension=dimension, timeout=timeout
            )


def _checked(embedder: Embedder, vector_dimension: int | None) -> Embedder:
    name, dimension = getattr(embedder, "name", None), getattr(embedder, "dimension", None)
    if not (isinstance(name, str) and name):
        raise ConfigurationError("the embedder needs a `name`, the identity of its model, as a text")
    if not isinstance(dimension, int) or dimension < 1:
        raise ConfigurationError(
            f"the embedder {name} needs a `dimension`, how many numbers its vectors have"
        )
    if not callable(getattr(embedder, "embed", None)):
        raise ConfigurationError(
            f"the embedder {name} needs a method `embed(texts)`, one vector for each text"
        )
    _check_dimension(name, dimension, vector_dimension)
    return embedder


def _check_dimension(name: str, dimension: int, wanted: int | None) -> None:
    if wanted not in (None, dimension):
        raise ConfigurationError(
            f"{name} gives vectors of {dimension} numbers, but vector_dimension is {wanted}; leave it out"
        )
