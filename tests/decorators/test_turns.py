"""A turn has an id of its own, and what was stored for it goes when it ends."""

import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from openai import OpenAI

from headroom import with_memory
from headroom.current import current_memory, using
from headroom.decorators import remember
from headroom.memory import Engine, HierarchicalMemory, MemoryConfig, MemoryFilter, patience
from headroom.memory.stores.sqlite import connections
from headroom.scope import Scope, current_scope, entered
from headroom.testing import ScriptedServer, remembering
from headroom.turns import turn

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _alice(engine: Engine) -> Iterator[None]:
    with entered(Scope("alice", "s")), using(HierarchicalMemory(engine)):
        yield


def note() -> str:
    """Store something for the user and something for the turn."""
    memory = current_memory()
    memory.add("Prefers Python")
    memory.add("Is looking at line 7", level="turn")
    assert [memory.content for memory in memory.get_all("turn")] == ["Is looking at line 7"]
    turn_id = current_scope().turn_id
    assert turn_id is not None
    return turn_id


def left(engine: Engine) -> list[str]:
    return [memory.content for memory in engine.query(MemoryFilter(user_id="alice"))]


def test_what_is_stored_for_a_turn_is_found_in_it_alone() -> None:
    with turn():
        note()
        assert {memory.content for memory in current_memory().search("python line")} == {
            "Prefers Python",
            "Is looking at line 7",
        }
        with turn():
            assert [memory.content for memory in current_memory().search("python line")] == ["Prefers Python"]


def test_each_call_is_a_turn_and_its_memories_go_with_it(engine: Engine) -> None:
    decorated = remember(turn=True)(note)
    assert decorated() != decorated()
    assert left(engine) == ["Prefers Python"]


def test_what_is_stored_for_the_turn_by_its_id_goes_with_it_whoever_stores_it(
    engine: Engine, tmp_path: Path
) -> None:
    with Engine(MemoryConfig(db_path=tmp_path / "another.db")) as another, turn() as scope:
        for memory in (engine, another):
            memory.add("Is looking at line 7", "alice", turn_id=scope.turn_id)
            memory.add_many([{"content": "Is looking at line 8", "user_id": "bob", "turn_id": scope.turn_id}])
            memory.add("Was looking at line 9", "alice", turn_id="a turn of another process")
    with Engine(MemoryConfig(db_path=tmp_path / "another.db")) as another:
        for memory in (engine, another):
            assert (memory.count("alice"), memory.count("bob")) == (1, 0)


def test_a_wrapped_client_may_note_for_the_turn_alone(engine: Engine) -> None:
    with ScriptedServer(remembering) as server:
        client = with_memory(OpenAI(base_url=server.base_url, api_key="any"), default_level="turn")

        @remember(turn=True)
        def ask() -> int:
            client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "I prefer Python for backend work."}]
            )
            return engine.count("alice", turn_id=current_scope().turn_id)

        assert ask() == 1
    assert engine.count("alice") == 0


def test_a_turn_that_fails_ends_too(engine: Engine) -> None:
    @remember(turn=True)
    def fail() -> None:
        note()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert left(engine) == ["Prefers Python"]


async def test_a_coroutines_turn_ends_when_it_does_even_cancelled(engine: Engine) -> None:
    @remember(turn=True)
    async def run() -> None:
        await anyio.to_thread.run_sync(note)
        await anyio.sleep(duration)

    duration = 0.0
    await run()
    assert left(engine) == ["Prefers Python"]
    duration = 60.0
    with anyio.move_on_after(0.2):
        await run()
    assert left(engine) == ["Prefers Python"]


def test_a_generators_turn_spans_its_steps_and_ends_when_it_is_closed(engine: Engine) -> None:
    @remember(turn=True)
    def steps() -> Iterator[str | None]:
        yield note()
        yield current_scope().turn_id

    running = steps()
    first = next(running)
    assert len(left(engine)) == 2
    assert next(running) == first
    running.close()
    assert left(engine) == ["Prefers Python"]


async def test_an_asynchronous_generators_turn_ends_when_it_is_exhausted_or_closed(engine: Engine) -> None:
    @remember(turn=True)
    async def steps() -> AsyncIterator[int]:
        await anyio.to_thread.run_sync(note)
        yield 1
        yield 2

    assert [step async for step in steps()] == [1, 2]
    assert left(engine) == ["Prefers Python"]
    running = steps()
    await anext(running)
    assert len(left(engine)) == 2
    await running.aclose()  # type: ignore[attr-defined] # an async generator has it
    assert left(engine) == ["Prefers Python"]


def test_a_turn_inside_a_turn_ends_alone(engine: Engine) -> None:
    with turn() as outer:
        current_memory().add("Is looking at line 7", level="turn")
        with turn() as inner:
            current_memory().add("Is looking at line 8", level="turn")
        assert inner.turn_id != outer.turn_id
        assert left(engine) == ["Is looking at line 7"]
    assert left(engine) == []
    assert current_scope() == Scope("alice", "s")


async def test_a_turn_can_be_awaited() -> None:
    async with turn() as scope:
        await current_memory().add("Is looking at line 7", level="turn")
        assert current_scope() == scope == Scope("alice", "s", None, scope.turn_id)
        assert len(await current_memory().get_all()) == 1
    assert await current_memory().get_all() == []


async def test_a_turn_for_which_nothing_is_stored_does_not_touch_the_database(engine: Engine) -> None:
    @remember(turn=True)
    async def run() -> None:
        assert current_scope().turn_id is not None

    engine.close()
    await run()


def test_an_end_that_cannot_be_cleared_up_is_reported_and_does_no_other_harm(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), turn():
        note()
        engine.close()
    assert [(record.name, record.levelname) for record in caplog.records] == [("headroom.turns", "WARNING")]
    assert "looking at" not in caplog.text
    assert "alice" not in caplog.text


def test_a_locked_database_holds_the_end_of_a_turn_up_for_a_little_only(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience, "LITTLE", 0.2)
    started = time.monotonic()
    with turn():
        note()
        other = sqlite3.connect(engine.config.db_path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
    assert time.monotonic() - started < connections.BUSY_SECONDS / 2
    other.close()
    assert "could not be cleared" in caplog.text
    assert left(engine) == ["Prefers Python", "Is looking at line 7"]


def test_so_it_does_where_a_wrapped_client_noted_for_the_turn(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience, "LITTLE", 0.2)
    monkeypatch.setattr(connections, "BUSY_SECONDS", 1.0)
    with ScriptedServer(remembering) as server:
        client = with_memory(OpenAI(base_url=server.base_url, api_key="any"), default_level="turn")
        with turn():
            client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "I prefer Python for backend work."}]
            )
            other = sqlite3.connect(engine.config.db_path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
    assert time.monotonic() - started < connections.BUSY_SECONDS
    other.close()
    assert caplog.text.count("could not be cleared") == 1
