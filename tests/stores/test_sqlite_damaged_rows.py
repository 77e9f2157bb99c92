"""Rows that somebody edited by hand into what cannot be read."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from store_material import NOW, add, memory

from headroom.errors import StorageError
from headroom.memory import MemoryFilter
from headroom.memory.stores.sqlite import SqliteStore


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE memories SET entities = '[broken' WHERE content = 'One'",
        "UPDATE memories SET entities = '5' WHERE content = 'One'",
        "UPDATE memories SET metadata = '{broken' WHERE content = 'One'",
        "UPDATE memories SET category = 'hobby' WHERE content = 'One'",
        "UPDATE memories SET created_at = 'yesterday' WHERE content = 'One'",
        "UPDATE memories SET valid_until = 1 << 62 WHERE content = 'One'",
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_can_be_removed(
    db_path: Path, open_file: Callable[..., SqliteStore], edit: str
) -> None:
    store = open_file()
    one, two = add(store, memory("One"), memory("Two"))
    with closing(sqlite3.connect(db_path)) as connection:
        connection.execute(edit)
        connection.commit()

    for read in (
        lambda: store.get(one.id),
        lambda: store.query(MemoryFilter(user_id="alice"), NOW),
        lambda: list(store.dump()),
    ):
        with pytest.raises(StorageError, match=f"the memory '{one.id}' cannot be read .* delete it"):
            read()

    assert store.get(two.id) == two
    assert store.delete([one.id]) == 1
    assert store.query(MemoryFilter(user_id="alice"), NOW) == [two]
