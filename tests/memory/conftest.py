"""An engine per test. Where meaning does not matter it embeds with the test's own embedder, which is fast."""

from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from headroom.memory import Engine, MemoryConfig


class WordEmbedder:
    """Texts that share words are close: each word is a random direction of its own."""

    def __init__(self, name: str = "words", dimension: int = 64) -> None:
        self.name = name
        self.dimension = dimension

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        return np.array([self._vector(text) for text in texts], dtype=np.float32).reshape(-1, self.dimension)

    def _vector(self, text: str) -> NDArray[np.float64]:
        words = text.lower().split() or [""]
        directions = [
            np.random.default_rng(crc32(f"{self.name} {word}".encode("utf-8", "replace"))).normal(
                size=self.dimension
            )
            for word in words
        ]
        vector: NDArray[np.float64] = np.sum(directions, axis=0)
        return vector / np.linalg.norm(vector)


@pytest.fixture
def db_path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@pytest.fixture
def config(db_path: Path) -> MemoryConfig:
    return MemoryConfig(db_path=db_path, embedder=WordEmbedder())


@pytest.fixture
def engine(config: MemoryConfig) -> Iterator[Engine]:
    with Engine(config) as engine:
        yield engine


@pytest.fixture
def open_engine(db_path: Path) -> Iterator[Callable[..., Engine]]:
    """Open a further engine on the same file; it is closed with the test."""
    opened: list[Engine] = []

    def open_one(**settings: object) -> Engine:
        given = {"db_path": db_path, "embedder": WordEmbedder()} | settings
        opened.append(Engine(MemoryConfig(**given)))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for engine in opened:
        engine.close()
