"""The callback is given every exchange once, however its call ended."""

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from asking import block, entered, got, listed, user
from openai import APIConnectionError, RateLimitError

from headroom import ExchangeTrace, with_memory
from headroom.errors import StorageError
from headroom.memory import Engine
from headroom.testing import Answer, Failure, ScriptedServer

QUESTION = {"model": "any", "messages": user("Hello there")}
CUT = Answer("Hello to you too.", cut_after=1)
BUSY = Failure(429, "busy")

Connect = Callable[..., Any]
Serve = Callable[..., ScriptedServer]
Way = Callable[[Any], Any]


async def create(client: Any) -> None:
    await got(client.chat.completions.create(**QUESTION))


async def parse(client: Any) -> None:
    await got(client.chat.completions.parse(**QUESTION))


async def respond(client: Any) -> None:
    await got(client.responses.create(model="any", input="Hello"))


async def read_stream(client: Any) -> None:
    await listed(await got(client.chat.completions.create(**QUESTION, stream=True)))


async def use_stream_helper(client: Any) -> None:
    async with entered(client.chat.completions.stream(**QUESTION)) as stream:
        await listed(stream)


async def read_raw(client: Any) -> None:
    await got(client.chat.completions.with_raw_response.create(**QUESTION))


async def read_streaming_response(client: Any) -> None:
    async with entered(client.chat.completions.with_streaming_response.create(**QUESTION)) as response:
        await got(response.read())


WAYS = [create, parse, respond, read_stream, use_stream_helper, read_raw, read_streaming_response]


@pytest.fixture(params=["sync", "async"])
def connect_either(request: pytest.FixtureRequest, connect: Connect, connect_async: Connect) -> Connect:
    return connect if request.param == "sync" else connect_async


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS)
async def test_an_answer(connect_either: Connect, serve: Serve, way: Way) -> None:
    told: list[ExchangeTrace] = []
    client = connect_either(serve("Hello."), on_exchange=told.append)
    await way(client)
    assert told == [client.memory.last_exchange]
    assert told[0].finished


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS)
async def test_an_error_in_its_place(connect_either: Connect, serve: Serve, way: Way) -> None:
    told: list[ExchangeTrace] = []
    client = connect_either(serve(BUSY), on_exchange=told.append)
    with pytest.raises(RateLimitError):
        await way(client)
    assert told == [client.memory.last_exchange]
    assert (told[0].finished, told[0].model_time, told[0].failures) == (False, None, [])
    assert told[0].recall_time is not None


@pytest.mark.anyio
@pytest.mark.parametrize("way", [create, respond, read_raw])
async def test_a_connection_that_breaks(connect_either: Connect, serve: Serve, way: Way) -> None:
    told: list[ExchangeTrace] = []
    client = connect_either(serve(CUT), on_exchange=told.append)
    with pytest.raises(APIConnectionError):
        await way(client)
    assert [trace.finished for trace in told] == [False]


@pytest.mark.anyio
async def test_a_retry_is_not_told_of(connect_either: Connect, serve: Serve) -> None:
    told: list[ExchangeTrace] = []
    client = connect_either(serve([Failure(500), "Hello."]), on_exchange=told.append)
    await create(client.with_options(max_retries=1))
    assert [trace.finished for trace in told] == [True]


@pytest.mark.anyio
async def test_a_memory_that_fails_a_strict_caller(
    connect_either: Connect, serve: Serve, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise StorageError("the disk is full")

    told: list[ExchangeTrace] = []
    client = connect_either(serve("Hello."), on_exchange=told.append)
    monkeypatch.setattr(engine, "search", fail)
    with pytest.raises(StorageError):
        await create(client)
    assert [[failure.step for failure in trace.failures] for trace in told] == [["recall"]]
    assert not told[0].finished


@pytest.mark.anyio
@pytest.mark.parametrize("strict", [True, False])
async def test_a_callback_that_fails_does_not_take_the_place_of_the_error(
    connect_either: Connect,
    serve: Serve,
    strict: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    def fail(_: ExchangeTrace) -> None:
        raise ZeroDivisionError

    client = connect_either(serve(BUSY), on_exchange=fail, strict=strict)
    with pytest.raises(RateLimitError):
        await create(client)
    assert [failure.step for failure in client.memory.last_exchange.failures] == ["callback"]
    assert client.memory.failures == 1


@pytest.mark.anyio
async def test_an_asynchronous_callback_is_awaited_before_the_error_is_raised(
    connect_async: Connect, serve: Serve
) -> None:
    told: list[ExchangeTrace] = []

    async def on_exchange(trace: ExchangeTrace) -> None:
        await asyncio.sleep(0)
        told.append(trace)

    client = connect_async(serve(BUSY), on_exchange=on_exchange)
    with pytest.raises(RateLimitError):
        await create(client)
    assert [trace.finished for trace in told] == [False]


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_while_it_waits(connect_async: Connect, serve: Serve) -> None:
    told: list[ExchangeTrace] = []
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def answer(_: Any) -> Answer:
        loop.call_soon_threadsafe(asked.set)
        return Answer(f"Yes.\n{block('Likes tea')}", delay=60)

    client = connect_async(serve(answer), on_exchange=told.append)
    task = asyncio.create_task(create(client))
    with anyio.fail_after(60):
        await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(trace.finished, trace.stored) for trace in told] == [(False, [])]


def test_a_call_that_is_dropped_while_it_waits(engine: Engine) -> None:
    """As by the garbage collector, after its event loop has stopped."""
    told: list[ExchangeTrace] = []
    over = threading.Event()

    def on_exchange(trace: ExchangeTrace) -> None:
        told.append(trace)
        over.set()

    async def main() -> None:
        asked = asyncio.Event()

        async def answer(**_: Any) -> None:
            asked.set()
            await asyncio.Event().wait()

        inner = SimpleNamespace(responses=SimpleNamespace(create=answer))
        client = with_memory(inner, "alice", memory=engine, on_exchange=on_exchange)
        call = client.responses.create(model="any", input="Hello")
        task = asyncio.create_task(call)
        await asked.wait()
        call.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert over.wait(60)
    assert [trace.finished for trace in told] == [False]


def test_a_client_that_gives_something_to_await(engine: Engine) -> None:
    async def answer() -> None:
        raise ConnectionError

    told: list[ExchangeTrace] = []
    inner = SimpleNamespace(responses=SimpleNamespace(create=lambda **_: answer()))
    client = with_memory(inner, "alice", memory=engine, on_exchange=told.append)
    with pytest.raises(ConnectionError):
        asyncio.run(client.responses.create(model="any", input="Hello"))
    assert [trace.finished for trace in told] == [False]
