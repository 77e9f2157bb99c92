"""An application whose usual threads are all busy, with requests of synchronous endpoints for example."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from threading import Event

import anyio
import anyio.to_thread
import pytest
from openai import AsyncOpenAI

from headroom.clients import with_memory
from headroom.current import LazyMemory, close_shared_memory, current_memory, shared_memory, using
from headroom.errors import OverloadedError
from headroom.memory import Engine, MemoryConfig, patience
from headroom.scope import bind
from headroom.threads import in_thread
from headroom.turns import turn

pytestmark = pytest.mark.anyio


@pytest.fixture
def config(tmp_path: Path) -> Iterator[MemoryConfig]:
    config = MemoryConfig(db_path=tmp_path / "memory.db")
    yield config
    close_shared_memory(config)


@pytest.fixture
async def _busy() -> AsyncIterator[None]:
    answered = Event()
    async with anyio.create_task_group() as requests:
        threads = anyio.to_thread.current_default_thread_limiter()
        for _ in range(int(threads.total_tokens)):
            requests.start_soon(anyio.to_thread.run_sync, answered.wait, 20)
        await anyio.wait_all_tasks_blocked()
        yield
        assert threads.available_tokens == 0
        answered.set()


@pytest.mark.usefixtures("_busy")
@pytest.mark.parametrize("is_open", [False, True])
async def test_the_memory_does_not_wait_for_them(config: MemoryConfig, *, is_open: bool) -> None:
    if is_open:
        shared_memory(config)
    client = with_memory(AsyncOpenAI(api_key="any"), "alice", config=config)
    assert await client.memory.search("tea") == []


@pytest.mark.usefixtures("_busy")
async def test_the_end_of_a_turn_does_not_wait_for_them(config: MemoryConfig) -> None:
    with using(config), bind(user_id="alice"):
        async with turn():
            await current_memory().add("Ends at noon", level="turn")
        assert await current_memory().get_all() == []


async def test_the_event_loop_does_not_wait_for_the_memory_to_be_opened(config: MemoryConfig) -> None:
    Engine(config).close()
    other = sqlite3.connect(config.db_path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    found = []

    async def ask() -> None:
        with using(config), bind(user_id="alice"):
            found.append(await current_memory().get_all())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        other.close()
    assert found == [[]]


async def test_whoever_is_in_a_hurry_does_not_wait_for_the_memory_to_be_opened_for_long(
    config: MemoryConfig,
) -> None:
    opened = Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(in_thread, opened.wait)
        await anyio.wait_all_tasks_blocked()
        try:
            with anyio.fail_after(20), patience.lasting(0.05), pytest.raises(OverloadedError):
                await LazyMemory(config).run_search(print)
        finally:
            opened.set()
