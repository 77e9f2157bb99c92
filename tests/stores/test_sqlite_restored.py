"""Another database's content in the file in use, put there by who restores a backup."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from store_material import add, memory, open_sqlite, recalled, request

from headroom.memory import MemoryConfig, recall
from headroom.memory.stores.base import Candidates, RecallRequest
from headroom.memory.stores.sqlite import SqliteStore

Open = Callable[..., SqliteStore]


def restore(backup: Path, db_path: Path) -> None:
    """What `sqlite3 memory.db ".restore backup.db"` does."""
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(db_path)) as target:
        source.backup(target)


@pytest.fixture
def backup(db_path: Path) -> Path:
    """A database with one memory, Carol's."""
    path = db_path.with_name("backup.db")
    with closing(open_sqlite(path)) as store:
        add(store, memory("Carol's", "carol"))
    return path


def test_recalled_is_what_was_restored(db_path: Path, backup: Path, open_file: Open) -> None:
    store = open_file()
    restore(backup, db_path)
    add(store, memory("Alice's"))
    assert recalled(store) == ["Alice's"]

    restore(backup, db_path)

    assert recalled(store) == []
    assert recalled(store, scope="carol") == ["Carol's"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_nobody_recalls_what_others_stored_since(
    db_path: Path, backup: Path, open_file: Open, count: int
) -> None:
    store = open_file()
    restore(backup, db_path)
    add(store, memory("Alice's first"))
    add(store, memory("Alice's second"))
    assert recalled(store) == ["Alice's first", "Alice's second"]

    restore(backup, db_path)
    stored = [f"Bob's {number}" for number in range(count)]
    for content in stored:  # under the number that was Alice's, and the keys of her memories
        add(store, memory(content, "bob"))

    assert recalled(store) == []
    assert recalled(store, scope="bob") == stored


def test_a_recall_that_was_under_way_brings_up_nothing_of_others(db_path: Path, backup: Path) -> None:
    class RestoredMeanwhile(SqliteStore):
        def candidates_of_each(self, requests: Sequence[RecallRequest]) -> list[Candidates]:
            found = super().candidates_of_each(requests)
            restore(backup, db_path)
            return found

    with closing(RestoredMeanwhile(MemoryConfig(db_path=db_path), "words")) as store:
        add(store, memory("Alice's"))

        assert recall.recall(store, [request()], 0.0) == []
