"""Many threads on one store."""

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from sqlite3 import Connection

import pytest
from store_material import NOW, SECOND, add, memory, recall, recalled, request, successor, supersede

from headroom.errors import ClosedError, MemorySupersededError
from headroom.memory import Memory, MemoryFilter
from headroom.memory.stores.sqlite import SqliteStore
from headroom.memory.stores.sqlite.partition import Partition
from headroom.memory.stores.sqlite.partitions import Partitions

Open = Callable[..., SqliteStore]
THREADS = 8


def at_once(work: Callable[[int], object]) -> list[object]:
    """Run `work` in each of several threads, all beginning at the same moment."""
    barrier = threading.Barrier(THREADS)

    def begin(number: int) -> object:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def test_each_thread_reads_what_it_wrote_and_nothing_is_lost(open_file: Open) -> None:
    store = open_file()

    def work(number: int) -> None:
        for step in range(20):
            text = f"thread {number} step {step}"
            add(store, memory(text, at=NOW + step * SECOND))
            assert text in recalled(store, text)

    at_once(work)

    assert store.count(MemoryFilter(user_id="alice"), NOW) == THREADS * 20


def test_the_same_text_from_many_threads_is_stored_once(open_file: Open) -> None:
    store = open_file()

    stored = at_once(lambda _: add(store, memory("Likes tea"))[0].id)

    assert len(set(stored)) == 1
    assert store.count(MemoryFilter(user_id="alice"), NOW) == 1


def test_of_many_that_supersede_the_same_memory_one_does(open_file: Open) -> None:
    store = open_file()
    old = add(store, memory("Old"))[0]

    def work(number: int) -> Memory | None:
        try:
            return supersede(store, old, successor(old, f"New {number}"))
        except MemorySupersededError:
            return None

    won = [each for each in at_once(work) if each is not None]

    assert recall(store) == won
    assert len(store.history(old.id)) == 2


def test_a_partition_is_read_once_however_many_wait_for_it(
    open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(open_file(), *(memory(f"Number {number}") for number in range(60)))
    store = open_file()
    reads: list[str] = []
    waiting = threading.Barrier(THREADS)
    find, catch_up = Partitions._partition, Partition.catch_up

    def together(self: Partitions, user_id: str) -> Partition:
        partition = find(self, user_id)
        waiting.wait()  # all have found it unread
        return partition

    def counted(self: Partition, connection: Connection, path: str) -> None:
        reads.append(self.user_id)
        catch_up(self, connection, path)

    monkeypatch.setattr(Partitions, "_partition", together)
    monkeypatch.setattr(Partition, "catch_up", counted)

    assert at_once(lambda _: len(recalled(store))) == [60] * THREADS
    assert reads == ["alice"]


def test_recalls_go_on_while_others_write_and_see_whole_changes(open_file: Open) -> None:
    """A memory that is superseded all the time has one current version at any moment."""
    store = open_file()
    versions = [add(store, memory("Version 0"))[0]]
    done = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            for step in range(1, 150):
                versions.append(successor(versions[-1], f"Version {step}", at=NOW + step * SECOND))
                supersede(store, versions[-2], versions[-1])
            done.set()
            return 0
        seen = -1
        while not done.is_set():
            [content] = recalled(store)
            version = int(content.removeprefix("Version "))
            assert version >= seen
            seen = version
        return seen

    at_once(work)

    assert recalled(store) == ["Version 149"]


@pytest.fixture
def _in_small_turns() -> Iterator[None]:
    """Threads take turns so often that what must not be interrupted is."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_in_small_turns")
def test_a_store_closes_while_others_search_for_users_who_are_new(open_file: Open) -> None:
    store = open_file()
    for number in range(3_000):
        store._partitions._partition(f"user {number}")
    tried = threading.Event()

    def work(number: int) -> None:
        if not number:
            try:
                store.close()
            finally:
                tried.set()
        else:
            with suppress(ClosedError):
                for step in range(1_000_000):
                    store.candidates(request(scope=f"{number} {step}"))
                    assert not tried.is_set() or store._pool._closed

    at_once(work)
