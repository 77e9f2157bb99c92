from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from headroom.memory import Engine, MemoryFilter


def contents(engine: Engine, query: str, *args: object, **options: object) -> list[str]:
    return [memory.content for memory in engine.search(query, *args, **options)]  # type: ignore[arg-type]


def test_the_best_fit_comes_first_with_its_score(engine: Engine) -> None:
    engine.add_many(
        [
            {"content": text, "user_id": "alice"}
            for text in ("Has a cat called Tom", "Prefers Python for backend work", "Lives in Rome")
        ]
    )

    found = engine.search("prefers Python for what work?", "alice")

    assert found[0].content == "Prefers Python for backend work"
    scores = [memory.score for memory in found]
    assert all(score is not None and 0 <= score <= 1 for score in scores)
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]


def test_at_most_top_k_are_found(engine: Engine, open_engine: Callable[..., Engine]) -> None:
    engine.add_many([{"content": f"Likes tea number {n} {n * 7}", "user_id": "alice"} for n in range(15)])

    assert len(engine.search("tea", "alice")) == 10
    assert len(engine.search("tea", "alice", top_k=3)) == 3
    assert len(engine.search("tea", "alice", top_k=100)) == 15
    assert len(open_engine(top_k=4).search("tea", "alice")) == 4


def test_as_many_as_are_wanted_are_found_if_there_are_as_many(engine: Engine) -> None:
    engine.add_many([{"content": f"Likes tea number {number}", "user_id": "alice"} for number in range(300)])

    found = engine.search("rum", "alice", top_k=1_000)

    assert len({memory.id for memory in found}) == 300


def test_nothing_below_the_minimum_score_is_found(engine: Engine, open_engine: Callable[..., Engine]) -> None:
    engine.add("Likes tea in the morning", "alice")
    (found,) = engine.search("tea at noon", "alice", min_score=0)
    assert found.score is not None
    assert 0 < found.score < 1

    assert engine.search("tea at noon", "alice", min_score=found.score) == [found]
    assert engine.search("tea at noon", "alice", min_score=1) == []
    assert open_engine(min_score=1).search("tea at noon", "alice") == []


def test_nothing_is_found_where_nothing_is_stored(engine: Engine) -> None:
    assert engine.search("tea", "alice") == []


def test_only_the_wanted_categories_are_found(engine: Engine) -> None:
    engine.add("Likes tea", "alice", category="preference")
    engine.add("Owns a tea shop", "alice", category="fact")

    assert contents(engine, "tea", "alice", categories=["PREFERENCE"]) == ["Likes tea"]
    assert contents(engine, "tea", "alice", categories=[]) == []


def test_near_copies_do_not_stand_side_by_side(engine: Engine) -> None:
    engine.add("Likes green tea in the morning", "alice")
    engine.add("likes green tea, in the morning", "alice", session_id="s")

    assert len(engine.search("green tea", "alice", session_id="s")) == 1


def test_a_session_sees_its_user_s_memories_and_its_own(engine: Engine) -> None:
    engine.add("Tea at user level", "alice")
    engine.add("Tea in the morning session", "alice", session_id="morning")
    engine.add("Tea in the afternoon session", "alice", session_id="afternoon")
    engine.add("Tea of somebody else", "bob")

    assert set(contents(engine, "tea", "alice")) == {"Tea at user level"}
    assert set(contents(engine, "tea", "alice", "morning")) == {
        "Tea at user level",
        "Tea in the morning session",
    }
    assert len(contents(engine, "tea", "alice", all_sessions=True)) == 3
    assert contents(engine, "tea", "carol", all_sessions=True) == []


def test_agents_and_turns_keep_theirs_to_themselves(engine: Engine) -> None:
    engine.add("Tea of the planner", "alice", agent_id="planner")
    engine.add("Tea of the planner's turn", "alice", agent_id="planner", turn_id="t1")

    assert contents(engine, "tea", "alice") == []
    assert contents(engine, "tea", "alice", agent_id="writer", turn_id="t1") == []
    assert contents(engine, "tea", "alice", agent_id="planner") == ["Tea of the planner"]
    assert len(contents(engine, "tea", "alice", "any session", "planner", "t1")) == 2


def test_as_of_finds_what_was_current_then(engine: Engine) -> None:
    old = engine.add("Works at Google", "alice", valid_from=datetime(2020, 1, 1, tzinfo=UTC))
    engine.supersede(old.id, "Works at Anthropic", valid_from=datetime(2024, 1, 1, tzinfo=UTC))

    assert contents(engine, "works", "alice") == ["Works at Anthropic"]
    assert contents(engine, "works", "alice", as_of=datetime(2023, 12, 31, tzinfo=UTC)) == ["Works at Google"]
    assert contents(engine, "works", "alice", as_of=datetime(2024, 1, 1, tzinfo=UTC)) == [
        "Works at Anthropic"
    ]
    assert contents(engine, "works", "alice", as_of=datetime(2019, 1, 1, tzinfo=UTC)) == []


def test_of_a_very_long_query_the_end_counts(engine: Engine) -> None:
    engine.add("Has a cat called Tom", "alice")
    engine.add("Prefers Python", "alice")

    pasted = "cat Tom " * 5_000
    found = engine.search(pasted + "word " * 200 + "prefers Python", "alice", top_k=1)

    assert found[0].content == "Prefers Python"


@pytest.mark.parametrize(
    "query", ["tea \ud83d", "\udc00", "tea\0", '"tea" OR (*', "🍵", "x" * 50_000, "tea\n\n\ttea"]
)
def test_any_visible_text_is_a_query(engine: Engine, query: str) -> None:
    engine.add("Likes tea", "alice")

    assert isinstance(engine.search(query, "alice"), list)


def test_a_search_changes_nothing(engine: Engine) -> None:
    added = engine.add("Likes tea", "alice")
    (found,) = engine.search("tea", "alice")

    assert found.score is not None
    assert engine.get(added.id) == added
    assert engine.query(MemoryFilter(user_id="alice")) == [added]


def test_what_was_added_or_removed_shows_in_the_next_search(engine: Engine) -> None:
    for number in range(20):
        added = engine.add(f"Tea number {number}", "alice")
        assert added.id in {found.id for found in engine.search("tea", "alice", top_k=100)}
    engine.delete(added.id)
    assert added.id not in {found.id for found in engine.search("tea", "alice", top_k=100)}
