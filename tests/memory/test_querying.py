"""Queries by filter: any conditions together, against a plain reading of what the documentation says."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from word_embedder import WordEmbedder

from headroom.errors import InvalidInputError
from headroom.memory import (
    Engine,
    Memory,
    MemoryCategory,
    MemoryConfig,
    MemoryFilter,
    MemoryOrder,
    ScopeLevel,
)

START = datetime(2024, 1, 1, tzinfo=UTC)
WORDS = ["amber", "birch", "cedar", "daisy"]
NEVER = datetime(2999, 1, 1, tzinfo=UTC)

some_words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True)
importances = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
days = st.integers(0, 9).map(lambda day: START + timedelta(days=day))
maybe_part = st.none() | st.sampled_from(["1", "2"])
scopes = st.fixed_dictionaries(dict.fromkeys(("session_id", "agent_id", "turn_id"), maybe_part))

drafts = st.fixed_dictionaries(
    {
        "words": some_words,
        "category": st.sampled_from(list(MemoryCategory)),
        "importance": importances,
        "entities": st.lists(st.sampled_from(["Ann", "BOB", "Çelik"]), max_size=2),
        "metadata": st.dictionaries(
            st.sampled_from(["a", "b"]), st.sampled_from([1, True, "x", None, [1]]), max_size=2
        ),
        "valid_from": days,
        "expires": st.booleans(),
        "superseded_after": st.none() | st.integers(1, 5),
        "scope": scopes,
    }
)
filters = st.fixed_dictionaries(
    {},
    optional={
        "session_id": st.sampled_from(["1", "2"]),
        "agent_id": st.sampled_from(["1", "2"]),
        "turn_id": st.sampled_from(["1", "2"]),
        "levels": st.lists(st.sampled_from(list(ScopeLevel)), max_size=3),
        "categories": st.lists(st.sampled_from(list(MemoryCategory)), max_size=4),
        "include_superseded": st.booleans(),
        "include_expired": st.booleans(),
        "as_of": days,
        "min_importance": importances,
        "max_importance": importances,
        "entities": st.lists(st.sampled_from(["ann", "Bob", "ÇELIK", "nobody"]), min_size=1, max_size=2),
        "metadata": st.dictionaries(
            st.sampled_from(["a", "b"]), st.sampled_from([1, True, "x", None]), max_size=1
        ),
        "text": some_words.map(" ".join),
    },
)


def meets(memory: Memory, where: dict[str, Any]) -> bool:
    """Whether the memory meets every condition, read as the documentation says it."""
    same = lambda one, other: one == other and isinstance(one, bool) == isinstance(other, bool)  # noqa: E731
    as_of = where.get("as_of")
    current = (
        memory.valid_from <= as_of and (memory.valid_until is None or as_of < memory.valid_until)
        if as_of is not None
        else memory.is_current or where.get("include_superseded", False)
    )
    expired = memory.expires_at is not None and memory.expires_at <= datetime.now(UTC)
    names = {name.casefold() for name in memory.entities}
    return (
        current
        and (not expired or where.get("include_expired", False))
        and all(
            getattr(memory, part) == where[part]
            for part in ("session_id", "agent_id", "turn_id")
            if part in where
        )
        and ("levels" not in where or memory.level in where["levels"])
        and ("categories" not in where or memory.category in where["categories"])
        and where.get("min_importance", 0) <= memory.importance <= where.get("max_importance", 1)
        and ("entities" not in where or not names.isdisjoint(name.casefold() for name in where["entities"]))
        and all(
            key in memory.metadata and same(memory.metadata[key], value)
            for key, value in where.get("metadata", {}).items()
        )
        and set(where.get("text", "").split()) <= set(memory.content.split())
    )


def store(engine: Engine, number: int, draft: dict[str, Any]) -> Iterator[str]:
    """Store a memory and perhaps its successor; yield their ids."""
    since = draft["valid_from"]
    added = engine.add(
        f"{' '.join(draft['words'])} note{number}",
        "alice",
        **draft["scope"],
        category=draft["category"],
        importance=draft["importance"],
        entities=draft["entities"],
        metadata=draft["metadata"],
        valid_from=since,
        expires_at=since + timedelta(days=60) if draft["expires"] else NEVER,
    )
    yield added.id
    if draft["superseded_after"] is not None and not draft["expires"]:
        later = since + timedelta(days=draft["superseded_after"])
        yield engine.supersede(added.id, f"cedar change{number}", valid_from=later).id


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    drafts=st.lists(drafts, min_size=1, max_size=8),
    asked=st.lists(filters, min_size=10, max_size=10),
    offset=st.integers(0, 5),
    limit=st.none() | st.integers(0, 5),
)
def test_a_query_finds_what_meets_every_condition_and_nothing_else(
    drafts: list[dict[str, Any]], asked: list[dict[str, Any]], offset: int, limit: int | None
) -> None:
    with (
        TemporaryDirectory() as folder,
        Engine(MemoryConfig(db_path=Path(folder) / "memory.db", embedder=WordEmbedder())) as engine,
    ):
        ids = [found for number, draft in enumerate(drafts) for found in store(engine, number, draft)]
        engine.add("amber birch cedar daisy", "bob")
        memories = engine.query(MemoryFilter(user_id="alice", include_superseded=True, include_expired=True))
        assert [memory.id for memory in memories] == ids

        for where in asked:
            expected = [memory.id for memory in memories if meets(memory, where)]
            found = engine.query(MemoryFilter(user_id="alice", **where))
            assert [memory.id for memory in found] == expected
            page = engine.query(MemoryFilter(user_id="alice", **where, offset=offset, limit=limit))
            assert [memory.id for memory in page] == expected[
                offset : None if limit is None else offset + limit
            ]


@pytest.fixture
def memories(engine: Engine) -> list[Memory]:
    return [engine.add(f"Memory {n}", "alice", importance=(n % 3) / 2) for n in range(6)]


def test_queries_are_ordered_as_asked(engine: Engine, memories: list[Memory]) -> None:
    def listed(order: MemoryOrder | str) -> list[Memory]:
        return engine.query(MemoryFilter(user_id="alice", order=order))  # type: ignore[arg-type]

    assert listed(MemoryOrder.OLDEST) == memories
    assert listed("newest") == memories[::-1]
    assert listed(MemoryOrder.IMPORTANCE) == sorted(memories, key=lambda memory: -memory.importance)


def test_queries_can_be_bounded_by_the_time_of_storing(engine: Engine, memories: list[Memory]) -> None:
    after = engine.query(MemoryFilter(user_id="alice", created_after=memories[2].created_at))
    before = engine.query(MemoryFilter(user_id="alice", created_before=memories[2].created_at))

    assert after == memories[2:]
    assert before == memories[:2]


@pytest.mark.parametrize(
    "text", ['"', "memory OR", "NEAR(", "*", "content:x", "-", "", "(((", "a\0b", "'; DROP"]
)
def test_text_is_never_read_as_syntax(engine: Engine, memories: list[Memory], text: str) -> None:
    assert set(engine.query(MemoryFilter(user_id="alice", text=text))) <= set(memories)
    assert engine.count("alice") == len(memories)


def test_words_are_found_in_other_forms(engine: Engine) -> None:
    added = engine.add("Prefers climbing mountains", "alice")

    assert engine.query(MemoryFilter(user_id="alice", text="mountain climb")) == [added]


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"user_id": ""}, "user_id is blank"),
        ({"session_id": "\n"}, "session_id is blank"),
        ({"levels": "user"}, r"levels must be a collection, e.g. \['user'\]"),
        ({"levels": ["galaxy"]}, "unknown level 'galaxy'; the levels are: user, session, agent, turn"),
        ({"categories": "fact"}, r"categories must be a collection, e.g. \['fact'\]"),
        ({"categories": ["hobby"]}, "unknown category 'hobby'"),
        ({"entities": "Ann"}, r"entities must be a collection, e.g. \['Ann'\]"),
        ({"entities": [1]}, r"entities must be a collection of names, not \[1\]"),
        ({"entities": 1}, "entities must be a collection of names, not 1"),
        ({"text": 5}, "text must be a string of words, not 5"),
        ({"as_of": datetime(2024, 1, 1)}, "as_of must be a timezone-aware datetime"),  # noqa: DTZ001
        ({"created_after": "today"}, "created_after must be a timezone-aware datetime"),
        (
            {"created_before": datetime.min.replace(tzinfo=UTC)},
            "created_before must lie within the years 2 to 9998",
        ),
        ({"min_importance": -1}, "min_importance must be a number from 0 to 1"),
        ({"max_importance": 1.5}, "max_importance must be a number from 0 to 1"),
        ({"limit": -1}, "limit must be a whole number of at least 0, but is -1"),
        ({"offset": 1.5}, "offset must be a whole number of at least 0, but is 1.5"),
        ({"order": "random"}, "unknown order 'random'; the orders are: oldest, newest, importance"),
        ({"metadata": {"x": {1, 2}}}, "metadata to filter by is not JSON-compatible"),
    ],
)
def test_a_filter_that_cannot_be_is_refused(engine: Engine, conditions: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        engine.query(MemoryFilter(**{"user_id": "alice"} | conditions))
