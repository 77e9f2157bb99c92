import pytest

from headroom.memory import Engine, Memory, MemoryFilter

SCOPES = [
    {"user_id": "alice"},
    {"user_id": "alice", "agent_id": "a"},
    {"user_id": "alice", "session_id": "s"},
    {"user_id": "alice", "session_id": "s", "agent_id": "a"},
    {"user_id": "alice", "session_id": "s", "agent_id": "a", "turn_id": "t"},
    {"user_id": "alice", "session_id": "s", "turn_id": "t"},
    {"user_id": "alice", "session_id": "other", "agent_id": "a"},
    {"user_id": "bob", "session_id": "s", "agent_id": "a", "turn_id": "t"},
]


@pytest.fixture
def memories(engine: Engine) -> list[Memory]:
    return [engine.add("Likes tea", **scope) for scope in SCOPES]


@pytest.mark.parametrize(
    "scope",
    [
        {"user_id": "alice"},
        {"user_id": "alice", "session_id": "s"},
        {"user_id": "alice", "agent_id": "a"},
        {"user_id": "alice", "session_id": "s", "agent_id": "a"},
        {"user_id": "alice", "session_id": "s", "agent_id": "a", "turn_id": "t"},
        {"user_id": "alice", "session_id": "s", "turn_id": "t"},
        {"user_id": "alice", "session_id": "unknown"},
        {"user_id": "carol"},
    ],
)
def test_clearing_removes_what_names_every_given_part_and_nothing_else(
    engine: Engine, memories: list[Memory], scope: dict[str, str]
) -> None:
    cleared = [memory for memory in memories if all(getattr(memory, part) == scope[part] for part in scope)]

    assert engine.count(**scope) == len(cleared)
    assert engine.clear(**scope) == len(cleared)
    for memory in memories:
        assert (engine.get(memory.id) is None) == (memory in cleared)
    assert engine.clear(**scope) == 0


def test_clearing_removes_history_too(engine: Engine) -> None:
    old = engine.add("Works at Google", "alice")
    engine.supersede(old.id, "Works at Anthropic")

    assert engine.clear("alice") == 2
    assert engine.query(MemoryFilter(user_id="alice", include_superseded=True)) == []
    assert engine.search("works", "alice") == []


def test_the_end_of_a_turn_takes_its_memories_along(engine: Engine) -> None:
    kept = engine.add("Prefers blue", "alice", session_id="s")
    engine.add("Is choosing a colour", "alice", session_id="s", turn_id="t1")
    later = engine.add("Is choosing a font", "alice", session_id="s", turn_id="t2")

    assert engine.clear("alice", turn_id="t1") == 1
    assert engine.query(MemoryFilter(user_id="alice")) == [kept, later]


def test_deleting_removes_all_versions_of_that_memory_only(engine: Engine) -> None:
    kept = engine.add("Likes tea", "alice")
    old = engine.add("Works at Google", "alice")
    new = engine.supersede(old.id, "Works at Anthropic")

    assert engine.delete(old.id) is True
    assert engine.delete(new.id) is False
    assert engine.query(MemoryFilter(user_id="alice", include_superseded=True)) == [kept]
    assert [found.id for found in engine.search("works", "alice")] in ([], [kept.id])
