from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from headroom.errors import InvalidInputError, MemoryNotFoundError, MemorySupersededError
from headroom.memory import Engine, Memory, MemoryCategory, MemoryFilter
from headroom.memory.drafts import successor

VERSIONS = 50
DAY = timedelta(days=1)


def current(engine: Engine) -> list[Memory]:
    return engine.query(MemoryFilter(user_id="alice"))


@pytest.fixture
def chain(engine: Engine) -> list[Memory]:
    """Fifty versions of one memory, as they stand in its history."""
    version = engine.add("Lives in town 0", "alice")
    for number in range(1, VERSIONS):
        version = engine.supersede(version.id, f"Lives in town {number}")
    return engine.get_history(version.id)


def test_the_new_version_takes_the_place_of_the_old(engine: Engine) -> None:
    old = engine.add("Works at Google", "alice")
    new = engine.supersede(old.id, "Works at Anthropic")

    assert current(engine) == [new]
    assert new.supersedes == old.id
    closed = engine.get(old.id)
    assert closed is not None
    assert closed.superseded_by == new.id
    assert closed.valid_until == new.valid_from
    assert not closed.is_current
    assert engine.get_history(old.id) == engine.get_history(new.id) == [closed, new]


def test_what_is_not_changed_is_kept(engine: Engine) -> None:
    expiry = datetime(2999, 1, 1, tzinfo=UTC)
    old = engine.add(
        "Sarah leads Apollo",
        "alice",
        "s",
        "a",
        None,
        "entity",
        0.9,
        {"source": "mail"},
        ["Sarah", "Apollo"],
        expiry,
    )
    new = engine.supersede(old.id, "Sarah leads Artemis")

    assert new.scope == old.scope
    for name in ("category", "importance", "metadata", "entities", "expires_at"):
        assert getattr(new, name) == getattr(old, name)


def test_what_is_changed_is_changed(engine: Engine) -> None:
    since, expiry = datetime(2999, 1, 1, tzinfo=UTC), datetime(2999, 2, 1, tzinfo=UTC)
    old = engine.add("Sarah leads Apollo", "alice", importance=0.9, metadata={"a": 1}, entities=["Sarah"])
    new = engine.supersede(
        old.id,
        "Prefers Artemis",
        category="preference",
        importance=0.0,
        metadata={},
        entities=(),
        valid_from=since,
        expires_at=expiry,
    )

    assert new.category is MemoryCategory.PREFERENCE
    assert (new.importance, new.metadata, new.entities) == (0.0, {}, ())
    assert (new.valid_from, new.expires_at) == (since, expiry)
    assert engine.get(new.id) == new


def test_superseding_history_fails_and_names_the_current_version(engine: Engine, chain: list[Memory]) -> None:
    with pytest.raises(MemorySupersededError, match=chain[-1].id) as caught:
        engine.supersede(chain[3].id, "Lives in Rome")

    assert caught.value.memory_id == chain[3].id
    assert caught.value.current_id == chain[-1].id
    assert engine.get_history(chain[0].id) == chain


def test_a_version_cannot_begin_before_the_one_it_supersedes(engine: Engine) -> None:
    old = engine.add("Works at Google", "alice", valid_from=datetime(2024, 1, 1, tzinfo=UTC))

    with pytest.raises(InvalidInputError, match=r"valid_from .* must be later"):
        engine.supersede(old.id, "Works at Anthropic", valid_from=datetime(2023, 1, 1, tzinfo=UTC))
    assert current(engine) == [old]


def test_a_fact_that_holds_only_later_can_be_superseded_now(engine: Engine) -> None:
    old = engine.add("Will move to Rome", "alice", valid_from=datetime(2999, 1, 1, tzinfo=UTC))
    new = engine.supersede(old.id, "Will move to Oslo")

    assert new.valid_from > old.valid_from


def test_a_version_is_later_than_the_one_before_it_even_if_the_clock_was_set_back(engine: Engine) -> None:
    old = engine.add("Lives in Oslo", "alice")
    hour_ago = old.created_at - timedelta(hours=1)

    new = successor(old, "Lives in Rome", now=hour_ago, max_content_length=100)
    planned = successor(
        old, "Lives in Rome", valid_from=old.valid_from + DAY, now=hour_ago, max_content_length=100
    )

    assert old.created_at < new.created_at == new.valid_from < old.created_at + timedelta(seconds=1)
    assert (planned.created_at, planned.valid_from) == (new.created_at, old.valid_from + DAY)


def test_a_chain_keeps_all_its_versions_in_order(engine: Engine, chain: list[Memory]) -> None:
    assert [version.content for version in chain] == [f"Lives in town {number}" for number in range(VERSIONS)]
    for earlier, later in pairwise(chain):
        assert (earlier.superseded_by, later.supersedes) == (later.id, earlier.id)
        assert earlier.valid_from < later.valid_from == earlier.valid_until
    for version in chain[::7]:
        assert engine.get_history(version.id) == chain
    assert current(engine) == [chain[-1]]


def test_as_of_answers_what_was_current_then(engine: Engine, chain: list[Memory]) -> None:
    for version in chain:
        begin, end = version.valid_from, version.valid_until or version.valid_from + timedelta(seconds=1)
        for moment in (begin, begin + (end - begin) / 2, end - timedelta(microseconds=1)):
            assert engine.query(MemoryFilter(user_id="alice", as_of=moment)) == [version]
            found = engine.search("town", "alice", as_of=moment, min_score=0)
            assert [memory.id for memory in found] == [version.id]


def test_before_the_first_version_there_was_nothing(engine: Engine, chain: list[Memory]) -> None:
    before = chain[0].valid_from - timedelta(microseconds=1)

    assert engine.query(MemoryFilter(user_id="alice", as_of=before)) == []
    assert engine.search("town", "alice", as_of=before) == []


def test_rolling_back_appends_what_a_version_said(engine: Engine, chain: list[Memory]) -> None:
    restored = engine.rollback(chain[10].id)

    assert restored.content == "Lives in town 10"
    assert restored.id not in {version.id for version in chain}
    history = engine.get_history(restored.id)
    assert [version.id for version in history] == [*(version.id for version in chain), restored.id]
    assert current(engine) == [restored]
    assert [found.id for found in engine.search("Lives in town 10", "alice")] == [restored.id]


def test_rolling_back_brings_back_all_that_a_version_said(engine: Engine) -> None:
    first = engine.add(
        "Likes tea", "alice", category="preference", importance=0.9, metadata={"a": 1}, entities=["tea"]
    )
    engine.supersede(first.id, "Likes rum", category="fact", importance=0.1, metadata={}, entities=())

    restored = engine.rollback(first.id)

    for name in ("content", "category", "importance", "metadata", "entities", "scope"):
        assert getattr(restored, name) == getattr(first, name)


def test_rolling_back_to_what_is_current_changes_nothing(engine: Engine, chain: list[Memory]) -> None:
    assert engine.rollback(chain[-1].id) == chain[-1]
    assert engine.get_history(chain[0].id) == chain

    restored = engine.rollback(chain[10].id)
    assert engine.rollback(chain[10].id) == restored
    assert len(engine.get_history(restored.id)) == VERSIONS + 1


def test_rolling_back_keeps_today_s_expiry(engine: Engine) -> None:
    first = engine.add("Likes tea", "alice")
    expiry = datetime(2999, 1, 1, tzinfo=UTC)
    engine.supersede(first.id, "Likes rum", expires_at=expiry)

    assert engine.rollback(first.id).expires_at == expiry


def test_versions_are_superseded_in_their_own_scope_only(engine: Engine) -> None:
    mine = engine.add("Likes tea", "alice")
    theirs = engine.add("Likes tea", "bob")
    engine.supersede(mine.id, "Likes rum")

    assert engine.query(MemoryFilter(user_id="bob")) == [theirs]


def test_a_deleted_memory_cannot_be_superseded(engine: Engine, chain: list[Memory]) -> None:
    assert engine.delete(chain[20].id) is True

    assert current(engine) == []
    assert engine.get(chain[-1].id) is None
    with pytest.raises(MemoryNotFoundError):
        engine.get_history(chain[0].id)
    with pytest.raises(MemoryNotFoundError):
        engine.supersede(chain[-1].id, "Lives in Rome")


def test_another_engine_sees_the_change(engine: Engine, open_engine: Callable[..., Engine]) -> None:
    other = open_engine()
    old = engine.add("Works at Google", "alice")
    assert [found.id for found in other.search("works", "alice")] == [old.id]

    new = other.supersede(old.id, "Works at Anthropic")

    assert [found.id for found in engine.search("works", "alice")] == [new.id]
    with pytest.raises(MemorySupersededError, match=new.id):
        engine.supersede(old.id, "Works at Apple")
