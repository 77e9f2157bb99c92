"""The file: private, ours, and left alone where it is not."""

import gc
import os
import sqlite3
import stat
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from store_material import (
    NOW,
    SECOND,
    add,
    memory,
    open_sqlite,
    recalled,
    request,
    successor,
    supersede,
    vector_of,
)

from headroom.errors import ClosedError, SchemaVersionError, StorageError
from headroom.memory import MemoryFilter, Scope, patience
from headroom.memory.stores.sqlite import SqliteStore, connections, rows, schema

Open = Callable[..., SqliteStore]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_its_owner_may_read_it(db_path: Path, open_file: Open) -> None:
    before = os.umask(0)
    try:
        add(open_file(), memory("Private"))
    finally:
        os.umask(before)

    files = sorted(path.name for path in db_path.parent.iterdir())
    assert files == ["memory.db", "memory.db-shm", "memory.db-wal"]
    assert {mode(path) for path in db_path.parent.iterdir()} == {0o600}


def test_the_mode_of_a_file_that_was_there_is_the_owners_business(db_path: Path, open_file: Open) -> None:
    db_path.touch(mode=0o640)
    db_path.chmod(0o640)

    add(open_file(), memory("Shared with the group"))

    assert mode(db_path) == 0o640


def test_a_closed_store_is_one_file_that_can_be_copied(db_path: Path, tmp_path: Path) -> None:
    store = open_sqlite(db_path)
    add(store, memory("One"))
    store.close()

    assert [path.name for path in tmp_path.iterdir()] == ["memory.db"]
    copy = tmp_path / "copy.db"
    copy.write_bytes(db_path.read_bytes())
    store = open_sqlite(copy)
    assert recalled(store) == ["One"]
    store.close()


@pytest.mark.parametrize("name", ["a b.db", "what?.db", "50%.db", "#1.db", "file:x.db", "ünï.db", "'; --.db"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    store = open_sqlite(tmp_path / name)
    add(store, memory("One"))
    store.close()

    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_relative_path_means_the_same_file_after_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    store = open_sqlite("memory.db")
    monkeypatch.chdir(elsewhere)
    with store._pool.connection():  # while this one is in use, another has to be opened
        add(store, memory("One"))
    store.close()

    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "no SQLite database"),
        (b"Dear diary, today I wrote a lot.\n" * 1000, "no SQLite database"),
        (b"SQLite format 3\0" + b"\xff" * 5000, "SQLite"),
    ],
)
def test_a_file_that_is_no_database_is_left_alone(db_path: Path, content: bytes, message: str) -> None:
    db_path.write_bytes(content)

    with pytest.raises(StorageError, match=message):
        open_sqlite(db_path)

    assert db_path.read_bytes() == content
    assert [path.name for path in db_path.parent.iterdir()] == ["memory.db"]


@pytest.mark.parametrize(
    "foreign",
    ["CREATE TABLE users (name)", "PRAGMA user_version = 1", "PRAGMA application_id = 252006674"],
)
def test_a_database_of_another_application_is_left_alone(db_path: Path, foreign: str) -> None:
    connection = sqlite3.connect(db_path)
    connection.execute(foreign)
    connection.close()
    content = db_path.read_bytes()

    with pytest.raises(StorageError, match="another application"):
        open_sqlite(db_path)

    assert db_path.read_bytes() == content


def test_a_database_of_a_newer_version_is_left_alone(db_path: Path) -> None:
    open_sqlite(db_path).close()
    connection = sqlite3.connect(db_path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    content = db_path.read_bytes()

    with pytest.raises(SchemaVersionError, match=r"version 99.*upgrade headroom-memory"):
        open_sqlite(db_path)

    assert db_path.read_bytes() == content


def test_what_cannot_be_opened_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="directory does not exist"):
        open_sqlite(tmp_path / "missing" / "memory.db")
    with pytest.raises(StorageError, match=r"cannot be opened for writing \(Is a directory\); name a file"):
        open_sqlite(tmp_path)
    with pytest.raises(StorageError, match="file of its own"):
        open_sqlite(":memory:")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (os.ST_RDONLY, r"\(Read-only file system\); copy it"),
        (0, r"\(Permission denied\); make the file and its directory writable"),
    ],
)
def test_what_cannot_be_written_is_an_error_that_says_why(
    db_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, message: str
) -> None:
    open_sqlite(db_path).close()
    # As the system answers, except to root, who may write everything.
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=flags))

    with pytest.raises(StorageError, match=message):
        open_sqlite(db_path)


def test_an_empty_file_becomes_a_database(db_path: Path, open_file: Open) -> None:
    db_path.touch()

    add(open_file(), memory("One"))

    assert recalled(open_file()) == ["One"]


def migrate(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE memories ADD COLUMN mood TEXT")


def break_down(connection: sqlite3.Connection) -> None:
    migrate(connection)
    connection.execute("DELETE FROM users")
    raise ZeroDivisionError


def test_an_older_database_becomes_a_current_one(db_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_sqlite(db_path)
    add(store, memory("From before"))
    store.close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, migrate))

    for _ in range(2):
        store = open_sqlite(db_path)
        assert recalled(store) == ["From before"]
        with store._pool.connection() as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
            assert connection.execute("SELECT mood FROM memories").fetchall() == [(None,)]
        store.close()


def test_what_version_1_stored_is_told_from_its_copies(db_path: Path) -> None:
    store = open_sqlite(db_path)
    add(store, memory("Likes tea"), memory("The user likes tea", session_id="s"), memory("Likes rum"))
    store.close()
    with closing(sqlite3.connect(db_path)) as connection:
        connection.execute("ALTER TABLE memories DROP COLUMN wording")
        connection.execute("PRAGMA user_version = 1")

    store = open_sqlite(db_path)
    found = store.candidates(request("tea", Scope("alice", "s"))).evidence.wordings.tolist()
    store.close()

    assert len(found) == 3
    assert len(set(found)) == 2
    assert 0 not in found


def test_what_version_2_took_for_copies_is_told_apart(db_path: Path) -> None:
    store = open_sqlite(db_path)
    add(store, memory("Budget is $500"), memory("Budget is €500"))
    store.close()
    with closing(sqlite3.connect(db_path)) as connection:
        connection.execute("UPDATE memories SET wording = 7")
        connection.execute("PRAGMA user_version = 2")
        connection.commit()

    store = open_sqlite(db_path)
    found = store.candidates(request("budget")).evidence.wordings.tolist()
    store.close()

    assert len(set(found)) == 2


def test_what_version_1_stored_is_noted_as_changed_only_when_it_is(db_path: Path) -> None:
    store = open_sqlite(db_path)
    tea, _ = add(store, memory("Likes tea"), memory("Likes rum"))
    store.close()
    with closing(sqlite3.connect(db_path)) as connection:
        connection.execute("ALTER TABLE memories DROP COLUMN wording")
        connection.execute("PRAGMA user_version = 1")

    store = open_sqlite(db_path)
    with store._pool.connection() as connection:
        assert connection.execute("SELECT * FROM changes").fetchall() == []
    supersede(store, tea, successor(tea, "Likes coffee"))
    with store._pool.connection() as connection:
        assert len(connection.execute("SELECT * FROM changes").fetchall()) == 1
    store.close()


def test_a_migration_that_fails_changes_nothing(db_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_sqlite(db_path)
    add(store, memory("From before"))
    store.close()

    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, break_down))
        with pytest.raises(ZeroDivisionError):
            open_sqlite(db_path)

    store = open_sqlite(db_path)
    assert recalled(store) == ["From before"]
    store.close()


def test_many_threads_may_begin_a_file_at_once(db_path: Path) -> None:
    stores: list[SqliteStore] = []
    barrier = threading.Barrier(8)

    def begin() -> None:
        barrier.wait()
        stores.append(open_sqlite(db_path))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(stores) == 8
    add(stores[0], memory("One"))
    assert [recalled(store) for store in stores] == [["One"]] * 8
    for store in stores:
        store.close()


def test_who_opens_a_file_while_another_begins_it_waits(db_path: Path) -> None:
    other = sqlite3.connect(db_path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.1, other.execute, ["COMMIT"])
    timer.start()

    store = open_sqlite(db_path)

    add(store, memory("One"))
    store.close()
    timer.join()
    other.close()


def test_who_waits_too_long_for_another_to_begin_gives_up(
    db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.05)
    other = sqlite3.connect(db_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StorageError, match="another process has been writing to it for too long"):
        open_sqlite(db_path)

    other.close()


def test_after_who_was_in_a_hurry_others_wait_as_long_as_ever(db_path: Path, open_file: Open) -> None:
    store = open_file()
    other = sqlite3.connect(db_path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with patience.lasting(0), pytest.raises(StorageError, match="another process"):
        add(store, memory("One"))
    timer = threading.Timer(0.5, other.rollback)
    timer.start()

    add(store, memory("Two"))

    timer.join()
    other.close()
    assert recalled(store) == ["Two"]


def test_a_store_that_is_dropped_unclosed_says_so_and_closes(db_path: Path) -> None:
    stores = [open_sqlite(db_path)]
    add(stores[0], memory("One"))

    with pytest.warns(ResourceWarning, match="unclosed memory"):
        stores.clear()

    assert [path.name for path in db_path.parent.iterdir()] == ["memory.db"]


def test_a_store_that_could_not_be_opened_leaves_nothing_open(db_path: Path) -> None:
    db_path.write_bytes(b"hello")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(StorageError):
            open_sqlite(db_path)
        gc.collect()


def test_closing_waits_for_nobody_but_stops_everybody_after(open_file: Open) -> None:
    store = open_file()
    add(store, memory("One"))

    with store._pool.reading() as connection:
        store.close()
        assert connection.execute("SELECT count(*) FROM memories").fetchone() == (1,)

    with pytest.raises(ClosedError):
        recalled(store)


def test_whoever_writes_too_long_is_an_error_for_the_others(
    db_path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.05)
    store = open_file()
    old = add(store, memory("One"))[0]
    other = sqlite3.connect(db_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StorageError, match="another process has been writing to it for too long"):
        supersede(store, old, successor(old, "Two"))
    assert recalled(store) == ["One"]

    other.execute("ROLLBACK")
    other.close()
    supersede(store, old, successor(old, "Two"))
    with store._pool.writing(), pytest.raises(StorageError, match="another thread"):
        add(store, memory("Three"))
    assert [each.content for each in store.history(old.id)] == ["One", "Two"]


def test_vacuum_keeps_no_writer_waiting_for_whoever_reads(db_path: Path, open_file: Open) -> None:
    store, log = open_file(), Path(f"{db_path}-wal")
    add(store, memory("One"))
    reader = sqlite3.connect(db_path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM memories").fetchone()
    add(store, memory("Two"))
    began = time.monotonic()

    store.vacuum(NOW)

    assert time.monotonic() - began < connections.BUSY_SECONDS / 6
    assert log.stat().st_size > 0
    reader.close()
    store.vacuum(NOW)
    assert log.stat().st_size == 0


def test_the_size_of_a_file_behind_a_link_is_that_of_the_file(
    db_path: Path, tmp_path: Path, open_file: Open
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    db_path.symlink_to(elsewhere / "real.db")
    store = open_file()
    add(store, memory("One"))

    files = (elsewhere / name for name in ("real.db", "real.db-wal"))
    assert store.size() == sum(file.stat().st_size for file in files)


def set_on_its_connection(store: SqliteStore, pragma: str) -> None:
    """Change the connection that is lent next, for it was used last."""
    with store._pool.connection() as connection:
        connection.execute(f"PRAGMA {pragma}")


def test_a_full_disk_leaves_everything_as_it_was(open_file: Open) -> None:
    store = open_file()
    old = add(store, memory("One"), *(memory(f"Filler {number}") for number in range(20)))[0]
    everything = list(store.dump())
    set_on_its_connection(store, "max_page_count = 1")

    with pytest.raises(StorageError, match="disk is full, and nothing was stored; free some space"):
        add(store, *(memory(f"{number} " + "x" * 5_000) for number in range(10)))
    with pytest.raises(StorageError, match="disk is full"):
        supersede(store, old, successor(old, "x" * 50_000))

    assert list(store.dump()) == everything
    assert store.delete([old.id]) == 1
    assert store.count(MemoryFilter(user_id="alice"), NOW) == 20
    set_on_its_connection(store, "max_page_count = 1000000")
    add(store, memory("y" * 50_000, at=NOW + SECOND))


def test_a_file_that_cannot_be_written_can_still_be_read(open_file: Open) -> None:
    store = open_file()
    add(store, memory("One"))
    set_on_its_connection(store, "query_only = ON")

    with pytest.raises(StorageError, match="make the file and its directory writable"):
        add(store, memory("Two"))

    assert recalled(store) == ["One"]


def test_a_damaged_file_is_an_error_that_says_so(db_path: Path) -> None:
    store = open_sqlite(db_path)
    add(store, *(memory(f"Number {number}") for number in range(500)))
    store.close()
    content = bytearray(db_path.read_bytes())
    content[4096 * 4 :] = b"\xa5" * (len(content) - 4096 * 4)
    db_path.write_bytes(content)

    with pytest.raises(StorageError, match=r"damaged; restore it from a backup|no SQLite"):  # noqa: PT012
        store = open_sqlite(db_path)
        try:
            recalled(store)
        finally:
            store.close()


def test_texts_that_differ_are_two_memories_even_where_their_fingerprints_are_equal(open_file: Open) -> None:
    store = open_file()
    one, two = memory("One"), memory("Two")
    add(store, one)
    with store._pool.connection() as connection:
        connection.execute("UPDATE memories SET fingerprint = ?", (rows.fingerprint(two),))

    assert add(store, two) == [two]
    assert recalled(store) == ["One", "Two"]


def test_missing_vectors_are_damage(open_file: Open) -> None:
    store = open_file()
    add(store, memory("One"), memory("Two"))
    with store._pool.connection() as connection:
        connection.execute("DELETE FROM embeddings WHERE key = (SELECT min(key) FROM memories)")

    with pytest.raises(StorageError, match="vectors are missing"):
        recalled(store)

    two = store.query(MemoryFilter(user_id="alice"), NOW)[1]
    with store._pool.connection() as connection:
        connection.execute(
            "INSERT INTO embeddings SELECT min(key), ? FROM memories", (vector_of("One").tobytes(),)
        )
    assert two.content == "Two"
    assert recalled(store) == ["One", "Two"]
