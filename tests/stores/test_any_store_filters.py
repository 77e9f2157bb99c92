"""Queries: exactly the memories that meet every condition, in the order asked for."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_material import CATEGORIES, DAY, NOW, PATIENT, SECOND, add, memory, successor, supersede

from headroom.errors import InvalidInputError
from headroom.memory import Memory, MemoryFilter, MemoryOrder, ScopeLevel
from headroom.memory.stores.base import MemoryStore

USERS = ("alice", "bob")
PARTS = ("session_id", "agent_id", "turn_id")
TIMES = [NOW + n * DAY for n in range(-3, 4)]


@pytest.fixture
def stored(store: MemoryStore) -> list[Memory]:
    """Memories that differ in everything a filter can ask for, in the order of storing."""
    memories = []
    for number in range(60):
        each = memory(
            f"Number {number}",
            USERS[number % 2],
            at=TIMES[number % 7],
            session_id=(None, "s", "t")[number // 2 % 3],
            agent_id=(None, "a")[number // 3 % 2],
            turn_id=(None, None, None, "t")[number // 5 % 4],
            category=CATEGORIES[number // 2 % 6],
            importance=number % 11 / 10,
            entities=(("Ada",), ("ADA", "Örsted"), ())[number // 4 % 3],
            metadata=({"n": 1}, {"n": 1.0, "tag": ["x", {"y": None}]}, {"n": True}, {})[number // 7 % 4],
            expires_at=(None, None, TIMES[5])[number % 3],
        )
        add(store, each)
        memories.append(each)
    for number in (4, 5, 6, 12):
        old = memories[number]
        memories.append(successor(old, f"Number {number}, again", at=max(NOW, old.valid_from + SECOND)))
        supersede(store, old, memories[-1])
    return [each for each in map(store.get, [each.id for each in memories]) if each is not None]


def meets(each: Memory, where: MemoryFilter, now: datetime) -> bool:
    """What the answer to a query is, said once more, in the simplest way."""
    then = where.as_of or now
    if where.as_of is None:
        is_true = where.include_superseded or each.is_current
    else:
        is_true = each.valid_from <= then and (each.valid_until is None or then < each.valid_until)
    names = {name.casefold() for name in each.entities}
    return (
        is_true
        and each.user_id == where.user_id
        and all(getattr(where, part) in (None, getattr(each, part)) for part in PARTS)
        and (where.levels is None or each.level in where.levels)
        and (where.categories is None or each.category in where.categories)
        and (where.include_expired or each.expires_at is None or each.expires_at > max(now, then))
        and (where.created_after is None or each.created_at >= where.created_after)
        and (where.created_before is None or each.created_at < where.created_before)
        and (where.min_importance is None or each.importance >= where.min_importance)
        and (where.max_importance is None or each.importance <= where.max_importance)
        and (not where.entities or bool(names & {name.casefold() for name in where.entities}))
        and all(same(each.metadata.get(name, ...), value) for name, value in where.metadata.items())
    )


def same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


ORDERS: dict[MemoryOrder, Callable[[Memory], Any]] = {
    MemoryOrder.OLDEST: lambda each: each.created_at,
    MemoryOrder.NEWEST: lambda each: -each.created_at.timestamp(),
    MemoryOrder.IMPORTANCE: lambda each: (-each.importance, each.created_at),
}

filters = st.builds(
    MemoryFilter,
    user_id=st.sampled_from([*USERS, "nobody"]),
    session_id=st.sampled_from([None, None, "s", "t", "u"]),
    agent_id=st.sampled_from([None, None, "a"]),
    turn_id=st.sampled_from([None, None, "t"]),
    levels=st.none() | st.sets(st.sampled_from(ScopeLevel)),
    categories=st.none() | st.sets(st.sampled_from(CATEGORIES)),
    include_superseded=st.booleans(),
    include_expired=st.booleans(),
    as_of=st.none() | st.sampled_from(TIMES),
    created_after=st.none() | st.sampled_from(TIMES),
    created_before=st.none() | st.sampled_from(TIMES),
    min_importance=st.none() | st.floats(0, 1),
    max_importance=st.none() | st.floats(0, 1),
    entities=st.sampled_from([(), (), ("ada",), ("öRSTED", "Nobody"), ("Nobody",)]),
    metadata=st.sampled_from([{}, {}, {"n": 1}, {"n": True}, {"tag": ["x", {"y": None}]}, {"m": None}]),
    order=st.sampled_from(MemoryOrder),
    limit=st.none() | st.integers(0, 20) | st.just(10**30),
    offset=st.integers(0, 5) | st.just(10**30),
)


@settings(PATIENT, max_examples=300)
@given(where=filters, now=st.sampled_from(TIMES))
def test_a_query_finds_what_meets_every_condition(
    store: MemoryStore, stored: list[Memory], where: MemoryFilter, now: datetime
) -> None:
    expected = sorted((each for each in stored if meets(each, where, now)), key=ORDERS[where.order])
    end = None if where.limit is None else where.offset + where.limit

    assert store.query(where, now) == expected[where.offset : end]
    assert store.count(where, now) == len(expected)
    by_category = {category: sum(each.category is category for each in expected) for category in CATEGORIES}
    assert dict(store.count_by_category(where, now)) == {c: n for c, n in by_category.items() if n}


def test_metadata_that_json_cannot_say_is_refused(store: MemoryStore) -> None:
    add(store, memory("One", metadata={"n": 1}))

    with pytest.raises(InvalidInputError, match="metadata"):
        store.query(MemoryFilter(user_id="alice", metadata={"n": object()}), NOW)
