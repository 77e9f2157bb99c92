"""Whose memory a call uses: the client's own user's, or that of whomever the code runs for at the call."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import CLIENTS, block, deltas, listed, user

from headroom import ANONYMOUS, Scope, bind, with_memory
from headroom.current import close_shared_memory, using
from headroom.errors import MissingScopeError, ScopeConflictError
from headroom.memory import Engine, MemoryConfig, MemoryFilter
from headroom.scope import entered
from headroom.testing import ScriptedServer

QUESTION = user("Hello there")
ANSWER = f"Yes.\n{block('Likes tea')}"
Connect = Callable[..., Any]
Serve = Callable[..., ScriptedServer]


def owners(engine: Engine, *users: str) -> list[str]:
    return [name for name in users if engine.count(name)]


def ask(client: Any) -> str:
    return client.chat.completions.create(model="any", messages=QUESTION).choices[0].message.content


def test_without_a_user_of_its_own_it_is_the_current_ones(
    connect: Connect, serve: Serve, engine: Engine
) -> None:
    client = connect(serve(ANSWER), user_id=None)
    with bind(user_id="bob", session_id="s1"):
        assert ask(client) == "Yes."
        assert client.memory.last_exchange.scope == Scope("bob", "s1")
        assert [memory.content for memory in client.memory.get_all()] == ["Likes tea"]
    assert owners(engine, "alice", "bob") == ["bob"]


def test_the_context_completes_what_the_client_leaves_open(connect: Connect, serve: Serve) -> None:
    client = connect(serve(ANSWER), session_id="mine")
    with bind(session_id="other", agent_id="planner", turn_id="t"):
        ask(client)
    assert client.memory.last_exchange.scope == Scope("alice", "mine", "planner", "t")


def test_without_any_user_a_call_is_an_error_that_says_what_to_do(connect: Connect, serve: Serve) -> None:
    server = serve(ANSWER)
    client = connect(server, user_id=None)
    for call in (
        lambda: ask(client),
        lambda: client.responses.create(model="any", input="Hello"),
        lambda: client.chat.completions.stream(model="any", messages=QUESTION).__enter__(),
        client.memory.get_all,
    ):
        with pytest.raises(MissingScopeError, match="user_id="):
            call()
    assert server.requests == []


def test_two_users_are_an_error_that_names_neither(connect: Connect, serve: Serve) -> None:
    server = serve(ANSWER)
    client = connect(server)
    with bind(user_id="bob"), pytest.raises(ScopeConflictError) as raised:
        ask(client)
    assert "alice" not in str(raised.value)
    assert "bob" not in str(raised.value)
    with bind(user_id="bob"), pytest.raises(ScopeConflictError):
        client.memory.search("tea")
    assert server.requests == []


def test_its_own_user_may_be_the_current_one(connect: Connect, serve: Serve, engine: Engine) -> None:
    with bind(user_id="alice"):
        ask(connect(serve(ANSWER)))
    assert owners(engine, "alice") == ["alice"]


@pytest.mark.parametrize("user_id", [None, "alice"])
def test_for_nobody_in_particular_calls_pass_untouched(
    connect: Connect, serve: Serve, engine: Engine, user_id: str | None
) -> None:
    server = serve(ANSWER)
    client = connect(server, user_id=user_id)
    with entered(ANONYMOUS):
        assert ask(client) == ANSWER
        chunks = list(client.chat.completions.create(model="any", messages=QUESTION, stream=True))
        assert deltas(chunks) == ANSWER
        assert client.responses.create(model="any", input="Hello").output_text == ANSWER
        with pytest.raises(MissingScopeError):
            client.memory.get_all()
    assert all(request.system_text == "" for request in server.requests)
    assert owners(engine, "alice") == []


@pytest.mark.anyio
async def test_errors_of_asynchronous_calls_are_raised_when_awaited(
    connect_async: Connect, serve: Serve
) -> None:
    client = connect_async(serve(ANSWER), user_id=None)
    call = client.chat.completions.create(model="any", messages=QUESTION)
    with pytest.raises(MissingScopeError):
        await call


class TestStreamsKeepTheScopeOfTheirCall:
    """Wherever and whenever they are read."""

    def test_read_in_another_scope(self, connect: Connect, serve: Serve, engine: Engine) -> None:
        client = connect(serve(ANSWER), user_id=None)
        with bind(user_id="bob"):
            stream = client.chat.completions.create(model="any", messages=QUESTION, stream=True)
        with bind(user_id="eve"):
            assert deltas(list(stream)) == "Yes."
        assert owners(engine, "bob", "eve") == ["bob"]

    def test_read_in_another_thread(self, connect: Connect, serve: Serve, engine: Engine) -> None:
        client = connect(serve(ANSWER), user_id=None)
        with bind(user_id="bob"):
            stream = client.chat.completions.create(model="any", messages=QUESTION, stream=True)
        thread = threading.Thread(target=list, args=(stream,))
        thread.start()
        thread.join()
        assert owners(engine, "bob") == ["bob"]

    @pytest.mark.parametrize("way", ["stream", "streaming response", "from the top"])
    def test_entered_in_another_scope(self, connect: Connect, serve: Serve, engine: Engine, way: str) -> None:
        client = connect(serve(ANSWER), user_id=None)
        completions = client.chat.completions
        views = {
            "stream": lambda: completions.stream(model="any", messages=QUESTION),
            "streaming response": lambda: completions.with_streaming_response.create(
                model="any", messages=QUESTION
            ),
            "from the top": lambda: client.with_streaming_response.chat.completions.create(
                model="any", messages=QUESTION
            ),
        }
        with bind(user_id="bob"):
            manager = views[way]()
        with bind(user_id="eve"), manager as stream:
            stream.until_done() if way == "stream" else stream.read()
            assert client.memory.last_exchange is None
            with bind(user_id="bob"):
                assert client.memory.last_exchange.scope.user_id == "bob"
        assert owners(engine, "bob", "eve") == ["bob"]

    @pytest.mark.anyio
    async def test_read_in_another_task(self, connect_async: Connect, serve: Serve, engine: Engine) -> None:
        client = connect_async(serve(ANSWER), user_id=None)

        async def read(stream: Any) -> list[Any]:
            with bind(user_id="eve"):
                return [chunk async for chunk in stream]

        with bind(user_id="bob"):
            call = client.chat.completions.create(model="any", messages=QUESTION, stream=True)
        stream = await call
        assert deltas(await asyncio.create_task(read(stream))) == "Yes."
        assert owners(engine, "bob", "eve") == ["bob"]


@pytest.mark.anyio
async def test_each_task_sees_its_own_last_exchange(connect_async: Connect, serve: Serve) -> None:
    client = connect_async(serve(ANSWER), user_id=None)

    async def task(name: str) -> str:
        with bind(user_id=name):
            await client.chat.completions.create(model="any", messages=QUESTION)
            await asyncio.sleep(0)
            return client.memory.last_exchange.scope.user_id

    names = [f"user {number}" for number in range(10)]
    assert await asyncio.gather(*map(task, names)) == names
    assert client.memory.last_exchange is None


def test_each_client_has_its_own_last_exchange(connect: Connect, serve: Serve) -> None:
    server = serve(ANSWER)
    one, other = connect(server), connect(server, user_id="bob")
    assert one.memory.last_exchange is None
    ask(one)
    ask(other)
    assert one.memory.last_exchange.scope.user_id == "alice"
    assert other.memory.last_exchange.scope.user_id == "bob"


def test_what_one_user_told_is_not_shown_to_another(connect: Connect, serve: Serve, engine: Engine) -> None:
    server = serve("Yes.")
    client = connect(server, user_id=None)
    engine.add("Says hello there to everybody", "bob")
    engine.add("Hello there is said in this session only", "eve", "s1")
    for scope in (Scope("eve"), Scope("eve", "s2"), Scope("alice")):
        with entered(scope):
            ask(client)
            assert client.memory.last_exchange.shown == {}
    with entered(Scope("eve", "s1")):
        ask(client)
        assert len(client.memory.last_exchange.shown) == 1


def test_what_lies_with_other_users_is_not_found_by_id(
    connect: Connect, serve: Serve, engine: Engine
) -> None:
    client = connect(serve("Yes."))
    theirs = engine.add("Likes tea", "bob")
    assert not client.memory.delete(theirs.id)
    with pytest.raises(LookupError):
        client.memory.history(theirs.id)
    assert engine.query(MemoryFilter(user_id="bob")) == [theirs]


@pytest.mark.anyio
async def test_what_is_awaited_in_the_scope_of_another_is_for_whom_it_was_called(
    connect_async: Connect, serve: Serve, engine: Engine
) -> None:
    client = connect_async(serve(ANSWER), user_id=None)
    with bind(user_id="admin"):
        jobs = []
        for name in ("bob", "carol"):
            with bind(user_id=name):
                jobs.append(client.memory.add(f"The secret of {name}"))
                jobs.append(client.chat.completions.create(model="any", messages=QUESTION))
        await asyncio.gather(*jobs)
        assert await client.memory.get_all() == []
    for name in ("bob", "carol"):
        noted = {memory.content for memory in engine.query(MemoryFilter(user_id=name))}
        assert noted == {f"The secret of {name}", "Likes tea"}


@pytest.mark.anyio
@pytest.mark.parametrize("recalled", [True, False])
async def test_a_stream_that_ends_elsewhere_is_noted_in_the_memory_of_its_call(
    serve: Serve,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recalled: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    inner = CLIENTS["openai", True](serve(ANSWER))
    client = with_memory(inner)
    config = MemoryConfig(db_path=tmp_path / ("memory.db" if recalled else "later/memory.db"))

    async def request() -> Any:
        with using(config), bind(user_id="bob"):
            return await client.chat.completions.create(model="any", messages=QUESTION, stream=True)

    stream = await asyncio.create_task(request())
    (tmp_path / "later").mkdir()  # without it, nothing could be recalled
    await listed(stream)
    await inner.close()
    close_shared_memory(config)
    with Engine(config) as engine:
        assert [memory.content for memory in engine.query(MemoryFilter(user_id="bob"))] == ["Likes tea"]
    assert client.memory.failures == (not recalled)
    assert list(elsewhere.iterdir()) == []
