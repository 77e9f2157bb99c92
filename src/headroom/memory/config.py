"""How a memory is set up: where it lies, what embeds it, and its limits."""

import math
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from os import PathLike, fspath
from typing import Final

from headroom.errors import ConfigurationError
from headroom.memory.embedder import Embedder

BUNDLED_MODEL: Final = "all-MiniLM-L6-v2"
"""The model that ships with the package."""
BUNDLED_DIMENSION: Final = 384


class EmbedderBackend(StrEnum):
    """What turns texts into vectors."""

    LOCAL = "local"
    """In this process: the bundled all-MiniLM-L6-v2, or any sentence-transformers model by name or path."""
    OPENAI = "openai"
    """The OpenAI embeddings API, or a server that speaks it."""
    OLLAMA = "ollama"
    """A local Ollama server."""


class Durability(StrEnum):
    """What survives a power cut (a crash of the process loses nothing either way)."""

    FULL = "full"
    """Whatever was acknowledged: the disk is synchronised at each write."""
    NORMAL = "normal"
    """All but the last moments: four times faster writes."""


_CENTURY: Final = timedelta(days=36_525)

_USUAL_MODELS: Final = {
    EmbedderBackend.LOCAL: BUNDLED_MODEL,
    EmbedderBackend.OPENAI: "text-embedding-3-small",
    EmbedderBackend.OLLAMA: "nomic-embed-text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryConfig:
    """The settings of one memory; immutable and checked when it is made.

    Raises:
        ConfigurationError: a field that is out of range, or of the wrong kind; the message names it.
    """

    db_path: str | PathLike[str] = "memory.db"
    """The SQLite file; made, readable by its owner only, where it does not exist."""
    durability: Durability = Durability.FULL
    """What survives a power cut."""

    embedder_backend: EmbedderBackend = EmbedderBackend.LOCAL
    """What turns texts into vectors."""
    embedder_model: str | None = None
    """None becomes the backend's usual model: all-MiniLM-L6-v2, text-embedding-3-small, nomic-embed-text."""
    embedder: Embedder | None = None
    """An embedder of your own (see `headroom.memory.Embedder`); it takes precedence over the backend."""
    vector_dimension: int | None = None
    """The length of its vectors. None becomes 384 for the bundled model; others give what they give."""
    openai_api_key: str | None = field(default=None, repr=False)
    """None takes OPENAI_API_KEY from the environment."""
    openai_base_url: str | None = None
    """None takes OPENAI_BASE_URL from the environment, or OpenAI's own address."""
    ollama_base_url: str = "http://localhost:11434"
    """Where the Ollama server is."""
    embedder_timeout: float = 30.0
    """Seconds that one request to an embedding service may take."""
    max_pending: int = 1024
    """How many requests may wait to embed, or to search, before further ones fail with OverloadedError."""

    hnsw_ef_construction: int = 200
    """How thoroughly HNSW is built: more misses less and takes longer."""
    hnsw_m: int = 16
    """How many neighbours HNSW links each vector to: more misses less and takes more RAM."""
    hnsw_ef_search: int = 50
    """How thoroughly HNSW is searched: more misses less and takes longer."""
    index_threshold: int = 20_000
    """From how many memories of one user on HNSW replaces exact search (with the extra `hnsw`).

    At 10,000 both take as long; at 20,000 it saves a fifth of a recall, at 100,000 half (see the benchmarks).
    """

    cache_enabled: bool = True
    """Whether the vectors of recent queries are kept."""
    cache_max_size: int = 1000
    """How many of them."""
    partition_cache_bytes: int = 256 * 1024 * 1024
    """How much RAM the read models of active users may take together."""

    top_k: int = 10
    """How many memories a search returns, and at most how many are injected."""
    min_score: float = 0.0
    """Below this score a search returns nothing; what is injected has a threshold of its own."""
    injection_min_score: float = 0.32
    """Below this score nothing is injected (why this one: `headroom.memory.ranking.relevance`)."""
    injection_token_budget: int = 500
    """How many tokens of memories one request may be given."""
    max_content_length: int = 8_000
    """The longest content of one memory, in characters."""
    session_lifetime: timedelta | None = None
    """How long a memory that names a session lives where nothing else was said; None means for ever."""
    strict: bool = False
    """Whether a failure of the memory reaches the caller of a wrapped client; it is only logged otherwise."""

    def __post_init__(self) -> None:
        self._check("db_path", isinstance(self.db_path, str | PathLike), "a path")
        object.__setattr__(self, "db_path", fspath(self.db_path))
        for name, kind in (("durability", Durability), ("embedder_backend", EmbedderBackend)):
            try:
                object.__setattr__(self, name, kind(getattr(self, name)))
            except ValueError as error:
                known = ", ".join(kind)
                raise ConfigurationError(f"{name} must be one of: {known}") from error
        if self.embedder_model is not None:
            named = isinstance(self.embedder_model, str) and bool(self.embedder_model.strip())
            self._check("embedder_model", named, "the name of a model")
        if self.embedder is None:
            if self.embedder_model is None:
                object.__setattr__(self, "embedder_model", _USUAL_MODELS[self.embedder_backend])
            if self.uses_bundled_model and self.vector_dimension is None:
                object.__setattr__(self, "vector_dimension", BUNDLED_DIMENSION)
        for name in (
            "hnsw_ef_construction",
            "hnsw_ef_search",
            "index_threshold",
            "cache_max_size",
            "partition_cache_bytes",
            "top_k",
            "injection_token_budget",
            "max_content_length",
            "max_pending",
        ):
            self._check_whole(name, 1)
        self._check_whole("hnsw_m", 2)  # with 1, hnswlib divides by the logarithm of 1
        if self.vector_dimension is not None:
            self._check_whole("vector_dimension", 1)
        seconds = self.embedder_timeout
        bounded = _is_number(seconds) and 0 < seconds < math.inf
        self._check("embedder_timeout", bounded, "a finite number of seconds, more than 0")
        lifetime = self.session_lifetime
        bounded = lifetime is None or (isinstance(lifetime, timedelta) and timedelta() < lifetime <= _CENTURY)
        self._check("session_lifetime", bounded, "a timedelta, more than 0 and up to a century")
        for name in ("min_score", "injection_min_score"):
            score = getattr(self, name)
            self._check(name, _is_number(score) and 0 <= score <= 1, "a number from 0 to 1")

    @property
    def uses_bundled_model(self) -> bool:
        """Whether the embedder is the model that ships with the package."""
        return (
            self.embedder is None
            and self.embedder_backend is EmbedderBackend.LOCAL
            and self.embedder_model == BUNDLED_MODEL
        )

    def _check_whole(self, name: str, least: int) -> None:
        value = getattr(self, name)
        self._check(name, type(value) is int and value >= least, f"a whole number of at least {least}")

    def _check(self, name: str, valid: bool, wanted: str) -> None:  # noqa: FBT001 - private
        if not valid:
            raise ConfigurationError(f"{name} must be {wanted}, but is {getattr(self, name)!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
