"""The pool of connections: whatever happens to one, the next one works."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from store_material import NOW, add, memory, recalled

from headroom.memory import MemoryFilter
from headroom.memory.stores.sqlite import SqliteStore, connections, schema

Open = Callable[..., SqliteStore]


def test_many_may_be_lent_and_few_are_kept(open_file: Open) -> None:
    store = open_file()
    add(store, memory("One"))

    with ExitStack() as lent:
        several = [lent.enter_context(store._pool.connection()) for _ in range(20)]
        assert len(set(map(id, several))) == 20

    assert len(store._pool._idle) == 8
    assert recalled(store) == ["One"]


def test_a_transaction_that_somebody_left_open_is_undone(open_file: Open) -> None:
    store = open_file()
    add(store, memory("One"))

    with store._pool.connection() as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM memories")

    assert recalled(store) == ["One"]
    add(store, memory("Two"))


def test_a_connection_that_cannot_be_opened_is_not_counted_as_lent(
    open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_file()

    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    with store._pool.connection(), monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", refuse)
        with pytest.raises(Exception, match="unable to open"):
            add(store, memory("One"))

    assert store._pool._busy == 0
    add(store, memory("One"))


def test_an_interrupted_write_is_undone_and_blocks_nobody(open_file: Open) -> None:
    store = open_file()

    def interrupted() -> None:
        with store._pool.writing() as connection:
            connection.execute("UPDATE state SET revision = 99")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    with store._pool.connection() as connection:
        assert connection.execute("SELECT revision FROM state").fetchone() == (0,)
    add(store, memory("One"))


def test_a_fork_waits_for_what_is_lent_but_not_for_ever(
    open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_file()
    pool = store._pool
    add(store, memory("One"))
    order: list[str] = []
    lent, returned = threading.Event(), threading.Event()

    def work() -> None:
        with pool.connection():
            lent.set()
            returned.wait()
            order.append("returned")

    thread = threading.Thread(target=work)
    thread.start()
    lent.wait()
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.02)
    pool.before_fork()
    order.append("gave up")
    pool.after_fork_in_parent()
    monkeypatch.setattr(connections, "BUSY_SECONDS", 30)
    returned.set()
    pool.before_fork()
    order.append("forked")
    pool.after_fork_in_parent()
    thread.join()

    assert order == ["gave up", "returned", "forked"]
    assert store.count(MemoryFilter(user_id="alice"), NOW) == 1


class Refusing(sqlite3.Connection):
    """Refuses the write-ahead log as SQLite does where two processes turn it on at the same moment."""

    refusals = 2

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if "journal_mode" in sql and self.refusals:
            self.refusals -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return super().execute(sql, *arguments)


def test_the_write_ahead_log_is_asked_for_again_where_it_is_refused_at_once(db_path: Path) -> None:
    connection = sqlite3.connect(db_path, isolation_level=None, factory=Refusing)

    schema.prepare(connection, str(db_path), timeout=10)

    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
    connection.close()


def test_it_is_not_asked_for_for_ever(db_path: Path) -> None:
    connection = sqlite3.connect(db_path, isolation_level=None, factory=Refusing)

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        schema.prepare(connection, str(db_path), timeout=0)

    connection.close()
