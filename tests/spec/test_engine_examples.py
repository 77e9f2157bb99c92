"""The specification's examples of the engine, run as a reader would: in an empty folder, with defaults."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from headroom.memory import (
    EmbedderBackend,
    Engine,
    HierarchicalMemory,
    MemoryCategory,
    MemoryConfig,
    MemoryFilter,
    ScopeLevel,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


async def test_temporal_versioning() -> None:
    memory = await HierarchicalMemory.create()

    orig = await memory.add(
        content="User works at Google",
        user_id="alice",
        category=MemoryCategory.FACT,
    )
    new = await memory.supersede(
        old_memory_id=orig.id,
        new_content="User now works at Anthropic",
    )
    current = await memory.query(MemoryFilter(user_id="alice", include_superseded=False))
    chain = await memory.get_history(new.id)
    await memory.close()

    assert [found.content for found in current] == ["User now works at Anthropic"]
    assert [(version.content, version.is_current) for version in chain] == [
        ("User works at Google", False),
        ("User now works at Anthropic", True),
    ]
    assert await anyio.Path("memory.db").exists()


async def test_the_afternoon_session_knows_what_the_morning_session_said() -> None:
    async with await HierarchicalMemory.create() as memory:
        await memory.add("Prefers Go for performance-critical code", "bob", category="preference")
        await memory.add(
            "Debugging the flaky login test", "bob", session_id="morning-session", category="context"
        )
        found = await memory.search(
            "What language for my new microservice?", "bob", session_id="afternoon-session"
        )

    assert [memory.content for memory in found] == ["Prefers Go for performance-critical code"]


@pytest.mark.parametrize(
    ("category", "content"),
    [
        ("preference", "Prefers Python"),
        ("preference", "Likes dark mode"),
        ("fact", "Works at fintech startup"),
        ("fact", "Senior engineer"),
        ("context", "Migrating to microservices"),
        ("context", "Working on auth"),
        ("entity", "Project Apollo uses React"),
        ("entity", "Team lead is Sarah"),
        ("decision", "Chose PostgreSQL over MySQL"),
        ("insight", "User tends to prefer typed languages"),
    ],
)
def test_every_category_of_the_table_is_kept(engine: Engine, category: str, content: str) -> None:
    added = engine.add(content, "alice", category=category)

    assert added.category is MemoryCategory(category)
    assert engine.query(MemoryFilter(user_id="alice", categories=[category])) == [added]


def test_the_four_levels_are_those_of_the_table(engine: Engine) -> None:
    parts: dict[str, str] = {}
    for level, part in zip(ScopeLevel, ("user_id", "session_id", "agent_id", "turn_id"), strict=True):
        parts[part] = f"the {part}"
        assert engine.add(f"Something about the {level}", **parts).level is level


def test_the_wrapper_s_search_add_clear_and_stats_have_their_engine_counterparts(engine: Engine) -> None:
    engine.add("Prefers Python for backend work", "alice", category="preference")
    engine.add("User is a senior engineer", "alice", category="fact", importance=0.9)

    results = engine.search("python preferences", "alice", top_k=5)
    stats = engine.stats("alice")

    assert results[0].content == "Prefers Python for backend work"
    assert stats["total"] == 2
    assert stats["categories"] == dict.fromkeys(MemoryCategory, 0) | {"preference": 1, "fact": 1}
    assert engine.clear("alice") == 2
    assert engine.stats("alice")["total"] == 0


def test_the_configurations_are_accepted_as_written() -> None:
    local = MemoryConfig(embedder_backend=EmbedderBackend.LOCAL, embedder_model="all-MiniLM-L6-v2")
    openai = MemoryConfig(
        embedder_backend=EmbedderBackend.OPENAI,
        openai_api_key="sk-...",
        embedder_model="text-embedding-3-small",
    )
    ollama = MemoryConfig(
        embedder_backend=EmbedderBackend.OLLAMA,
        ollama_base_url="http://localhost:11434",
        embedder_model="nomic-embed-text",
    )
    storage = MemoryConfig(
        db_path="memory.db",
        vector_dimension=384,
        hnsw_ef_construction=200,
        hnsw_m=16,
        hnsw_ef_search=50,
        cache_enabled=True,
        cache_max_size=1000,
    )

    assert local == storage == MemoryConfig()
    assert openai.embedder_model == "text-embedding-3-small"
    assert ollama.embedder_model == "nomic-embed-text"
    assert "sk-..." not in repr(openai)


def test_the_configured_storage_works() -> None:
    config = MemoryConfig(
        db_path="chosen.db",
        vector_dimension=384,
        hnsw_ef_construction=200,
        hnsw_m=16,
        hnsw_ef_search=50,
        cache_enabled=True,
        cache_max_size=1000,
    )
    with Engine(config) as engine:
        engine.add("Prefers Python", "alice")
        assert [found.content for found in engine.search("python", "alice")] == ["Prefers Python"]
    assert Path("chosen.db").exists()
