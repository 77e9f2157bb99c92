"""The tasks and threads of one request share its scope; those of other requests never see it."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from headroom.decorators import carry
from headroom.errors import ScopeConflictError
from headroom.scope import ANONYMOUS, Scope, bind, current_scope, entered

pytestmark = pytest.mark.anyio


@pytest.fixture
def frantic_thread_switching() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


async def test_what_a_worker_thread_binds_is_seen_by_the_request_and_its_other_threads() -> None:
    with entered(ANONYMOUS):
        await anyio.to_thread.run_sync(lambda: bind(user_id="alice") and None)
        assert current_scope() == Scope("alice")
        assert await anyio.to_thread.run_sync(current_scope) == Scope("alice")


async def test_what_a_child_task_binds_is_seen_by_the_request() -> None:
    async def authenticate() -> None:
        bind(user_id="alice")

    with entered(ANONYMOUS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(authenticate)
        assert current_scope() == Scope("alice")


async def test_concurrent_requests_do_not_mix() -> None:
    seen = {}

    async def request(user: str) -> None:
        with entered(ANONYMOUS):
            await anyio.to_thread.run_sync(lambda: bind(user_id=user) and None)
            await anyio.lowlevel.checkpoint()
            with bind(agent_id=f"agent of {user}"):
                await anyio.lowlevel.checkpoint()
                seen[user] = await anyio.to_thread.run_sync(current_scope)

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(request, f"user {number}")
    assert seen == {user: Scope(user, agent_id=f"agent of {user}") for user in seen}
    assert len(seen) == 50


async def test_blocks_of_sibling_tasks_do_not_mix() -> None:
    async def agent(name: str) -> None:
        with bind(agent_id=name):
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
                assert current_scope() == Scope("alice", agent_id=name)

    with entered(Scope("alice")):
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(agent, str(number))
        assert current_scope() == Scope("alice")


async def test_a_task_that_outlives_its_block_keeps_its_scope() -> None:
    async def later() -> None:
        await released.wait()
        seen.append(current_scope())

    released, seen = anyio.Event(), []
    async with anyio.create_task_group() as tasks:
        for user in ("alice", "bob"):
            with entered(Scope(user)):
                tasks.start_soon(later)
        released.set()
    assert sorted(seen, key=str) == [Scope("alice"), Scope("bob")]


def test_plain_calls_in_a_script_do_not_reach_the_tasks_started_before() -> None:
    async def job(user: str, seen: dict[str, str | None]) -> None:
        await asyncio.sleep(0)
        seen[user] = current_scope().user_id

    async def script() -> dict[str, str | None]:
        seen, jobs = {}, []
        for user in ("alice", "bob", "carol"):
            bind(user_id=user)
            jobs.append(asyncio.create_task(job(user, seen)))
        await asyncio.gather(*jobs)
        return seen

    assert asyncio.run(script()) == {user: user for user in ("alice", "bob", "carol")}


@pytest.mark.usefixtures("frantic_thread_switching")
def test_a_block_is_never_seen_by_another_thread_of_the_request_not_even_while_it_is_entered() -> None:
    def watch(context: Context) -> None:
        while not done.is_set():
            seen.add(context.run(current_scope))

    def bind_beside(context: Context) -> None:
        while not done.is_set():
            context.run(lambda: bind(session_id="s") and None)

    seen, done = set(), threading.Event()
    with entered(Scope("alice", "s")):
        threads = [
            threading.Thread(target=watch, args=[copy_context()]),
            threading.Thread(target=bind_beside, args=[copy_context()]),
        ]
        for thread in threads:
            thread.start()
        for _ in range(20_000):
            with bind(user_id="bob", agent_id="planner"):
                pass
        done.set()
        for thread in threads:
            thread.join()
        assert current_scope() == Scope("alice", "s")
    assert seen == {Scope("alice", "s")}


@pytest.mark.usefixtures("frantic_thread_switching")
def test_plain_calls_in_many_threads_at_once_all_take_effect() -> None:
    def call(part: str, context: Context) -> None:
        barrier.wait()
        context.run(lambda: bind(**{part: "x"}) and None)

    for _ in range(200):
        parts = ["session_id", "agent_id", "turn_id"]
        barrier = threading.Barrier(len(parts))
        with entered(Scope("alice")):
            threads = [threading.Thread(target=call, args=[part, copy_context()]) for part in parts]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert current_scope() == Scope("alice", "x", "x", "x")


def test_a_bare_thread_has_no_scope_and_a_carried_function_takes_its_own_along() -> None:
    with ThreadPoolExecutor(1) as executor, entered(Scope("alice", "s")):
        assert executor.submit(current_scope).result() == Scope()
        assert executor.submit(carry(current_scope)).result() == Scope("alice", "s")
        assert executor.submit(current_scope).result() == Scope()


def test_a_carried_function_keeps_the_scope_it_was_carried_from() -> None:
    with entered(Scope("alice")), ThreadPoolExecutor(4) as executor:
        jobs = {}
        for session in ("morning", "noon", "evening"):
            bind(session_id=session)
            jobs[session] = executor.submit(carry(current_scope))
        found = {session: job.result().session_id for session, job in jobs.items()}
        assert found == {session: session for session in jobs}


def test_tasks_that_bind_different_users_in_one_scope_fail_rather_than_work_for_the_wrong_one() -> None:
    async def handle(user: str, bound: asyncio.Barrier) -> Scope:
        bind(user_id=user)
        await bound.wait()
        return current_scope()

    async def both() -> list[Scope | BaseException]:
        bound = asyncio.Barrier(2)
        return await asyncio.gather(handle("alice", bound), handle("bob", bound), return_exceptions=True)

    with entered(Scope(agent_id="worker")):
        found = asyncio.run(both())

    assert [type(outcome) for outcome in found] == [ScopeConflictError, ScopeConflictError]
    assert "with bind(user_id=" in str(found[0])


def test_tasks_that_open_a_block_for_each_user_work_for_their_own() -> None:
    async def handle(user: str, bound: asyncio.Barrier) -> Scope:
        with bind(user_id=user):
            await bound.wait()
            return current_scope()

    async def both() -> list[Scope]:
        bound = asyncio.Barrier(2)
        return await asyncio.gather(handle("alice", bound), handle("bob", bound))

    with entered(Scope(agent_id="worker")):
        found = asyncio.run(both())

    assert [scope.user_id for scope in found] == ["alice", "bob"]


def test_one_carried_function_may_run_in_many_threads_at_once() -> None:
    def scope_of(number: int) -> tuple[int, str | None]:
        together.wait()
        return number, current_scope().user_id

    together = threading.Barrier(4)
    with ThreadPoolExecutor(4) as executor, entered(Scope("alice")):
        assert list(executor.map(carry(scope_of), range(4))) == [(n, "alice") for n in range(4)]


def test_a_carried_function_keeps_its_name_arguments_and_errors() -> None:
    @carry
    def divide(a: int, *, by: int) -> float:
        """Divide."""
        return a / by

    assert (divide.__name__, divide.__doc__) == ("divide", "Divide.")
    assert divide(6, by=3) == 2
    with pytest.raises(ZeroDivisionError):
        divide(1, by=0)
