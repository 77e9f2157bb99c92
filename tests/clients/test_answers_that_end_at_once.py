"""What is noted in answers that end at once is all stored, however long the last waits for its turn."""

import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from asking import CLIENTS, block, user

from headroom import with_memory
from headroom.memory import Engine, MemoryConfig, MemoryFilter, patience
from headroom.testing import ScriptedServer

QUESTION = {"model": "any", "messages": user("I bought a cup.")}
NOTES = [f"Owns cup {number}" for number in range(20)]


class FarAway:
    """An embedder that takes its time, but not long."""

    name = "far-away"
    dimension = 2
    concurrency = 1

    def embed(self, texts: list[str]) -> list[list[float]]:
        time.sleep(0.2)
        return [[1.0, 0.0] for _ in texts]


@pytest.mark.anyio
async def test_nobody_loses_notes_to_those_before_them(
    serve: Callable[..., ScriptedServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them take twice as long as any of them may hold up its answer."""
    monkeypatch.setattr(patience, "LITTLE", 2.0)
    inner = CLIENTS["openai", True](serve([f"Noted.\n{block(note)}" for note in NOTES]))
    with Engine(MemoryConfig(db_path=tmp_path / "memory.db", embedder=FarAway())) as engine:
        client = with_memory(inner, "alice", memory=engine, inject=False)
        async with anyio.create_task_group() as tasks:
            for _ in NOTES:
                tasks.start_soon(lambda: client.chat.completions.create(**QUESTION))
        await inner.close()

        stored = engine.query(MemoryFilter(user_id="alice"))
        assert sorted(memory.content for memory in stored) == sorted(NOTES)
        assert client.memory.failures == 0
