"""An engine per test. Where meaning does not matter it embeds with the test's own embedder, which is fast."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from word_embedder import WordEmbedder

from headroom.memory import Engine, MemoryConfig


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
