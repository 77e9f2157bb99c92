"""Superseding: nothing is overwritten, and a chain of versions has one current one."""

from datetime import timedelta

import pytest
from store_material import DAY, NOW, SECOND, add, memory, recalled, successor, supersede

from headroom.errors import InvalidInputError, MemoryNotFoundError, MemorySupersededError
from headroom.memory import Memory, MemoryFilter
from headroom.memory.stores.base import MemoryStore


def test_the_old_version_is_closed_and_the_new_one_current(store: MemoryStore) -> None:
    old = memory("Works at Google", session_id="s")
    new = successor(old, "Works at Anthropic")
    add(store, old)

    assert supersede(store, old, new) == new

    closed, current = store.history(new.id)
    assert (closed.content, closed.is_current, closed.superseded_by) == ("Works at Google", False, new.id)
    assert closed.valid_until == new.valid_from
    assert current == new
    assert store.get(old.id) == closed
    assert store.query(MemoryFilter(user_id="alice"), NOW) == [new]


def test_what_is_superseded_cannot_be_superseded_again(store: MemoryStore) -> None:
    first = memory("One")
    second, third = successor(first, "Two"), successor(first, "Three")
    add(store, first)
    supersede(store, first, second)
    supersede(store, second, third)

    for history in (first, second):
        with pytest.raises(MemorySupersededError) as caught:
            supersede(store, history, successor(history, "Four"))
        assert caught.value.current_id == third.id

    assert [each.content for each in store.history(first.id)] == ["One", "Two", "Three"]


def test_what_is_not_there_cannot_be_superseded(store: MemoryStore) -> None:
    with pytest.raises(MemoryNotFoundError):
        supersede(store, memory("Never stored"), memory("New"))

    assert store.count(MemoryFilter(user_id="alice"), NOW) == 0


def test_a_successor_of_another_user_is_refused(store: MemoryStore) -> None:
    old = memory("Alice's")
    add(store, old)

    with pytest.raises(InvalidInputError, match="another user"):
        supersede(store, old, successor(old, "Bob's", user_id="bob"))

    assert store.history(old.id) == [old]


def test_a_successor_with_a_taken_id_changes_nothing(store: MemoryStore) -> None:
    old = memory("Old")
    add(store, old)

    with pytest.raises(InvalidInputError, match=old.id):
        supersede(store, old, successor(old, "New", id=old.id))

    assert store.history(old.id) == [old]


def versions(store: MemoryStore, count: int) -> list[Memory]:
    """A chain of versions, each true for a day."""
    chain = [memory("Version 0")]
    add(store, chain[0])
    for number in range(1, count):
        chain.append(successor(chain[-1], f"Version {number}", at=NOW + number * DAY))
        supersede(store, chain[-2], chain[-1])
    return chain


def test_the_history_is_whole_from_any_version(store: MemoryStore) -> None:
    chain = versions(store, 50)
    add(store, memory("Something else"))

    for each in chain:
        assert [every.id for every in store.history(each.id)] == [every.id for every in chain]
    assert store.history("unknown") == []


def test_at_any_time_one_version_was_true(store: MemoryStore) -> None:
    versions(store, 50)
    now = NOW + 100 * DAY

    for number in range(50):
        begin = NOW + number * DAY
        for then in (begin, begin + DAY / 2, begin + DAY - timedelta(microseconds=1)):
            where = MemoryFilter(user_id="alice", as_of=then)
            assert [each.content for each in store.query(where, now)] == [f"Version {number}"]
            assert recalled(store, now=now, as_of=then) == [f"Version {number}"]
    assert recalled(store, now=now, as_of=NOW - SECOND) == []
    assert recalled(store, now=now) == ["Version 49"]


def test_a_successor_may_begin_later(store: MemoryStore) -> None:
    old = memory("Lives in Berlin")
    add(store, old)
    supersede(store, old, successor(old, "Lives in Lisbon", at=NOW, valid_from=NOW + 30 * DAY))

    assert recalled(store, now=NOW + DAY) == ["Lives in Berlin"]
    assert recalled(store, now=NOW + 30 * DAY) == ["Lives in Lisbon"]


def test_what_is_not_true_yet_is_not_recalled(store: MemoryStore) -> None:
    add(store, memory("Starts at the new job", valid_from=NOW + DAY))

    assert recalled(store, now=NOW + DAY - SECOND) == []
    assert recalled(store, now=NOW + DAY) == ["Starts at the new job"]
