"""Work that one user's request carries to where another's is done: a queue whose worker a request started."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import anyio
import pytest

from headroom.current import current_memory
from headroom.decorators import carry, remember
from headroom.memory import Engine
from headroom.scope import Scope, bind, current_scope

pytestmark = pytest.mark.anyio


async def test_a_carried_coroutine_works_for_whom_it_was_carried(engine: Engine) -> None:
    jobs, queue = anyio.create_memory_object_stream[Callable[[], Awaitable[None]]](10)

    async def work() -> None:
        async with queue:
            async for job in queue:
                await job()
                assert current_scope() == Scope("alice")

    @remember(user="bob", memory=engine)
    async def request_of_bob() -> None:
        async def note() -> None:
            await current_memory().add("Likes tea")

        await jobs.send(carry(note))

    async with anyio.create_task_group() as tasks:
        with bind(user_id="alice"):
            tasks.start_soon(work)
        await request_of_bob()
        jobs.close()
    assert [memory.content for memory in engine.search("tea", "bob")] == ["Likes tea"]


async def test_so_do_carried_generators() -> None:
    def steps() -> Iterator[Scope]:
        yield current_scope()

    async def asynchronous_steps() -> AsyncIterator[Scope]:
        yield current_scope()

    with bind(user_id="bob"):
        carried, asynchronous = carry(steps), carry(asynchronous_steps)
    with bind(user_id="alice"):
        assert list(carried()) == [Scope("bob")]
        assert [scope async for scope in asynchronous()] == [Scope("bob")]
        assert current_scope() == Scope("alice")


async def test_a_decorated_coroutine_that_is_carried_keeps_its_own_scope_within() -> None:
    @remember(agent="editor")
    async def edit() -> Scope:
        return current_scope()

    with bind(user_id="bob"):
        carried = carry(edit)
    with bind(user_id="alice"):
        assert await carried() == Scope("bob", agent_id="editor")
