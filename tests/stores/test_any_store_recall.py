"""Candidates: everything that is visible, true and asked for, and nothing else."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_material import (
    CATEGORIES,
    DAY,
    DIMENSION,
    NOW,
    PATIENT,
    SECOND,
    add,
    is_recalled,
    memory,
    recall,
    recalled,
    request,
    vector_of,
)

from headroom.errors import EmbedderMismatchError
from headroom.memory import Memory, MemoryCategory, Scope, ranking
from headroom.memory.stores.base import MemoryStore

TIMES = [NOW + n * DAY for n in range(-3, 4)]
users = st.sampled_from(["alice", "bob"])
parts = st.sampled_from([None, None, "x", "y"])
memories = st.builds(
    memory,
    st.uuids().map(str),
    users,
    session_id=parts,
    agent_id=parts,
    turn_id=parts,
    category=st.sampled_from(CATEGORIES),
    valid_from=st.sampled_from(TIMES),
    expires_at=st.none() | st.sampled_from(TIMES),
)
requests = st.builds(
    request,
    st.sampled_from(["what is x", "yesterday", "", "when did y happen in May?"]),
    st.builds(Scope, st.sampled_from(["alice", "bob", "carol"]), parts, parts, parts),
    now=st.sampled_from(TIMES),
    categories=st.none() | st.frozensets(st.sampled_from(CATEGORIES), max_size=3),
    all_sessions=st.booleans(),
    as_of=st.none() | st.sampled_from(TIMES),
)


@settings(PATIENT, max_examples=100)
@given(data=st.data())
def test_ten_thousand_recalls_find_nothing_outside_their_scope_and_miss_nothing(
    store: MemoryStore, data: st.DataObject
) -> None:
    for user in ("alice", "bob"):
        store.clear(user)
    stored = data.draw(st.lists(memories, min_size=10, max_size=60, unique_by=lambda each: each.content))
    add(store, *stored)
    random = data.draw(st.randoms(use_true_random=False))

    for drawn in data.draw(st.lists(requests, min_size=10, max_size=10)):
        for _ in range(10):
            parts = [random.choice([None, "x", "y"]) for _ in range(3)]
            wanted = replace(drawn, scope=Scope(drawn.scope.user_id, *parts))
            found = store.load(store.candidates(wanted).keys.tolist()).values()
            assert {each.id for each in found} == {each.id for each in stored if is_recalled(each, wanted)}


@pytest.fixture
def scoped(store: MemoryStore) -> MemoryStore:
    add(
        store,
        memory("Alice's"),
        memory("session s", session_id="s"),
        memory("agent a anywhere", agent_id="a"),
        memory("agent a in session s", session_id="s", agent_id="a"),
        memory("turn t of it", session_id="s", agent_id="a", turn_id="t"),
        memory("Bob's", "bob", session_id="s"),
    )
    return store


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        (("alice",), ["Alice's"]),
        (("alice", "s"), ["Alice's", "session s"]),
        (("alice", "other"), ["Alice's"]),
        (("alice", None, "a"), ["Alice's", "agent a anywhere"]),
        (
            ("alice", "s", "a"),
            ["Alice's", "session s", "agent a anywhere", "agent a in session s"],
        ),
        (
            ("alice", "s", "a", "t"),
            ["Alice's", "session s", "agent a anywhere", "agent a in session s", "turn t of it"],
        ),
        (("bob",), []),
        (("bob", "s"), ["Bob's"]),
        (("nobody", "s", "a", "t"), []),
    ],
)
def test_a_scope_sees_what_names_nothing_else(
    scoped: MemoryStore, scope: tuple[str, ...], found: list[str]
) -> None:
    assert recalled(scoped, "session", Scope(*scope)) == found


def test_all_sessions_of_the_user_if_asked_for(scoped: MemoryStore) -> None:
    assert len(recalled(scoped, "session", "alice", all_sessions=True)) == 5
    assert recalled(scoped, "session", "bob", all_sessions=True) == ["Bob's"]


def test_what_has_expired_is_not_recalled_whatever_time_is_asked_about(store: MemoryStore) -> None:
    add(store, memory("Is in Rome", expires_at=NOW + DAY))

    assert recalled(store, now=NOW + DAY - SECOND) == ["Is in Rome"]
    assert recalled(store, now=NOW + DAY) == []
    assert recalled(store, now=NOW + DAY, as_of=NOW) == []
    assert recalled(store, now=NOW, as_of=NOW + DAY) == []


def test_only_the_categories_asked_for(store: MemoryStore) -> None:
    add(store, *(memory(str(category), category=category) for category in CATEGORIES))
    wanted = frozenset({MemoryCategory.DECISION, MemoryCategory.INSIGHT})

    assert recalled(store, categories=wanted) == ["decision", "insight"]
    assert recalled(store, categories=frozenset()) == []


def test_of_many_the_nearest_and_the_best_worded_are_found(store: MemoryStore) -> None:
    texts = [f"Note {number} about {'granite' if number == 123 else 'sand'}" for number in range(500)]
    add(store, *map(memory, texts))

    candidates = store.candidates(request("granite"))
    nearest = vectors_by_cosine(texts, "granite")[:20]
    found = [each.content for each in recall(store, "granite")]

    assert len(found) < len(texts)
    assert set(nearest) <= set(found)
    assert texts[123] in found
    best = candidates.keys[ranking.rank(candidates.evidence).order[0]]
    assert store.load([best])[int(best)].content in found


def vectors_by_cosine(texts: list[str], query: str) -> list[str]:
    return sorted(texts, key=lambda text: -float(vector_of(text) @ vector_of(query)))


def test_the_evidence_is_of_the_candidates(store: MemoryStore) -> None:
    said = NOW - 30 * DAY
    add(
        store,
        memory("Likes tea", importance=0.25, valid_from=said),
        memory("Was it in 2023?", session_id="s", agent_id="a"),
    )

    candidates = store.candidates(request("tea", Scope("alice", "s", "a")))
    found, order = candidates.evidence, np.argsort(candidates.keys)

    cosines = [vector_of(text) @ vector_of("tea") for text in ("Likes tea", "Was it in 2023?")]
    assert found.cosine[order] == pytest.approx(cosines, abs=0.01)
    assert found.coverage[order].tolist() == [1, 0]
    assert found.said[order].tolist() == [said.timestamp(), NOW.timestamp()]
    assert found.importance[order].tolist() == [0.25, 0.5]
    assert found.levels[order].tolist() == [0, 2]
    assert (found.sessions[order] < 0).tolist() == [True, False]
    assert found.asks[order].tolist() == [False, True]


def test_entities_are_words_of_their_memory(store: MemoryStore) -> None:
    add(store, memory("She runs the team", entities=("Ada Lovelace",)))

    assert store.candidates(request("lovelace")).evidence.coverage.tolist() == [1.0]


def test_neighbours_in_a_session_speak_for_each_other_as_if_what_was_removed_had_never_been(
    store: MemoryStore,
) -> None:
    before, between, after = (memory(text, session_id="s") for text in ("When is it?", "Hm", "In May"))
    add(store, before, between, after)

    def evidence_of_after() -> tuple[float, float]:
        found = store.candidates(request("when is it", Scope("alice", "s")))
        last = int(np.argmax(found.keys))
        return float(found.evidence.window_cosine[last]), float(found.evidence.window_coverage[last])

    far = evidence_of_after()
    store.delete([between.id])
    near = evidence_of_after()
    store.clear("alice")
    add(store, before, after)

    assert near == pytest.approx(evidence_of_after(), abs=1e-6)
    assert near != far


@pytest.mark.parametrize("dimension", [4, 16])
def test_a_query_of_another_dimension_is_refused(store: MemoryStore, dimension: int) -> None:
    assert recalled(store, dimension=dimension) == []

    add(store, memory("One"))

    with pytest.raises(EmbedderMismatchError, match=f"{DIMENSION} dimensions"):
        store.candidates(request(dimension=dimension))


def test_keys_of_what_was_removed_load_nothing(store: MemoryStore) -> None:
    kept, removed = memory("Kept"), memory("Removed")
    add(store, kept, removed)
    keys = store.candidates(request()).keys.tolist()

    store.delete([removed.id])

    assert list(store.load(keys).values()) == [kept]
    assert store.load([]) == {}


def test_memory_of_long_ago_and_far_away(store: MemoryStore) -> None:
    ancient = datetime.min.replace(year=2, tzinfo=NOW.tzinfo)
    distant: dict[str, Any] = {"expires_at": datetime.max.replace(year=9998, tzinfo=NOW.tzinfo)}
    each: Memory = memory("Cheops builds a pyramid", at=ancient, **distant)
    add(store, each)

    assert recall(store, now=NOW) == [each]
    assert recall(store, now=NOW, as_of=ancient) == [each]


def test_several_requests_are_answered_as_each_alone(store: MemoryStore) -> None:
    add(store, memory("Drinks tea"), memory("Plays chess"), memory("Drinks tea", user_id="bob"))
    wanted = [request("tea"), request("chess"), request("nothing")]

    together = store.candidates_of_each(wanted)

    for found, alone in zip(together, map(store.candidates, wanted), strict=True):
        assert found.keys.tolist() == alone.keys.tolist()
        assert found.evidence.coverage.tolist() == alone.evidence.coverage.tolist()
        assert found.evidence.cosine.tolist() == alone.evidence.cosine.tolist()
