"""HierarchicalMemory is the engine, awaited: on asyncio and on trio, cancelled half-way, and in a rush."""

import inspect
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from pathlib import Path
from threading import Event, get_ident
from threading import enumerate as threads
from typing import Any

import anyio
import anyio.to_thread
import pytest

from headroom.errors import ClosedError, InvalidInputError, MemoryNotFoundError, OverloadedError
from headroom.face import AsyncScopedMemory, ScopedMemory
from headroom.memory import Engine, HierarchicalMemory, Memory, MemoryConfig, MemoryFilter, patience
from headroom.scope import Scope

pytestmark = pytest.mark.anyio


@pytest.fixture
async def memory(config: MemoryConfig) -> AsyncIterator[HierarchicalMemory]:
    async with await HierarchicalMemory.create(config) as memory:
        yield memory


class SlowEmbedder:
    """An embedder that takes until it is let go on."""

    name = "slow"
    dimension = 2

    def __init__(self) -> None:
        self.entered = Event()
        self.go_on = Event()

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.entered.set()
        self.go_on.wait(timeout=30)
        return [[1.0, float(len(text))] for text in texts]


@pytest.fixture
def slow() -> Iterator[SlowEmbedder]:
    slow = SlowEmbedder()
    yield slow
    slow.go_on.set()


async def test_every_operation_can_be_awaited(memory: HierarchicalMemory, tmp_path: Path) -> None:
    google = await memory.add("Works at Google", "alice", importance=0.9)
    anthropic = await memory.supersede(google.id, "Works at Anthropic", category="insight")
    tea, _ = await memory.add_many([{"content": "Likes tea", "user_id": u} for u in ("alice", "bob")])

    assert await memory.get(tea.id) == tea
    assert await memory.query(MemoryFilter(user_id="alice")) == [anthropic, tea]
    assert [found.id for found in await memory.search("likes tea", "alice", top_k=1)] == [tea.id]
    assert [version.id for version in await memory.get_history(google.id)] == [google.id, anthropic.id]
    assert (await memory.rollback(google.id)).content == "Works at Google"
    assert await memory.count("alice") == (await memory.stats("alice"))["total"] == 2
    assert (await memory.overview())["users"] == 2
    assert await memory.export(tmp_path / "dump.jsonl") == 5
    assert await memory.delete(tea.id) is True
    assert await memory.import_(tmp_path / "dump.jsonl") == 1
    assert await memory.vacuum() == 0
    assert await memory.reindex() == 0
    assert await memory.clear("bob") == 1


async def test_errors_reach_the_caller(memory: HierarchicalMemory) -> None:
    with pytest.raises(InvalidInputError, match="content is blank"):
        await memory.add(" ", "alice")
    with pytest.raises(MemoryNotFoundError):
        await memory.rollback("nothing")


def test_the_two_faces_have_the_same_methods() -> None:
    def face(of: type) -> dict[str, Any]:
        return {
            name: inspect.signature(method)
            for name, method in vars(of).items()
            if inspect.isfunction(method) and not name.startswith("_")
        }

    asynchronous = face(HierarchicalMemory)
    del asynchronous["run"], asynchronous["run_search"], asynchronous["run_in_turn"]
    assert asynchronous == face(Engine)
    assert all(inspect.iscoroutinefunction(getattr(HierarchicalMemory, name)) for name in asynchronous)


async def test_used_after_close_it_says_so(memory: HierarchicalMemory) -> None:
    await memory.close()
    await memory.close()

    with pytest.raises(ClosedError, match="close"):
        await memory.search("tea", "alice")
    with pytest.raises(ClosedError, match="close"):
        await memory.add("Likes tea", "alice")


async def test_a_memory_closes_even_when_its_block_is_cancelled(config: MemoryConfig) -> None:
    with anyio.CancelScope() as scope:
        async with await HierarchicalMemory.create(config) as memory:
            scope.cancel()
            await anyio.sleep_forever()

    with pytest.raises(ClosedError):
        await memory.count("alice")


async def test_the_scope_of_the_caller_reaches_the_worker_thread(config: MemoryConfig) -> None:
    here: ContextVar[str] = ContextVar("here")
    seen: list[tuple[str, bool]] = []
    loop_thread = get_ident()

    class Watching(SlowEmbedder):
        def embed(self, texts: list[str]) -> list[list[float]]:
            seen.append((here.get(), get_ident() == loop_thread))
            return [[1.0, 0.0] for _ in texts]

    here.set("the caller's")
    async with await HierarchicalMemory.create(
        MemoryConfig(db_path=config.db_path, embedder=Watching())
    ) as memory:
        await memory.add("Likes tea", "alice")

    assert seen == [("the caller's", False)]


async def test_a_cancelled_add_that_is_running_happens_whole(
    config: MemoryConfig, slow: SlowEmbedder
) -> None:
    async with await HierarchicalMemory.create(MemoryConfig(db_path=config.db_path, embedder=slow)) as memory:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(memory.add, "Likes tea", "alice")
            await anyio.to_thread.run_sync(slow.entered.wait)
            tasks.cancel_scope.cancel()
            slow.go_on.set()

        assert [found.content for found in await memory.query(MemoryFilter(user_id="alice"))] == ["Likes tea"]


async def test_a_cancelled_search_does_not_wait_for_the_embedder(
    config: MemoryConfig, slow: SlowEmbedder
) -> None:
    async with await HierarchicalMemory.create(MemoryConfig(db_path=config.db_path, embedder=slow)) as memory:
        with anyio.move_on_after(0.05) as scope:
            await memory.search("tea", "alice")
        assert scope.cancelled_caught
        assert not slow.go_on.is_set()
        slow.go_on.set()
        assert await memory.search("tea", "alice") == []


async def test_searches_that_were_given_up_count_until_they_end(
    config: MemoryConfig, slow: SlowEmbedder
) -> None:
    found: list[list[Memory]] = []
    refused: list[OverloadedError] = []

    async def search(query: str) -> None:
        try:
            found.append(await memory.search(query, "alice"))
        except OverloadedError as error:
            refused.append(error)

    settings = MemoryConfig(db_path=config.db_path, embedder=slow, max_pending=20)
    async with await HierarchicalMemory.create(settings) as memory:
        most = memory.engine.concurrency + 20
        before = set(threads())
        for number in range(60):
            with anyio.move_on_after(0.01):
                await search(f"tea {number % 40}")
        assert found == []
        assert len(set(threads()) - before) <= most

        async with anyio.create_task_group() as tasks:
            for number in range(most):
                tasks.start_soon(search, f"tea {number}")
            await anyio.wait_all_tasks_blocked()
            assert "raise max_pending" in str(refused[0])
            assert found == []
            slow.go_on.set()

        with anyio.fail_after(10):
            while memory._of_this_loop().searches.calls:  # noqa: ASYNC110 - threads have no event of the loop's
                await anyio.sleep(0.001)
        refused.clear()
        found.clear()
        async with anyio.create_task_group() as tasks:
            for number in range(most):
                tasks.start_soon(search, f"tea {number}")
        assert (found, refused) == ([[]] * most, [])


async def test_a_search_that_was_given_up_may_end_after_its_event_loop(
    config: MemoryConfig, slow: SlowEmbedder, anyio_backend: str
) -> None:
    def run() -> None:
        anyio.run(give_up, backend=anyio_backend)

    async def give_up() -> None:
        with anyio.move_on_after(0.05):
            await memory.search("tea", "alice")

    with Engine(MemoryConfig(db_path=config.db_path, embedder=slow)) as engine:
        memory = HierarchicalMemory(engine)
        await anyio.to_thread.run_sync(run)
        slow.go_on.set()
        assert await memory.search("tea", "alice") == []


async def test_more_calls_than_may_wait_are_refused_at_once(config: MemoryConfig, slow: SlowEmbedder) -> None:
    stored: list[Memory] = []
    refused: list[OverloadedError] = []
    enough_refused = anyio.Event()

    async def add(number: int) -> None:
        try:
            stored.append(await memory.add(f"Memory {number}", "alice"))
        except OverloadedError as error:
            refused.append(error)
            if len(refused) == 60:
                enough_refused.set()

    settings = MemoryConfig(db_path=config.db_path, embedder=slow, max_pending=20)
    async with await HierarchicalMemory.create(settings) as memory, anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(add, number)
        with anyio.fail_after(10):
            await enough_refused.wait()
        assert stored == []
        slow.go_on.set()

    assert 20 <= len(stored) <= 40
    assert len(stored) + len(refused) == 100
    assert "20 " in str(refused[0])


async def test_searches_go_on_while_others_wait_for_a_lock(memory: HierarchicalMemory) -> None:
    tea = await memory.add("Likes tea", "alice")
    mine = AsyncScopedMemory(lambda: memory, ScopedMemory(lambda: memory.engine, lambda: Scope("alice")))
    locked = Event()

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(memory.run, locked.wait)
        await anyio.wait_all_tasks_blocked()
        try:
            with anyio.fail_after(10):
                for found in (
                    await memory.search("tea", "alice", min_score=0.0),
                    await mine.search("tea", min_score=0.0),
                    await memory.run_search(memory.engine.search, "tea", "alice", min_score=0.0),
                ):
                    assert [memory.id for memory in found] == [tea.id]
        finally:
            locked.set()


async def test_a_search_in_a_hurry_does_not_wait_for_a_thread_for_long(memory: HierarchicalMemory) -> None:
    done, go_on = Event(), Event()

    async with anyio.create_task_group() as tasks:
        for _ in range(memory.engine.concurrency):
            tasks.start_soon(memory.run_search, go_on.wait)
        await anyio.wait_all_tasks_blocked()
        try:
            with patience.lasting(0.05), anyio.fail_after(10), pytest.raises(OverloadedError, match="later"):
                await memory.run_search(done.set)
        finally:
            go_on.set()

    assert not done.is_set()


async def test_many_at_once_are_all_served(memory: HierarchicalMemory) -> None:
    async def one(number: int) -> None:
        user = f"user {number % 7}"
        added = await memory.add(f"Memory {number}", user)
        found = await memory.search(f"Memory {number}", user, top_k=100)
        assert added.id in {memory.id for memory in found}
        assert {memory.user_id for memory in found} == {user}

    async with anyio.create_task_group() as tasks:
        for number in range(70):
            tasks.start_soon(one, number)

    assert sum([await memory.count(f"user {number}") for number in range(7)]) == 70


def test_one_memory_serves_several_event_loops(config: MemoryConfig, anyio_backend: str) -> None:
    with Engine(config) as engine:
        memory = HierarchicalMemory(engine)

        async def add_some(start: int) -> None:
            async with anyio.create_task_group() as tasks:
                for number in range(start, start + 20):
                    tasks.start_soon(memory.add, f"Memory {number}", "alice")

        for start in (0, 20):
            anyio.run(add_some, start, backend=anyio_backend)
        assert engine.count("alice") == 40
