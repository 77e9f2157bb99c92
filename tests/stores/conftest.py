"""Stores of every kind: a test that asks for `store` or `open_store` says what any of them must do."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from store_material import open_sqlite

from headroom.memory import Durability
from headroom.memory.stores.base import MemoryStore
from headroom.memory.stores.sqlite import SqliteStore

KINDS: dict[str, Callable[..., MemoryStore]] = {"sqlite": open_sqlite}


@pytest.fixture
def db_path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@pytest.fixture(params=KINDS)
def open_store(request: pytest.FixtureRequest, db_path: Path) -> Iterator[Callable[..., MemoryStore]]:
    """Opens a further store object on the same memories; closed with the test."""
    opened: list[MemoryStore] = []

    def open_one(embedder_name: str = "words") -> MemoryStore:
        opened.append(KINDS[request.param](db_path, embedder_name, durability=Durability.NORMAL))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., MemoryStore]) -> MemoryStore:
    return open_store()


@pytest.fixture
def open_file(db_path: Path) -> Iterator[Callable[..., SqliteStore]]:
    """Opens a further SQLite store on the same file, with settings; closed with the test."""
    opened: list[SqliteStore] = []

    def open_one(embedder_name: str = "words", **settings: Any) -> SqliteStore:
        opened.append(open_sqlite(db_path, embedder_name, **settings))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()
