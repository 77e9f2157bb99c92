"""`current_memory()`: the memory of whom the running code works for, synchronous or awaited."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from wsgiref.simple_server import demo_app

import anyio
import anyio.to_thread
import pytest
from starlette.applications import Starlette

from headroom import asgi, wsgi
from headroom.current import close_shared_memory, current_memory, memory_in_use, shared_memory
from headroom.decorators import carry, remember
from headroom.errors import ConfigurationError, InvalidInputError, MemoryNotFoundError, MissingScopeError
from headroom.face import AsyncScopedMemory, ScopedMemory
from headroom.memory import Engine, HierarchicalMemory, MemoryConfig
from headroom.scope import ANONYMOUS, Scope, bind

pytestmark = pytest.mark.anyio


@pytest.fixture
def memory(engine: Engine) -> Callable[[Scope], ScopedMemory]:
    return lambda scope: ScopedMemory(lambda: engine, lambda: scope)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    close_shared_memory(MemoryConfig())


def test_a_function_uses_the_memory_it_was_given(engine: Engine) -> None:
    @remember(user="alice", agent="planner", memory=engine)
    def function() -> list[str]:
        current_memory().add("Prefers Python")
        current_memory().add("Found three papers", level="agent")
        return [memory.content for memory in current_memory().get_all(level="agent")]

    assert function() == ["Found three papers"]
    assert [memory.agent_id for memory in engine.search("papers", "alice", agent_id="planner")] == [
        "planner",
        None,
    ]


async def test_in_asynchronous_functions_it_is_awaited(engine: Engine) -> None:
    @remember(user="alice", memory=HierarchicalMemory(engine))
    async def function() -> dict[str, int]:
        await current_memory().add("Prefers Python")
        found = await current_memory().search("python", top_k=1)
        assert found[0].content == "Prefers Python"
        stats: dict[str, int] = await current_memory().stats()
        return stats

    assert (await function())["total"] == 1


async def test_what_is_awaited_in_the_scope_of_another_is_for_whom_it_was_called(engine: Engine) -> None:
    @remember(user="admin", memory=engine)
    async def function() -> None:
        with bind(user_id="alice"):
            adding = current_memory().add("Prefers Python")
        await adding

    await function()
    assert (engine.count("alice"), engine.count("admin")) == (1, 0)


async def test_it_is_synchronous_in_threads_and_in_decorated_synchronous_functions(engine: Engine) -> None:
    @remember
    def inner() -> type:
        return type(current_memory())

    @remember(user="alice", memory=engine)
    async def function() -> list[type]:
        async def beside() -> None:
            kinds.append(type(current_memory()))

        kinds = [
            type(current_memory()),
            inner(),
            await anyio.to_thread.run_sync(lambda: type(current_memory())),
        ]
        kinds.append(type(current_memory()))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beside)
        return kinds

    asynchronous, synchronous = AsyncScopedMemory, ScopedMemory
    assert await function() == [asynchronous, synchronous, synchronous, asynchronous, asynchronous]


@pytest.mark.parametrize(
    "take",
    [
        lambda memory: remember(memory=memory),
        lambda memory: asgi.MemoryMiddleware(Starlette(), memory=memory),
        lambda memory: wsgi.MemoryMiddleware(demo_app, memory=memory),
    ],
)
@pytest.mark.parametrize("memory", ["app.db", MemoryConfig])
def test_what_is_no_memory_is_refused_at_once(take: Callable[[Any], object], memory: object) -> None:
    with pytest.raises(ConfigurationError, match=r"not (str|type); .* MemoryConfig\(db_path="):
        take(memory)


def test_a_carried_function_takes_the_memory_along(engine: Engine) -> None:
    @remember(user="alice", memory=engine)
    def function() -> Callable[[], None]:
        return carry(lambda: current_memory().add("Prefers Python") and None)

    function()()
    assert engine.count("alice") == 1


def test_without_a_memory_of_its_own_a_process_shares_one_per_database(tmp_path: Path) -> None:
    assert memory_in_use() is memory_in_use() is shared_memory() is shared_memory(MemoryConfig())
    assert memory_in_use() is shared_memory(MemoryConfig(db_path=tmp_path / "memory.db"))
    with bind(user_id="alice"):
        current_memory().add("Prefers Python")
        assert [memory.content for memory in current_memory().get_all()] == ["Prefers Python"]


def test_threads_that_open_the_shared_memory_at_once_share_it() -> None:
    def open_it(_: int) -> HierarchicalMemory:
        together.wait()
        return shared_memory()

    together = threading.Barrier(8)
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(open_it, range(8)))) == 1


def test_the_shared_memory_is_closed_with_the_process(tmp_path: Path) -> None:
    script = "import headroom as h; h.bind(user_id='alice'); h.current_memory().add('Prefers Python')"
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert shared_memory().engine.count("alice") == 1


def test_a_database_that_is_open_with_other_settings_is_refused() -> None:
    shared_memory()
    with pytest.raises(ConfigurationError, match="open in this process with other settings"):
        shared_memory(MemoryConfig(top_k=3))


def test_a_shared_memory_that_was_closed_is_opened_anew() -> None:
    first = shared_memory()
    first.engine.add("Prefers Python", "alice")
    close_shared_memory(MemoryConfig())
    close_shared_memory(MemoryConfig())
    assert shared_memory() is not first
    assert shared_memory().engine.count("alice") == 1


@pytest.mark.parametrize("scope", [Scope(), ANONYMOUS])
def test_without_a_user_every_method_is_a_clear_error(
    memory: Callable[[Scope], ScopedMemory], scope: Scope
) -> None:
    nobody = memory(scope)
    calls: list[Callable[[], object]] = [
        lambda: nobody.search("x"),
        lambda: nobody.add("x"),
        nobody.get_all,
        nobody.clear,
        nobody.stats,
        lambda: nobody.supersede("m", "x"),
        lambda: nobody.history("m"),
        lambda: nobody.delete("m"),
    ]
    for call in calls:
        with pytest.raises(MissingScopeError):
            call()


def test_what_it_lists_counts_and_clears_by_default_is_all_of_the_users(
    memory: Callable[[Scope], ScopedMemory],
) -> None:
    morning, evening = memory(Scope("alice", "morning")), memory(Scope("alice", "evening"))
    morning.add("Prefers Python")
    morning.add("Debugs the parser", level="session")
    evening.add("Cooks", level="session")
    memory(Scope("bob")).add("Prefers Go")
    assert [m.content for m in evening.get_all()] == ["Prefers Python", "Debugs the parser", "Cooks"]
    assert [m.content for m in evening.get_all(level="session")] == ["Cooks"]
    assert evening.stats()["total"] == 3
    assert evening.clear(level="session") == 1
    assert [m.content for m in morning.get_all()] == ["Prefers Python", "Debugs the parser"]
    assert morning.clear() == 2
    assert memory(Scope("bob")).stats()["total"] == 1


def test_a_search_sees_what_is_visible_from_the_scope(memory: Callable[[Scope], ScopedMemory]) -> None:
    morning = memory(Scope("alice", "morning"))
    morning.add("Prefers Python")
    morning.add("Python session in the morning", level="session")
    assert {m.content for m in morning.search("python")} == {
        "Prefers Python",
        "Python session in the morning",
    }
    assert {m.content for m in memory(Scope("alice", "evening")).search("python")} == {"Prefers Python"}
    assert memory(Scope("bob", "morning")).search("python") == []


def test_a_level_that_the_scope_does_not_have_is_a_clear_error(
    memory: Callable[[Scope], ScopedMemory],
) -> None:
    alice = memory(Scope("alice"))
    with pytest.raises(InvalidInputError, match=r"there is no session here: bind\(\.\.\.\) its session_id"):
        alice.add("x", level="session")
    with pytest.raises(InvalidInputError, match="unknown level"):
        alice.get_all(level="team")


def test_a_memory_is_changed_and_its_history_told_to_its_owner(
    memory: Callable[[Scope], ScopedMemory],
) -> None:
    alice = memory(Scope("alice"))
    old = alice.add("Works at Google")
    new = alice.supersede(old.id, "Works at Anthropic", importance=0.9)
    assert [(m.content, m.is_current) for m in alice.history(old.id)] == [
        ("Works at Google", False),
        ("Works at Anthropic", True),
    ]
    assert new.importance == 0.9
    assert alice.delete(new.id)
    assert not alice.delete(new.id)
    assert alice.get_all() == []


def test_somebody_elses_memory_is_as_good_as_none(memory: Callable[[Scope], ScopedMemory]) -> None:
    theirs = memory(Scope("alice")).add("Works at Google")
    mallory = memory(Scope("mallory"))
    for call in (lambda: mallory.supersede(theirs.id, "Works nowhere"), lambda: mallory.history(theirs.id)):
        with pytest.raises(MemoryNotFoundError):
            call()
    assert not mallory.delete(theirs.id)
    assert [m.content for m in memory(Scope("alice")).get_all()] == ["Works at Google"]
