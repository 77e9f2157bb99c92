"""Adding: what was stored comes back as it was, and nothing is stored twice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_material import (
    DAY,
    NOW,
    PATIENT,
    SECOND,
    add,
    memory,
    recall,
    recalled,
    successor,
    supersede,
    vectors_of,
)

from headroom.errors import InvalidInputError
from headroom.memory import Memory, MemoryCategory, MemoryFilter
from headroom.memory.stores.base import MemoryStore

names = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=20).filter(
    str.strip
)
times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - given one
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
memories = st.builds(
    memory,
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    names,
    session_id=st.none() | names,
    agent_id=st.none() | names,
    turn_id=st.none() | names,
    category=st.sampled_from(MemoryCategory),
    importance=st.floats(0, 1),
    entities=st.lists(names, max_size=3).map(tuple),
    metadata=st.dictionaries(names, json_values, max_size=3),
    created_at=times,
    valid_from=times,
    expires_at=st.none() | times,
)


@settings(PATIENT)
@given(each=memories)
def test_every_field_comes_back_as_it_was(store: MemoryStore, each: Memory) -> None:
    each = replace(each, user_id=f"{each.user_id} of {each.id}")  # so that no other example said the same

    assert add(store, each) == [each]
    assert store.get(each.id) == each


def test_times_come_back_in_utc_to_the_microsecond(store: MemoryStore) -> None:
    at = datetime(2026, 7, 1, 1, 2, 3, 456_789, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    stored = add(store, memory("Lives in Pune", at=at.astimezone(UTC)))[0]

    assert stored.created_at == at
    assert store.get(stored.id) == stored
    assert stored.created_at.tzinfo is UTC


@pytest.mark.parametrize("again", ["Likes tea", "likes  TEA", " Likes tea. ", "Likes\ntea!", "Likes tea。"])
def test_the_same_text_in_the_same_scope_is_stored_once(store: MemoryStore, again: str) -> None:
    first = memory("Likes tea", session_id="s")

    assert add(store, first) == [first]
    assert add(store, memory(again, session_id="s", at=NOW + SECOND)) == [first]
    assert store.count(MemoryFilter(user_id="alice"), NOW) == 1


def test_texts_that_differ_in_symbols_are_different(store: MemoryStore) -> None:
    texts = ["Likes C", "Likes C++", "Likes C#", "?", "!"]

    add(store, *map(memory, texts))

    assert [each.content for each in store.query(MemoryFilter(user_id="alice"), NOW)] == texts


def test_the_same_text_twice_in_one_call_is_stored_once(store: MemoryStore) -> None:
    first, second, other = memory("Likes tea"), memory("likes tea"), memory("Likes coffee")

    assert add(store, first, second, other) == [first, first, other]


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"user_id": "bob"},
        {"session_id": None},
        {"session_id": "t"},
        {"agent_id": "s"},
        {"session_id": None, "agent_id": "s"},
        {"turn_id": "s"},
    ],
)
def test_the_same_text_in_another_scope_is_another_memory(
    store: MemoryStore, elsewhere: dict[str, Any]
) -> None:
    first = memory("Likes tea", session_id="s")
    second = replace(first, id="other", **elsewhere)

    assert add(store, first, second) == [first, second]


def test_what_has_expired_is_stored_anew(store: MemoryStore) -> None:
    first = memory("Is on holiday", expires_at=NOW + DAY)
    early, late = (
        memory("Is on holiday", at=NOW + DAY - SECOND),
        memory("Is on holiday", at=NOW + DAY),
    )

    add(store, first)
    again = add(store, replace(early, expires_at=NOW + DAY))

    assert again == [first]
    assert add(store, late) == [late]


@pytest.mark.parametrize("longer", [None, NOW + 2 * DAY])
def test_what_is_said_again_for_longer_lasts_longer(store: MemoryStore, longer: datetime | None) -> None:
    first, second = (memory("Is allergic to nuts", expires_at=end) for end in (NOW + DAY, longer))
    add(store, first)
    recall(store)

    assert add(store, second) == [replace(first, expires_at=longer)] == [store.get(first.id)]
    assert recalled(store, now=NOW + 1.5 * DAY) == ["Is allergic to nuts"]


def test_what_is_said_again_for_less_long_lasts_as_long_as_before(store: MemoryStore) -> None:
    first = memory("Is allergic to nuts")
    add(store, first)

    assert add(store, memory("Is allergic to nuts", expires_at=NOW + DAY)) == [first]
    assert recalled(store, now=NOW + 2 * DAY) == ["Is allergic to nuts"]


def test_what_holds_only_later_does_not_stand_for_what_holds_now(store: MemoryStore) -> None:
    later, now = memory("Lives in Rome", valid_from=NOW + 300 * DAY), memory("Lives in Rome")

    assert add(store, later) == [later]
    assert add(store, now) == [now]
    assert recalled(store, now=NOW + DAY) == ["Lives in Rome"]


def test_what_was_superseded_is_stored_anew(store: MemoryStore) -> None:
    old = memory("Works at Google")
    add(store, old)
    supersede(store, old, successor(old, "Works at Anthropic"))

    again = memory("Works at Google", at=NOW + DAY)

    assert add(store, again) == [again]


def test_a_taken_id_is_refused_and_nothing_of_the_call_is_stored(store: MemoryStore) -> None:
    add(store, memory("One", id="taken"))

    with pytest.raises(InvalidInputError, match="taken"):
        add(store, memory("Two"), memory("Three", "bob", id="taken"))

    assert [each.content for each in store.query(MemoryFilter(user_id="alice"), NOW)] == ["One"]
    assert store.count(MemoryFilter(user_id="bob"), NOW) == 0


def test_half_a_surrogate_pair_is_refused_and_nothing_of_the_call_is_stored(store: MemoryStore) -> None:
    with pytest.raises(InvalidInputError, match="surrogate"):
        store.add([memory("One"), memory("Two \ud83d")], vectors_of(["One", "Two"]))

    assert store.count(MemoryFilter(user_id="alice"), NOW) == 0


def test_adding_nothing_stores_nothing(store: MemoryStore) -> None:
    assert add(store) == []
