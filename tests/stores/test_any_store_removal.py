"""Removing: whole chains, exactly what was named, and nothing of it stays."""

from collections.abc import Callable

import pytest
from store_material import DAY, NOW, SECOND, add, memory, recalled, successor, supersede

from headroom.memory import MemoryFilter, Scope
from headroom.memory.stores.base import MemoryStore

EVERYTHING = MemoryFilter(user_id="alice", include_superseded=True, include_expired=True)


def contents(store: MemoryStore, user_id: str = "alice") -> list[str]:
    return [each.content for each in store.dump(user_id)]


def test_a_memory_goes_with_all_its_versions_whichever_is_named(store: MemoryStore) -> None:
    for named in range(3):
        first = memory("One")
        second, third = successor(first, "Two"), successor(first, "Three")
        add(store, first, memory("Other"))
        supersede(store, first, second)
        supersede(store, second, third)

        assert store.delete([(first, second, third)[named].id]) == 3
        assert contents(store) == ["Other"]
        assert recalled(store) == ["Other"]
        assert store.history(second.id) == []


def test_several_are_deleted_at_once_and_unknown_ids_are_nothing(store: MemoryStore) -> None:
    one, two = memory("One"), memory("Two")
    add(store, one, two)

    assert store.delete([one.id, "unknown", one.id, two.id]) == 2
    assert store.delete([one.id]) == 0
    assert store.delete([]) == 0


@pytest.mark.parametrize(
    ("named", "left"),
    [
        ({}, []),
        ({"session_id": "s"}, ["user", "agent a", "session t"]),
        ({"agent_id": "a"}, ["user", "session s", "session t"]),
        ({"session_id": "s", "agent_id": "a"}, ["user", "session s", "agent a", "session t"]),
        ({"turn_id": "t"}, ["user", "session s", "agent a", "s and a", "session t"]),
        ({"session_id": "u"}, ["user", "session s", "agent a", "s and a", "t of s and a", "session t"]),
    ],
)
def test_clearing_removes_what_names_each_of_the_parts(
    store: MemoryStore, named: dict[str, str], left: list[str]
) -> None:
    stored = [
        memory("user"),
        memory("session s", session_id="s"),
        memory("agent a", agent_id="a"),
        memory("s and a", session_id="s", agent_id="a"),
        memory("t of s and a", session_id="s", agent_id="a", turn_id="t"),
        memory("session t", session_id="t"),
    ]
    add(store, *stored, memory("Bob's", "bob", session_id="s", agent_id="a"))

    assert store.clear("alice", **named) == len(stored) - len(left)
    assert contents(store) == left
    assert sorted(recalled(store, all_sessions=True)) == sorted(left)
    assert contents(store, "bob") == ["Bob's"]


def test_clearing_takes_history_along(store: MemoryStore) -> None:
    old = memory("Old", session_id="s")
    add(store, old)
    supersede(store, old, successor(old, "New"))

    assert store.clear("alice", "s") == 2
    assert contents(store) == []


def test_clearing_nobody_removes_nothing(store: MemoryStore) -> None:
    assert store.clear("nobody") == 0


def test_a_cleared_user_begins_anew(open_store: Callable[..., MemoryStore]) -> None:
    here, there = open_store(), open_store()
    add(here, memory("Before"))
    assert recalled(there) == ["Before"]

    here.clear("alice")
    add(here, memory("After"))

    assert recalled(there) == ["After"]
    assert recalled(here) == ["After"]
    assert contents(there) == ["After"]


def test_vacuum_removes_what_has_expired_and_nothing_else(store: MemoryStore) -> None:
    stays = [memory("For ever"), memory("Not yet", expires_at=NOW + DAY + SECOND)]
    goes = [memory("By now", expires_at=NOW + DAY), memory("Long ago", "bob", expires_at=NOW + SECOND)]
    add(store, *stays, *goes)

    assert store.vacuum(NOW + DAY) == 2
    assert contents(store) == ["For ever", "Not yet"]
    assert contents(store, "bob") == []
    assert store.vacuum(NOW + DAY) == 0
    assert recalled(store, now=NOW) == ["For ever", "Not yet"]


def test_a_memory_expires_as_a_whole_when_its_current_version_does(store: MemoryStore) -> None:
    ends = memory("Ends")
    goes_on = memory("Goes on", expires_at=NOW + SECOND)
    add(store, ends, goes_on)
    supersede(store, ends, successor(ends, "Ends soon", expires_at=NOW + DAY))
    supersede(store, goes_on, successor(goes_on, "Went on", expires_at=None))

    assert store.vacuum(NOW + DAY) == 2
    assert contents(store) == ["Goes on", "Went on"]


def test_many_expire_at_once(store: MemoryStore) -> None:
    add(
        store,
        *(memory(f"Number {number}", expires_at=NOW + SECOND) for number in range(450)),
        memory("Stays"),
    )

    assert store.vacuum(NOW + DAY) == 450
    assert contents(store) == ["Stays"]


def test_after_vacuum_others_still_read_what_is_there(open_store: Callable[..., MemoryStore]) -> None:
    here, there = open_store(), open_store()
    kept, removed = memory("Kept"), memory("Removed", session_id="s")
    add(here, kept, removed)
    assert recalled(there, scope=Scope("alice", "s")) == ["Kept", "Removed"]

    here.delete([removed.id])
    here.vacuum(NOW)
    add(here, memory("New"))

    assert recalled(there, scope=Scope("alice", "s")) == ["Kept", "New"]
    assert here.count(EVERYTHING, NOW) == 2
