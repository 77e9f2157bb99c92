"""A database that another process keeps locked holds up no answer for long; direct calls wait for it."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from asking import CLIENTS, block, deltas, got, listed, user

from headroom import with_memory
from headroom.errors import StorageError
from headroom.memory import Engine, MemoryConfig, patience
from headroom.memory.stores.sqlite import connections
from headroom.testing import ScriptedServer

QUESTION = {"model": "any", "messages": user("What shall we drink?")}
TEXT = f"Tea.\n{block('Likes tea', 'Dislikes rum', 'Owns a kettle')}"


@pytest.fixture
def server(serve: Callable[..., ScriptedServer]) -> ScriptedServer:
    return serve(TEXT)


@pytest.fixture
def lock(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """What another process does that keeps the database locked; answers wait for it half a second."""
    monkeypatch.setattr(patience, "LITTLE", 0.5)
    engine.count("alice")
    other = sqlite3.connect(tmp_path / "memory.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_a_finished_answer_gives_its_notes_up_rather_than_wait_for_long(
    server: ScriptedServer,
    engine: Engine,
    lock: sqlite3.Connection,
    asynchronous: bool,  # noqa: FBT001 - a parameter of the test
    caplog: pytest.LogCaptureFixture,
) -> None:
    inner = CLIENTS["openai", asynchronous](server)
    client = with_memory(inner, "alice", memory=engine)
    started = time.monotonic()
    completion = await got(client.chat.completions.create(**QUESTION))
    stream = await listed(await got(client.chat.completions.create(**QUESTION, stream=True)))
    assert time.monotonic() - started < connections.BUSY_SECONDS / 2
    await got(inner.close())

    assert completion.choices[0].message.content == deltas(stream) == "Tea."
    assert client.memory.failures == 6
    assert {failure.step for failure in client.memory.last_exchange.failures} == {"store"}
    assert client.memory.last_exchange.stored == []
    assert caplog.text.count("another process has been writing to it for too long") == 6
    lock.execute("ROLLBACK")
    assert engine.count("alice") == 0


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.usefixtures("lock")
async def test_a_strict_client_says_that_the_database_is_locked(
    server: ScriptedServer,
    engine: Engine,
    asynchronous: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    inner = CLIENTS["openai", asynchronous](server)
    client = with_memory(inner, "alice", memory=engine, strict=True)
    with pytest.raises(StorageError, match="another process"):
        await got(client.chat.completions.create(**QUESTION))
    await got(inner.close())


def test_a_database_that_cannot_even_be_opened_holds_no_call_up(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "LITTLE", 0.5)
    config = MemoryConfig(db_path=tmp_path / "memory.db")
    Engine(config).close()
    other = sqlite3.connect(tmp_path / "memory.db", isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with CLIENTS["openai", False](server) as inner:
        client = with_memory(inner, "alice", config=config)
        started = time.monotonic()
        assert client.chat.completions.create(**QUESTION).choices[0].message.content == "Tea."
        assert time.monotonic() - started < connections.BUSY_SECONDS / 2
        other.close()
        assert [failure.step for failure in client.memory.last_exchange.failures] == ["recall", "store"]
        assert client.memory.get_all() == []


def test_a_direct_call_is_as_patient_as_ever_while_answers_are_not(
    connect: Callable[..., Any], server: ScriptedServer, engine: Engine, lock: sqlite3.Connection
) -> None:
    client = connect(server, strict=False)
    adding = threading.Thread(target=client.memory.add, args=("Likes the sea",))
    adding.start()
    client.chat.completions.create(**QUESTION)
    assert client.memory.failures == 3
    assert adding.is_alive()
    lock.execute("ROLLBACK")
    adding.join()
    assert [memory.content for memory in client.memory.get_all()] == ["Likes the sea"]
    client.chat.completions.create(**QUESTION)
    assert engine.count("alice") == 4


@pytest.mark.anyio
async def test_an_answer_does_not_wait_for_the_direct_calls_that_wait_for_the_lock(
    server: ScriptedServer, engine: Engine, lock: sqlite3.Connection
) -> None:
    lock.execute("ROLLBACK")
    engine.add("Likes to drink juniper tea", "alice")
    lock.execute("BEGIN IMMEDIATE")
    inner = CLIENTS["openai", True](server)
    client = with_memory(inner, "alice", memory=engine)
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(client.memory.add, f"Owns {number} cups")
        await anyio.wait_all_tasks_blocked()
        started = time.monotonic()
        await client.chat.completions.create(**QUESTION)
        took = time.monotonic() - started
        lock.execute("ROLLBACK")
    await inner.close()

    assert took < connections.BUSY_SECONDS / 2
    assert "juniper" in str(server.requests[-1])
    assert {failure.step for failure in client.memory.last_exchange.failures} == {"store"}
    assert engine.count("alice") == 21
