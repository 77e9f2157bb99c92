from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from headroom.errors import InvalidInputError
from headroom.memory import Engine, Memory, MemoryCategory, MemoryFilter, ScopeLevel


def everything_of(engine: Engine, user_id: str = "alice") -> list[Memory]:
    return engine.query(MemoryFilter(user_id=user_id, include_superseded=True, include_expired=True))


def test_what_was_added_is_there_as_it_was_given(engine: Engine) -> None:
    since = datetime(2024, 5, 1, 12, tzinfo=UTC)
    until = datetime(2999, 1, 1, tzinfo=UTC)

    added = engine.add(
        "Prefers Python",
        "alice",
        "morning",
        "planner",
        "turn-1",
        "Preference",
        0.8,
        {"source": {"page": 3, "tags": ["a", None, True]}},
        ["Python", "Guido"],
        until,
        since,
    )

    assert engine.get(added.id) == added
    assert added.content == "Prefers Python"
    assert (added.user_id, added.session_id, added.agent_id, added.turn_id) == (
        "alice",
        "morning",
        "planner",
        "turn-1",
    )
    assert added.category is MemoryCategory.PREFERENCE
    assert added.importance == 0.8
    assert added.metadata == {"source": {"page": 3, "tags": ["a", None, True]}}
    assert added.entities == ("Python", "Guido")
    assert (added.valid_from, added.expires_at) == (since, until)
    assert added.is_current
    assert added.score is None


def test_the_usual_values_are_a_fact_of_medium_importance_at_user_level(engine: Engine) -> None:
    before = datetime.now(UTC)
    added = engine.add("Works at Google", "alice")
    after = datetime.now(UTC)

    assert added.category is MemoryCategory.FACT
    assert added.importance == 0.5
    assert added.level is ScopeLevel.USER
    assert (added.entities, added.metadata, added.expires_at) == ((), {}, None)
    assert before <= added.created_at <= after
    assert added.valid_from == added.created_at


def test_content_is_stripped_and_composed(engine: Engine) -> None:
    assert engine.add("  Met Ame\u0301lie\n", "alice").content == "Met Am\u00e9lie"


def test_times_are_kept_in_utc(engine: Engine) -> None:
    since = datetime.fromisoformat("2024-05-01T14:00:00+02:00")

    added = engine.add("Moved", "alice", valid_from=since)

    assert added.valid_from == since
    assert engine.get(added.id).valid_from.tzinfo is UTC  # type: ignore[union-attr]


@pytest.mark.parametrize("again", ["Likes tea", " likes  TEA", "Likes tea.", "LIKES TEA!\n"])
def test_what_is_stored_already_is_not_stored_again(engine: Engine, again: str) -> None:
    first = engine.add("Likes tea", "alice")

    assert engine.add(again, "alice") == first
    assert everything_of(engine) == [first]


@pytest.mark.parametrize(
    "scope",
    [{"user_id": "bob"}, {"user_id": "alice", "session_id": "s"}, {"user_id": "alice", "agent_id": "a"}],
)
def test_the_same_text_in_another_scope_is_another_memory(engine: Engine, scope: dict[str, str]) -> None:
    first = engine.add("Likes tea", "alice")

    assert engine.add("Likes tea", **scope).id != first.id


def test_what_was_superseded_may_become_true_again(engine: Engine) -> None:
    google = engine.add("Works at Google", "alice")
    engine.supersede(google.id, "Works at Anthropic")

    assert engine.add("Works at Google", "alice").id != google.id


def test_metadata_belongs_to_the_memory_and_not_to_the_caller(engine: Engine) -> None:
    mine = {"tags": ["a"]}
    added = engine.add("Likes tea", "alice", metadata=mine)
    mine["tags"].append("b")

    assert added.metadata == {"tags": ["a"]}
    assert engine.add("Likes rum", "alice", metadata=MappingProxyType({"a": 1})).metadata == {"a": 1}


def test_entities_are_named_once_whatever_their_case(engine: Engine) -> None:
    added = engine.add("Sarah leads Apollo", "alice", entities=iter(["Sarah", " Apollo", "SARAH", "apollo "]))

    assert added.entities == ("Sarah", "Apollo")


def test_a_turn_s_memory_ends_by_itself_an_hour_later(engine: Engine) -> None:
    added = engine.add("Is choosing a colour", "alice", turn_id="t1")

    assert added.expires_at == added.created_at + timedelta(hours=1)


def test_many_are_added_at_once_and_come_back_in_order(engine: Engine) -> None:
    kept = engine.add("Likes tea", "alice")

    added = engine.add_many(
        [
            {"content": "Likes rum", "user_id": "alice", "importance": 0.9},
            {"content": "likes tea", "user_id": "alice"},
            {"content": "Likes rum", "user_id": "bob", "category": "preference"},
            {"content": "Likes RUM.", "user_id": "alice"},
        ]
    )

    assert [memory.content for memory in added] == ["Likes rum", "Likes tea", "Likes rum", "Likes rum"]
    assert added[1] == kept
    assert added[3] == added[0]
    assert everything_of(engine) == [kept, added[0]]
    assert everything_of(engine, "bob") == [added[2]]


def test_many_may_be_none(engine: Engine) -> None:
    assert engine.add_many([]) == []


def test_of_many_none_is_added_where_one_cannot_be(engine: Engine) -> None:
    with pytest.raises(InvalidInputError, match="item 1: importance"):
        engine.add_many(
            [
                {"content": "Likes rum", "user_id": "alice"},
                {"content": "Likes tea", "user_id": "alice", "importance": 2},
            ]
        )

    assert everything_of(engine) == []


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"content": "Likes tea", "user_id": "alice", "categry": "fact"}, r"item 0:.*categry.*category"),
        ({"content": "Likes tea"}, "item 0:.*user_id"),
        ({"user_id": "alice"}, "item 0:.*content"),
        ("Likes tea", "item 0:.*mapping"),
    ],
)
def test_an_item_of_many_is_a_mapping_of_add_s_arguments(engine: Engine, item: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        engine.add_many([item])  # type: ignore[list-item]
