"""What has expired is gone for every question, whether or not housekeeping has been there."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest

from headroom.errors import MemoryNotFoundError
from headroom.memory import Engine, Memory, MemoryFilter

YEARS_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LAST_YEAR = datetime(2021, 1, 1, tzinfo=UTC)


@pytest.fixture
def expired(engine: Engine) -> Memory:
    return engine.add("Likes tea", "alice", valid_from=YEARS_AGO, expires_at=LAST_YEAR)


@pytest.mark.usefixtures("expired")
def test_the_expired_is_neither_found_nor_listed_nor_counted(engine: Engine) -> None:
    kept = engine.add("Likes tea and rum", "alice", expires_at=datetime(2999, 1, 1, tzinfo=UTC))

    assert [found.id for found in engine.search("tea", "alice")] == [kept.id]
    assert engine.query(MemoryFilter(user_id="alice")) == [kept]
    assert engine.count("alice") == 1
    assert engine.stats("alice")["total"] == 1


def test_the_expired_is_listed_for_who_asks_for_it(engine: Engine, expired: Memory) -> None:
    assert engine.query(MemoryFilter(user_id="alice", include_expired=True)) == [expired]


def test_the_expired_has_no_id_any_more(engine: Engine, expired: Memory) -> None:
    assert engine.get(expired.id) is None
    with pytest.raises(MemoryNotFoundError, match="expired"):
        engine.supersede(expired.id, "Likes rum")
    for call in (engine.rollback, engine.get_history):
        with pytest.raises(MemoryNotFoundError, match="expired"):
            call(expired.id)


def test_the_expired_may_be_learned_again(engine: Engine, expired: Memory) -> None:
    again = engine.add("Likes tea", "alice")

    assert again.id != expired.id
    assert [found.id for found in engine.search("tea", "alice")] == [again.id]


def test_what_was_known_before_it_expired_can_still_be_asked(engine: Engine, expired: Memory) -> None:
    then = YEARS_AGO + timedelta(days=1)

    assert engine.query(MemoryFilter(user_id="alice", as_of=then, include_expired=True)) == [expired]


def test_a_session_s_memories_live_as_long_as_configured_and_the_user_s_for_ever(
    open_engine: Callable[..., Engine],
) -> None:
    engine = open_engine(session_lifetime=timedelta(days=30))
    user = engine.add("Likes tea", "alice")
    [session] = engine.add_many([{"content": "Plans a trip", "user_id": "alice", "session_id": "s"}])
    agent = engine.add("Compares prices", "alice", session_id="s", agent_id="a")
    turn = engine.add("Is choosing a colour", "alice", session_id="s", turn_id="t")
    named = engine.add("Is on hold", "alice", session_id="s", expires_at=datetime(2999, 1, 1, tzinfo=UTC))

    assert user.expires_at is None
    assert session.expires_at == session.created_at + timedelta(days=30)
    assert agent.expires_at == agent.created_at + timedelta(days=30)
    assert turn.expires_at == turn.created_at + timedelta(hours=1)
    assert named.expires_at == datetime(2999, 1, 1, tzinfo=UTC)


def test_what_a_session_says_again_lives_on(open_engine: Callable[..., Engine]) -> None:
    engine = open_engine(session_lifetime=timedelta(days=30))
    first = engine.add("Plans a trip", "alice", session_id="s")

    again = engine.add("Plans a trip", "alice", session_id="s")

    assert again.id == first.id
    assert first.expires_at is not None
    assert again.expires_at is not None
    assert again.expires_at > first.expires_at


def test_vacuum_removes_the_expired_and_nothing_else(engine: Engine, expired: Memory) -> None:
    old = engine.add("Works at Google", "alice")
    engine.supersede(old.id, "Works at Anthropic")
    engine.add("Likes rum", "alice", turn_id="t1")

    assert engine.vacuum() == 1
    assert engine.vacuum() == 0
    listed = engine.query(MemoryFilter(user_id="alice", include_expired=True, include_superseded=True))
    assert expired.id not in {memory.id for memory in listed}
    assert len(listed) == 3
    assert [found.content for found in engine.search("works", "alice", top_k=1)] == ["Works at Anthropic"]


def test_vacuum_beside_another_engine_is_seen_by_it(
    open_engine: Callable[..., Engine], engine: Engine
) -> None:
    other = open_engine()
    engine.add("Likes tea", "alice", valid_from=YEARS_AGO, expires_at=LAST_YEAR)
    kept = engine.add("Likes rum", "alice")
    assert [found.id for found in other.search("rum", "alice")] == [kept.id]

    assert other.vacuum() == 1
    assert [found.id for found in engine.search("rum", "alice")] == [kept.id]


def test_a_memory_s_history_goes_with_it(engine: Engine) -> None:
    old = engine.add("Likes tea", "alice", valid_from=YEARS_AGO)
    engine.supersede(old.id, "Likes rum", valid_from=LAST_YEAR, expires_at=LAST_YEAR + timedelta(days=1))

    engine.vacuum()

    assert engine.query(MemoryFilter(user_id="alice", include_expired=True, include_superseded=True)) == []


def test_a_version_that_had_an_end_can_be_restored_to_a_memory_that_has_none(engine: Engine) -> None:
    years_ago, last_year = YEARS_AGO.isoformat(), LAST_YEAR.isoformat()
    old = {
        "id": "old",
        "content": "Likes tea",
        "user_id": "alice",
        "created_at": years_ago,
        "valid_from": years_ago,
    }
    new = {
        "id": "new",
        "content": "Likes rum",
        "user_id": "alice",
        "created_at": last_year,
        "valid_from": last_year,
    }
    old |= {"valid_until": last_year, "superseded_by": "new", "expires_at": last_year}
    new |= {"supersedes": "old"}
    lines = [{"format": "headroom-memory", "version": 1}, old, new]
    engine.import_(StringIO("\n".join(map(json.dumps, lines))))

    assert engine.vacuum() == 0
    assert [version.content for version in engine.get_history("new")] == ["Likes tea", "Likes rum"]
    restored = engine.rollback("old")
    assert (restored.content, restored.expires_at) == ("Likes tea", None)
