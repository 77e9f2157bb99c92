"""Dumps: whole chains, lossless, and harmless to restore twice or elsewhere."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from store_material import (
    DAY,
    NOW,
    SECOND,
    add,
    memory,
    open_sqlite,
    recalled,
    successor,
    supersede,
    vectors_of,
)

from headroom.memory import Memory, MemoryFilter, Scope
from headroom.memory.stores.base import MemoryStore


def restore(store: MemoryStore, memories: Iterable[Memory]) -> int:
    memories = list(memories)
    return store.restore(memories, vectors_of(each.content for each in memories))


@pytest.fixture
def full(store: MemoryStore) -> MemoryStore:
    old = memory("Works at Google", session_id="s", metadata={"source": "chat"}, entities=("Google",))
    add(store, old, memory("Bob's", "bob"), memory("Expired", expires_at=NOW + SECOND))
    supersede(store, old, successor(old, "Works at Anthropic"))
    return store


@pytest.fixture
def empty(tmp_path: Path) -> Iterable[MemoryStore]:
    store = open_sqlite(tmp_path / "other.db")
    yield store
    store.close()


def test_a_dump_restores_to_the_same_memories(full: MemoryStore, empty: MemoryStore) -> None:
    dumped = list(full.dump())

    assert restore(empty, dumped) == 4
    assert list(empty.dump()) == dumped
    for each in dumped:
        assert empty.history(each.id) == full.history(each.id)
    scope = Scope("alice", "s")
    for now in (NOW, NOW + DAY):
        assert recalled(empty, "work", scope, now=now) == recalled(full, "work", scope, now=now)


def test_a_dump_of_one_user_has_nothing_of_others(full: MemoryStore) -> None:
    assert [each.content for each in full.dump("bob")] == ["Bob's"]
    assert list(full.dump("nobody")) == []


def test_each_users_memories_come_in_the_order_of_storing(store: MemoryStore) -> None:
    for number in range(10):
        add(store, memory(f"{number}", ("alice", "bob")[number % 2], at=NOW - number * DAY))

    assert [each.content for each in store.dump()] == ["0", "2", "4", "6", "8", "1", "3", "5", "7", "9"]


def test_restoring_twice_is_restoring_once(full: MemoryStore, empty: MemoryStore) -> None:
    dumped = list(full.dump())
    restore(empty, dumped)

    assert restore(empty, dumped) == 0
    assert list(empty.dump()) == dumped
    assert restore(full, dumped) == 0


def test_restoring_may_be_mixed_with_other_work(full: MemoryStore) -> None:
    dumped = list(full.dump())
    iterator = full.dump()
    next(iterator)

    full.clear("bob")
    add(full, memory("Stored meanwhile"))
    rest = list(iterator)

    assert len(rest) <= len(dumped)
    assert full.count(MemoryFilter(user_id="alice"), NOW + DAY) == 2


def test_versions_that_are_new_continue_the_chain_that_is_there(
    full: MemoryStore, empty: MemoryStore
) -> None:
    alice = list(full.dump("alice"))
    google, anthropic = alice[0], alice[2]
    restore(empty, [replace(google, superseded_by=None, valid_until=None)])

    assert restore(empty, [google, anthropic]) == 1
    assert empty.history(google.id) == [google, anthropic]
    assert empty.query(MemoryFilter(user_id="alice"), NOW) == [anthropic]


@pytest.mark.parametrize("scope", [{"user_id": "bob"}, {"session_id": "another"}])
def test_versions_of_another_scope_than_the_chain_that_is_there_are_left_out(
    full: MemoryStore, empty: MemoryStore, scope: dict[str, str]
) -> None:
    google, _, anthropic = full.dump("alice")
    mine = replace(google, superseded_by=None, valid_until=None)
    restore(empty, [mine])

    assert restore(empty, [replace(each, **scope) for each in (google, anthropic)]) == 0  # type: ignore[arg-type]
    assert empty.history(google.id) == [mine]
    assert empty.query(MemoryFilter(user_id="alice"), NOW) == [mine]


def test_versions_that_contradict_the_chain_that_is_there_are_left_out(
    full: MemoryStore, empty: MemoryStore
) -> None:
    google, _, anthropic = full.dump("alice")
    mine = successor(google, "Works at home")
    restore(empty, [replace(google, superseded_by=None, valid_until=None)])
    supersede(empty, google, mine)

    later = successor(anthropic, "Left Anthropic")
    assert restore(empty, [google, anthropic, later]) == 0
    assert empty.query(MemoryFilter(user_id="alice"), NOW) == [mine]


def test_a_version_that_is_restored_later_ends_the_one_before_it(
    full: MemoryStore, open_store: Callable[..., MemoryStore]
) -> None:
    google, _, anthropic = full.dump("alice")
    full.clear("alice")
    scope = Scope("alice", "s")
    restore(full, [google])
    assert recalled(full, scope=scope, now=NOW) == ["Works at Google"]

    restore(full, [anthropic])

    for store in (full, open_store()):
        assert recalled(store, scope=scope, now=NOW) == ["Works at Anthropic"]


def test_restoring_is_all_or_nothing(full: MemoryStore, empty: MemoryStore) -> None:
    dumped = [*full.dump(), memory("Half a \ud83d", "carol")]

    with pytest.raises(ValueError, match="surrogate"):
        restore(empty, dumped)

    assert list(empty.dump()) == []


def test_what_is_restored_is_seen_by_others(
    full: MemoryStore, open_store: Callable[..., MemoryStore]
) -> None:
    there = open_store()
    assert recalled(there, scope="carol") == []

    restore(full, [memory("Carol's", "carol")])

    assert recalled(there, scope="carol") == ["Carol's"]
