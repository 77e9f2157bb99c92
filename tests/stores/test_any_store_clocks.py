"""A clock that is set back: what is current stays so, for every store object on the same memories."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_material import (
    DAY,
    NOW,
    PATIENT,
    SECOND,
    add,
    is_recalled,
    memory,
    recall,
    recalled,
    request,
    successor,
    supersede,
)

from headroom.memory import Memory, MemoryFilter, drafts
from headroom.memory.stores.base import MemoryStore

BEFORE = NOW - 30 * SECOND
"""What a clock says that was set back after something was stored NOW."""


def stored_by(store: MemoryStore, old: Memory, content: str, now: datetime) -> Memory:
    """The successor that an engine stores when its clock says `now`."""
    return supersede(store, old, drafts.successor(old, content, now=now, max_content_length=100))


def test_what_was_stored_is_recalled_and_what_it_superseded_is_not(store: MemoryStore) -> None:
    old = memory("Lives in Oslo", at=NOW - DAY)
    add(store, old, memory("Plays chess"))
    assert recalled(store, now=NOW) == ["Lives in Oslo", "Plays chess"]

    supersede(store, old, successor(old, "Lives in Rome", at=NOW))

    assert recalled(store, now=BEFORE) == ["Plays chess", "Lives in Rome"]


def test_what_is_listed_and_counted_is_what_is_recalled(store: MemoryStore) -> None:
    old = memory("Lives in Oslo", at=NOW - DAY)
    add(store, old, memory("Plays chess"))
    supersede(store, old, successor(old, "Lives in Rome", at=NOW))
    where = MemoryFilter(user_id="alice")

    assert recall(store, now=BEFORE) == store.query(where, BEFORE)
    assert store.count(where, BEFORE) == sum(store.totals(BEFORE).by_category.values()) == 2
    assert store.totals(BEFORE).superseded == 1


def test_a_question_about_a_time_is_answered_by_the_times_as_recorded(store: MemoryStore) -> None:
    old = memory("Lives in Oslo", at=NOW - DAY)
    add(store, old, memory("Plays chess"))
    supersede(store, old, successor(old, "Lives in Rome", at=NOW))

    assert recalled(store, now=BEFORE, as_of=BEFORE) == ["Lives in Oslo"]
    assert recalled(store, now=BEFORE, as_of=NOW) == ["Plays chess", "Lives in Rome"]


def test_what_is_stored_after_it_was_set_back_is_recalled_at_once(store: MemoryStore) -> None:
    old = memory("Lives in Oslo")
    add(store, old)

    new = stored_by(store, old, "Lives in Rome", BEFORE)
    assert recall(store, now=BEFORE) == [new]

    newer = stored_by(store, new, "Lives in Paris", BEFORE - SECOND)
    assert recall(store, now=BEFORE - SECOND) == [newer]


def test_what_is_planned_still_begins_when_the_clock_says_so(store: MemoryStore) -> None:
    old = memory("Lives in Oslo")
    add(store, old, memory("Starts at the new job", valid_from=NOW + DAY))
    planned = supersede(store, old, successor(old, "Lives in Rome", at=NOW, valid_from=NOW + DAY))

    for now in (BEFORE, NOW, NOW + DAY - SECOND):
        assert recalled(store, now=now) == ["Lives in Oslo"]
    assert recalled(store, now=NOW + DAY) == ["Starts at the new job", "Lives in Rome"]

    stored_by(store, planned, "Lives in Paris", NOW + DAY - SECOND)
    assert recalled(store, now=NOW + DAY - SECOND) == ["Lives in Oslo"]


def test_what_ended_a_plan_ended_what_was_before_it(
    store: MemoryStore, open_store: Callable[..., MemoryStore]
) -> None:
    first = memory("Lives in Oslo", at=NOW - DAY)
    add(store, first)
    planned = supersede(
        store, first, successor(first, "Lives in Rome", at=NOW - DAY, valid_from=NOW - SECOND)
    )
    assert recalled(store, now=BEFORE) == ["Lives in Oslo"]

    supersede(store, planned, successor(planned, "Lives in Paris", at=NOW))

    for each in (store, open_store()):
        assert recalled(each, now=BEFORE) == ["Lives in Paris"]


def test_what_expires_does_so_when_the_clock_says_so(store: MemoryStore) -> None:
    add(store, memory("Is on holiday", expires_at=NOW + DAY), memory("Plays chess", at=NOW + 1_000 * DAY))

    assert recalled(store, now=BEFORE) == ["Is on holiday", "Plays chess"]
    assert recalled(store, now=NOW + DAY) == ["Plays chess"]


days = st.integers(0, 9).map(lambda day: NOW + day * DAY)


@settings(PATIENT, max_examples=60)
@given(
    steps=st.lists(st.tuples(days, days, st.booleans()), min_size=1, max_size=8),
    clocks=st.lists(days, min_size=3, max_size=3),
)
def test_one_version_is_current_whatever_the_clock_says(
    open_store: Callable[..., MemoryStore],
    steps: list[tuple[datetime, datetime, bool]],
    clocks: list[datetime],
) -> None:
    here = open_store()
    here.clear("alice")
    chain = [memory("Version 0", at=NOW)]
    add(here, *chain)
    for number, (now, planned, is_planned) in enumerate(steps, start=1):
        since = max(planned, chain[-1].valid_from + timedelta(microseconds=1)) if is_planned else None
        new = drafts.successor(
            chain[-1], f"Version {number}", valid_from=since, now=now, max_content_length=100
        )
        chain.append(supersede(here, chain[-1], new))
        recalled(here)
    there = open_store()

    history = here.history(chain[0].id)
    for now in clocks:
        found = recall(here, now=now)
        assert len(found) == 1
        assert recall(there, now=now) == found
        wanted = request(now=now)
        assert found == [
            each for place, each in enumerate(history, start=1) if is_recalled(each, wanted, history[place:])
        ]
    here.close()
    there.close()


@pytest.mark.parametrize("now", [BEFORE, NOW])
def test_a_version_is_current_from_the_instant_it_is_stored(store: MemoryStore, now: datetime) -> None:
    versions = [memory("Version 0")]
    add(store, *versions)
    for number in range(1, 5):
        versions.append(stored_by(store, versions[-1], f"Version {number}", now))
        assert recalled(store, now=now) == [f"Version {number}"]

    times = [(each.created_at, each.valid_from) for each in versions]
    assert times == sorted(times)
