"""A memory waits for none of the application's own threads, which may all be busy with slow models."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import anyio
import pytest
from anyio import from_thread, to_thread

from headroom.current import close_shared_memory, current_memory
from headroom.decorators import remember
from headroom.memory import HierarchicalMemory, MemoryConfig, MemoryFilter

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def all_threads_taken() -> AsyncIterator[None]:
    """Have no thread free of those that anyio lends an application, and the block end soon all the same."""
    limiter = to_thread.current_default_thread_limiter()
    limiter.total_tokens = 1
    taken, free = anyio.Event(), Event()

    def work() -> None:
        from_thread.run_sync(taken.set)
        free.wait(timeout=60)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(to_thread.run_sync, work)
        await taken.wait()
        try:
            with anyio.fail_after(20):
                yield
        finally:
            free.set()


async def test_a_memory_opens_works_and_closes(tmp_path: Path) -> None:
    async with all_threads_taken():
        memory = await HierarchicalMemory.create(MemoryConfig(db_path=tmp_path / "memory.db"))
        async with memory:
            await memory.add("Prefers Python", "alice")
            assert len(await memory.search("python", "alice")) == 1


async def test_the_memory_of_the_process_works_and_a_turn_ends(tmp_path: Path) -> None:
    config = MemoryConfig(db_path=tmp_path / "memory.db")

    @remember(user="alice", memory=config, turn=True)
    async def note() -> int:
        await current_memory().add("Only for now", level="turn")
        return len(await current_memory().get_all())

    try:
        async with all_threads_taken():
            assert await note() == 1
            async with await HierarchicalMemory.create(config) as memory:
                assert await memory.query(MemoryFilter(user_id="alice")) == []
    finally:
        close_shared_memory(config)
