"""What a user had removed leaves no trace in any file, once the housekeeping is done."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from store_material import DAY, NOW, add, memory, recalled, successor, supersede, vector_of

from headroom.memory.stores.sqlite import SqliteStore

SECRET = "Xylographer"
USER = "zaphod-the-user"
SESSION = "quincunx-session"


@pytest.fixture
def store(open_file: Callable[..., SqliteStore]) -> SqliteStore:
    """Memories of which some are to be forgotten, among many others; read, and written to the disk."""
    store = open_file()
    add(store, *(memory(f"Other {number}", "bob", session_id="s") for number in range(300)))
    old = memory(f"{SECRET} by trade", USER, session_id=SESSION, entities=(SECRET,), metadata={"tag": SECRET})
    add(store, old)
    supersede(store, old, successor(old, f"Former {SECRET}", expires_at=NOW + DAY))
    add(store, *(memory(f"Another {number}", "bob") for number in range(300)))
    recalled(store, scope=USER)
    return store


def traces(db_path: Path) -> list[tuple[str, bytes]]:
    """Which secrets are in which files beside and below the database."""
    secrets = [word.encode() for word in (SECRET, SECRET.lower(), "xylograph", USER, SESSION)]
    secrets += [vector_of(text).tobytes() for text in (f"{SECRET} by trade", f"Former {SECRET}")]
    files = [path for path in db_path.parent.rglob("*") if path.is_file()]
    return [(path.name, secret) for path in files for secret in secrets if secret in path.read_bytes()]


def test_what_is_stored_is_there_to_be_found(store: SqliteStore, db_path: Path) -> None:
    store.vacuum(NOW)

    assert {SECRET.encode(), b"xylograph", USER.encode(), SESSION.encode()} < {
        secret for _, secret in traces(db_path)
    }
    assert vector_of(f"{SECRET} by trade").tobytes() in {secret for _, secret in traces(db_path)}


def test_after_clearing_a_user(store: SqliteStore, db_path: Path) -> None:
    store.clear(USER)
    store.vacuum(NOW)

    assert traces(db_path) == []


def test_after_deleting_a_users_last_memory(store: SqliteStore, db_path: Path) -> None:
    for each in list(store.dump(USER)):
        store.delete([each.id])
    store.vacuum(NOW)

    assert traces(db_path) == []


def test_after_it_expired(store: SqliteStore, db_path: Path) -> None:
    assert store.vacuum(NOW + DAY) == 2

    assert traces(db_path) == []


@pytest.mark.usefixtures("store")
def test_after_embedding_anew_the_old_vectors_are_gone(
    db_path: Path, open_file: Callable[..., SqliteStore]
) -> None:
    new = open_file("new")
    while batch := new.unembedded(8, 100):
        new.reembed([key for key, _ in batch], np.eye(8, dtype=np.float32)[np.arange(len(batch)) % 8])
    new.vacuum(NOW)

    assert {secret for _, secret in traces(db_path)}.isdisjoint(
        {vector_of(f"{SECRET} by trade").tobytes(), vector_of(f"Former {SECRET}").tobytes()}
    )


def test_the_space_is_given_back(store: SqliteStore) -> None:
    add(store, *(memory(f"{number} " + "x" * 3_000, "carol") for number in range(300)))
    full = store.size()
    store.clear("carol")

    store.vacuum(NOW)

    assert store.size() < full - 300 * 3_000
    assert len(recalled(store, "Other", "bob")) > 0


def test_vacuum_where_there_is_nothing_to_do_writes_next_to_nothing(store: SqliteStore) -> None:
    store.vacuum(NOW)
    with store._pool.connection() as connection:
        (before,) = connection.execute("SELECT revision FROM state").fetchone()

    store.vacuum(NOW)

    with store._pool.connection() as connection:
        assert connection.execute("SELECT revision FROM state").fetchone() == (before,)
