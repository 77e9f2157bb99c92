from pathlib import Path

from headroom.memory import Engine, MemoryCategory, MemoryConfig, ScopeLevel


def test_stats_of_nothing_are_zeros(engine: Engine) -> None:
    stats = engine.stats("alice")

    assert stats["total"] == stats["superseded"] == 0
    assert stats["categories"] == dict.fromkeys(MemoryCategory, 0)
    assert stats["levels"] == dict.fromkeys(ScopeLevel, 0)
    assert stats["oldest"] is stats["newest"] is None


def test_stats_tell_what_is_current_and_what_is_history(engine: Engine, db_path: Path) -> None:
    first = engine.add("Works at Google", "alice", category="fact")
    engine.supersede(first.id, "Works at Anthropic")
    engine.add("Likes tea", "alice", "s", category="preference")
    engine.add("Likes rum", "alice", "s", "a", category="preference")
    last = engine.add("Is choosing a colour", "alice", "s", turn_id="t", category="context")
    engine.add("Likes tea", "bob", "s")

    stats = engine.stats("alice")

    assert stats["total"] == engine.count("alice") == 4
    assert stats["superseded"] == 1
    assert {name: number for name, number in stats["categories"].items() if number} == {
        "fact": 1,
        "preference": 2,
        "context": 1,
    }
    assert stats["levels"] == {"user": 1, "session": 1, "agent": 1, "turn": 1}
    assert stats["newest"] == last.created_at
    assert first.created_at < stats["oldest"] < stats["newest"]
    assert stats["database_bytes"] >= db_path.stat().st_size > 0


def test_stats_of_a_narrower_scope_count_what_names_it(engine: Engine) -> None:
    engine.add("Works at Google", "alice")
    engine.add("Likes tea", "alice", "s")
    engine.add("Likes rum", "alice", "s", "a")

    assert engine.stats("alice", "s")["total"] == engine.count("alice", "s") == 2
    assert engine.stats("alice", "s", "a")["total"] == engine.count("alice", "s", "a") == 1
    assert engine.stats("alice", agent_id="a")["levels"] == {"user": 0, "session": 0, "agent": 1, "turn": 0}


def test_stats_can_be_printed_as_json(engine: Engine) -> None:
    stats = engine.stats("alice")

    assert list(stats["categories"]) == ["preference", "fact", "context", "entity", "decision", "insight"]
    assert all(type(name) is str for name in [*stats["categories"], *stats["levels"]])


def test_an_overview_of_nothing_is_zeros(engine: Engine) -> None:
    overview = engine.overview()

    assert overview["users"] == overview["total"] == overview["superseded"] == 0
    assert overview["categories"] == dict.fromkeys(MemoryCategory, 0)
    assert overview["embedder"] is overview["dimension"] is None


def test_an_overview_is_about_all_users(engine: Engine, db_path: Path) -> None:
    job = engine.add("Works at Google", "alice", category="fact")
    engine.supersede(job.id, "Works at Anthropic")
    engine.add("Likes tea", "alice", "s", category="preference")
    engine.add("Likes tea", "bob", category="preference")

    overview = engine.overview()

    assert overview["users"] == 2
    assert overview["total"] == engine.count("alice") + engine.count("bob") == 3
    assert overview["superseded"] == 1
    assert {name: number for name, number in overview["categories"].items() if number} == {
        "preference": 2,
        "fact": 1,
    }
    assert overview["database_bytes"] >= db_path.stat().st_size > 0


def test_an_overview_names_the_embedder_of_the_vectors_rather_than_the_configured_one(
    engine: Engine, db_path: Path
) -> None:
    engine.add("Likes tea", "alice")

    with Engine(MemoryConfig(db_path=db_path)) as other:
        overview = other.overview()

    assert (overview["embedder"], overview["dimension"]) == ("words", 64)
