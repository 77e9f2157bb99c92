"""What cannot be stored or looked for is refused with a clear error, and nothing of it is stored."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headroom.errors import ConfigurationError, InvalidInputError, InvalidScopeError, MemoryNotFoundError
from headroom.memory import Engine, Memory, MemoryFilter

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NAIVE = NOON.replace(tzinfo=None)

IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"content": ""}, "content is blank"),
    ({"content": " \n\t"}, "content is blank"),
    ({"content": "\u200b\u200d"}, "content is blank"),
    ({"content": "x" * 8_001}, "8001 characters, but at most 8000"),
    ({"content": "half \ud83d"}, "surrogate"),
    ({"content": "nul \0"}, "NUL"),
    ({"content": b"bytes"}, "content must be a string, not bytes"),
    ({"content": None}, "content must be a string, not NoneType"),
    ({"category": "hobby"}, "unknown category 'hobby'; the categories are: preference, fact"),
    ({"category": 3}, "unknown category 3"),
    ({"importance": -0.01}, "importance must be a number from 0 to 1"),
    ({"importance": 1.01}, "importance must be a number from 0 to 1"),
    ({"importance": float("nan")}, "importance must be a number from 0 to 1"),
    ({"importance": 10**400}, "importance must be a number from 0 to 1"),
    ({"importance": "high"}, "importance must be a number from 0 to 1"),
    ({"importance": True}, "importance must be a number from 0 to 1"),
    ({"metadata": {"when": NOON}}, "metadata is not JSON-compatible"),
    ({"metadata": {"pair": (1, 2)}}, r"metadata is not JSON-compatible.*lists \(not tuples\)"),
    ({"metadata": {1: "one"}}, "metadata is not JSON-compatible.*string keys"),
    ({"metadata": {"x": float("inf")}}, "metadata is not JSON-compatible"),
    ({"metadata": {"x": float("nan")}}, "metadata is not JSON-compatible"),
    ({"metadata": {"half": "\udc00"}}, "metadata contains half of a surrogate pair"),
    ({"metadata": ["a"]}, "metadata must be a mapping, not list"),
    ({"entities": "Sarah"}, r"entities must be a collection.*\('Sarah',\)"),
    ({"entities": 3}, "entities must be a collection"),
    ({"entities": [""]}, "an entity is blank"),
    ({"entities": [3]}, "an entity must be a string, not int"),
    ({"entities": ["x" * 257]}, "an entity has 257 characters"),
    ({"valid_from": NAIVE}, "valid_from must be a timezone-aware datetime"),
    ({"valid_from": "2024-05-01"}, "valid_from must be a timezone-aware datetime"),
    ({"valid_from": datetime.max.replace(tzinfo=UTC)}, "valid_from must lie within the years"),
    ({"expires_at": NAIVE}, "expires_at must be a timezone-aware datetime"),
    ({"expires_at": NOON}, r"expires_at .* must be later than valid_from"),
    ({"expires_at": NOON, "valid_from": NOON}, r"expires_at .* must be later than valid_from"),
    (
        {"expires_at": NOON, "valid_from": NOON + timedelta(days=1)},
        r"expires_at .* must be later than valid_from",
    ),
]

IMPOSSIBLE_SCOPES: list[tuple[dict[str, Any], str]] = [
    ({"user_id": None}, "user_id must be a string, not NoneType"),
    ({"user_id": 7}, "user_id must be a string, not int"),
    ({"user_id": " "}, "user_id is blank"),
    ({"session_id": "x" * 257}, "session_id has 257 characters"),
    ({"agent_id": "a\nb"}, "agent_id contains control"),
    ({"turn_id": ""}, "turn_id is blank"),
]


def stored(engine: Engine) -> list[Memory]:
    return engine.query(MemoryFilter(user_id="alice", include_superseded=True, include_expired=True))


@pytest.mark.parametrize(("given", "message"), [*IMPOSSIBLE, *IMPOSSIBLE_SCOPES])
def test_an_impossible_memory_is_not_added(engine: Engine, given: dict[str, Any], message: str) -> None:
    error = InvalidScopeError if (given, message) in IMPOSSIBLE_SCOPES else InvalidInputError
    with pytest.raises(error, match=message):
        engine.add(**{"content": "Likes tea", "user_id": "alice"} | given)

    assert stored(engine) == []


@pytest.mark.parametrize(("given", "message"), IMPOSSIBLE)
def test_a_memory_is_not_superseded_by_an_impossible_one(
    engine: Engine, given: dict[str, Any], message: str
) -> None:
    old = engine.add("Likes tea", "alice")
    changes = {"new_content" if name == "content" else name: value for name, value in given.items()}
    if changes.get("valid_from") == NOON + timedelta(days=1) or changes == {
        "expires_at": NOON,
        "valid_from": NOON,
    }:
        message = "valid_from .* must be later than that of the version"

    with pytest.raises(InvalidInputError, match=message):
        engine.supersede(**{"old_memory_id": old.id, "new_content": "Likes rum"} | changes)

    assert stored(engine) == [old]


def test_circular_metadata_is_refused(engine: Engine) -> None:
    metadata: dict[str, Any] = {}
    metadata["self"] = metadata
    with pytest.raises(InvalidInputError, match="metadata is not JSON-compatible"):
        engine.add("Likes tea", "alice", metadata=metadata)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"query": ""}, "query is blank"),
        ({"query": " \n"}, "query is blank"),
        ({"query": None}, "query must be a string, not NoneType"),
        ({"top_k": 0}, "top_k must be a whole number of at least 1, but is 0"),
        ({"top_k": 2.5}, "top_k must be a whole number of at least 1, but is 2.5"),
        ({"top_k": True}, "top_k must be a whole number of at least 1, but is True"),
        ({"min_score": -0.1}, "min_score must be a number from 0 to 1"),
        ({"min_score": 1.1}, "min_score must be a number from 0 to 1"),
        ({"categories": ["hobby"]}, "unknown category 'hobby'"),
        ({"categories": "fact"}, r"categories must be a collection, e.g. \['fact'\]"),
        ({"as_of": NAIVE}, "as_of must be a timezone-aware datetime"),
        ({"user_id": None}, "user_id must be a string"),
        ({"user_id": ""}, "user_id is blank"),
        ({"session_id": ""}, "session_id is blank"),
    ],
)
def test_an_impossible_search_is_refused(engine: Engine, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        engine.search(**{"query": "tea", "user_id": "alice"} | given)


@pytest.mark.parametrize(
    "call",
    [
        lambda engine: engine.supersede("nothing", "Likes rum"),
        lambda engine: engine.rollback("nothing"),
        lambda engine: engine.get_history("nothing"),
    ],
)
def test_an_unknown_id_is_named(engine: Engine, call: Callable[[Engine], object]) -> None:
    with pytest.raises(MemoryNotFoundError, match="'nothing'"):
        call(engine)


@pytest.mark.parametrize("call", ["get", "get_history", "rollback", "delete", "supersede"])
@pytest.mark.parametrize("what", [None, 7, ["an id"], "the memory itself"])
def test_what_is_no_id_is_refused(engine: Engine, call: str, what: Any) -> None:
    added = engine.add("Likes tea", "alice")
    wrong = added if what == "the memory itself" else what
    more = ["Likes rum"] if call == "supersede" else []

    with pytest.raises(InvalidInputError, match=f"not a {type(wrong).__name__}; e.g. memory.id"):
        getattr(engine, call)(wrong, *more)
    assert stored(engine) == [added]


def test_a_query_is_a_filter(engine: Engine) -> None:
    with pytest.raises(InvalidInputError, match=r"MemoryFilter\(user_id='alice'\)"):
        engine.query("alice")  # type: ignore[arg-type]


def test_an_unknown_id_is_not_there_and_cannot_be_deleted(engine: Engine) -> None:
    assert engine.get("nothing") is None
    assert engine.delete("nothing") is False


@pytest.mark.parametrize("call", ["clear", "stats", "count"])
@pytest.mark.parametrize(("given", "message"), IMPOSSIBLE_SCOPES)
def test_an_impossible_scope_is_refused(
    engine: Engine, call: str, given: dict[str, Any], message: str
) -> None:
    if call == "stats" and "turn_id" in given:
        given, message = {"session_id": ""}, "session_id is blank"
    with pytest.raises(InvalidScopeError, match=message):
        getattr(engine, call)(**{"user_id": "alice"} | given)


def test_the_longest_content_is_a_setting(open_engine: Callable[..., Engine]) -> None:
    engine = open_engine(max_content_length=10)

    assert engine.add(" 1234567890 ", "alice").content == "1234567890"
    with pytest.raises(InvalidInputError, match="11 characters, but at most 10"):
        engine.add("12345678901", "alice")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.text(max_size=50), key=st.text(max_size=10), entity=st.text(max_size=20))
def test_any_text_is_kept_as_it_is_or_refused(engine: Engine, content: str, key: str, entity: str) -> None:
    try:
        added = engine.add(content, "alice", metadata={key: content}, entities=[entity])
    except InvalidInputError:
        return
    kept = engine.get(added.id)
    assert kept == added
    engine.search(content, "alice")
    engine.clear("alice")


def test_an_engine_is_opened_with_a_config_and_not_with_a_path() -> None:
    with pytest.raises(ConfigurationError, match=r"MemoryConfig\(db_path='memory.db'\)"):
        Engine("memory.db")  # type: ignore[arg-type]
