"""A database whose file is moved, removed or replaced while it is in use."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from store_material import NOW, add, memory, open_sqlite, recalled

from headroom.errors import StorageError
from headroom.memory import MemoryFilter
from headroom.memory.stores.sqlite import SqliteStore

Open = Callable[..., SqliteStore]


def moved(path: Path) -> None:
    path.rename(f"{path}.elsewhere")


def replaced(path: Path) -> None:
    with closing(open_sqlite(f"{path}.other")) as other:
        add(other, memory("Bob's", "bob"))
    Path(f"{path}.other").replace(path)


@pytest.mark.parametrize("happen", [moved, Path.unlink, replaced])
def test_nothing_is_done_with_a_file_that_is_not_the_one_opened(
    db_path: Path, open_file: Open, happen: Callable[[Path], None]
) -> None:
    store = open_file()
    one = add(store, memory("One"))[0]
    assert recalled(store) == ["One"]

    happen(db_path)

    there = sorted(db_path.parent.iterdir())
    for use in (
        lambda: add(store, memory("Lost")),
        lambda: recalled(store),
        lambda: store.query(MemoryFilter(user_id="alice"), NOW),
        lambda: store.delete([one.id]),
        lambda: list(store.dump()),
        store.size,
    ):
        with pytest.raises(
            StorageError, match=r"memory\.db: it was moved, removed or replaced .* open it again"
        ):
            use()
    assert sorted(db_path.parent.iterdir()) == there


def test_a_file_that_was_put_back_is_used_again(db_path: Path, open_file: Open) -> None:
    store = open_file()
    add(store, memory("One"))
    moved(db_path)
    with pytest.raises(StorageError):
        recalled(store)

    Path(f"{db_path}.elsewhere").rename(db_path)

    add(store, memory("Two"))
    assert recalled(store) == ["One", "Two"]


def test_where_the_log_was_removed_its_size_is_not_told_and_nothing_is_lost(
    db_path: Path, open_file: Open
) -> None:
    store = open_file()
    add(store, memory("One"))

    Path(f"{db_path}-wal").unlink()

    with pytest.raises(StorageError, match=r"memory\.db-wal: it was moved or removed .* open it again"):
        store.size()
    add(store, memory("Two"))
    store.close()
    assert recalled(open_file()) == ["One", "Two"]
