"""Two hundred users stream at once; some leave early, some are cancelled; each finds what they said."""

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import anyio
import psutil
import pytest
from asking import CLIENTS, block, user

from headroom import ExchangeTrace, bind, with_memory
from headroom.memory import Engine, HierarchicalMemory, MemoryFilter, patience
from headroom.testing import Answer, ReceivedRequest, ScriptedServer

USERS = 200


def answer(request: ReceivedRequest) -> Answer:
    """Notes who is asking, and then goes on talking."""
    name = request.user_text.rsplit(" ", 1)[-1]
    words = [f" word{number}" for number in range(12)]
    return Answer(chunks=["Hello ", name, ".", block(f"Is called {name}"), *words], chunk_delay=0.001)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what a thread does after its task was cancelled, on a busy machine as well."""
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - a thread has no event of the loop's
            await anyio.sleep(0.01)


def open_files() -> int:
    return len(psutil.Process().open_files()) + len(psutil.Process().net_connections())


@pytest.mark.anyio
async def test_each_user_finds_what_they_said_and_nothing_stays_open(
    serve: Callable[..., ScriptedServer], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither the memory nor the SDK is to give up what only a busy machine makes late.
    monkeypatch.setattr(patience, "LITTLE", 600.0)
    inner = CLIENTS["openai", True](serve(answer)).with_options(timeout=600, max_retries=2)
    exchanges: list[ExchangeTrace] = []
    all_over = asyncio.Event()

    async def on_exchange(trace: ExchangeTrace) -> None:
        exchanges.append(trace)
        if len(exchanges) == USERS:
            all_over.set()

    client = with_memory(inner, memory=HierarchicalMemory(engine), strict=True, on_exchange=on_exchange)
    tasks_before = asyncio.all_tasks()

    async def converse(number: int) -> str:
        name = f"user{number}"
        with bind(user_id=name):
            stream = await client.chat.completions.create(
                model="any", messages=user(f"I am {name}"), stream=True
            )
        text = ""
        async for chunk in stream:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            if "word3" in text and number % 3 == 1:
                await stream.close()
                break
            if "word3" in text and number % 3 == 2:
                asyncio.current_task().cancel()  # type: ignore[union-attr]
        return text

    results = await asyncio.gather(*map(converse, range(USERS)), return_exceptions=True)
    await inner.close()

    for number, text in enumerate(results):
        if number % 3 == 2:
            assert isinstance(text, asyncio.CancelledError)
        else:
            assert isinstance(text, str), text
            assert text.startswith(f"Hello user{number}.")
            assert "<" not in text
    with anyio.fail_after(60):  # what was cancelled is stored by threads
        await all_over.wait()
    assert [exchange.failures for exchange in exchanges] == [[]] * USERS
    for number in range(USERS):
        noted = [memory.content for memory in engine.query(MemoryFilter(user_id=f"user{number}"))]
        assert noted == [f"Is called user{number}"]
    gc.collect()  # the SDK's own generators, which a break leaves behind
    await until(lambda: asyncio.all_tasks() == tasks_before)


def test_nothing_stays_open(serve: Callable[..., ScriptedServer], engine: Engine) -> None:
    """Files, connections and threads, after streams that ended in every way."""
    server = serve(answer)

    def converse() -> None:
        async def main() -> None:
            inner = CLIENTS["openai", True](server)
            client = with_memory(inner, "alice", memory=engine, strict=True)
            for ending in (None, "close", "cancel") * 5:
                await end(client, ending)
            await inner.close()

        asyncio.run(main())

    async def end(client: Any, ending: str | None) -> None:
        stream = await client.chat.completions.create(model="any", messages=user("I am alice"), stream=True)
        await anext(stream)
        if ending == "close":
            await stream.close()
        elif ending == "cancel":
            task = asyncio.create_task(anext_forever(stream))
            await asyncio.sleep(0.002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await stream.close()
        else:
            async for _ in stream:
                pass

    async def anext_forever(stream: Any) -> None:
        async for _ in stream:
            await asyncio.sleep(0)

    converse()
    files, threads = open_files(), threading.active_count()
    converse()
    assert open_files() <= files
    assert threading.active_count() <= threads


# On trio, the SDK's own generators end with a warning, wrapped or not.
@pytest.mark.filterwarnings("ignore:Async generator 'openai:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Async generator 'httpx2:ResourceWarning")
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.anyio
async def test_on_either_event_loop(
    serve: Callable[..., ScriptedServer], connect_async: Callable[..., Any]
) -> None:
    client = connect_async(serve(answer))
    completion = await client.chat.completions.create(model="any", messages=user("I am alice"))
    assert completion.choices[0].message.content.startswith("Hello alice. word0")
    stream = await client.chat.completions.create(model="any", messages=user("I am bob"), stream=True)
    async with stream:
        async for _ in stream:
            pass
    assert [memory.content for memory in await client.memory.get_all()] == [
        "Is called alice",
        "Is called bob",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("awaited", [False, True])
async def test_a_task_that_is_cancelled_while_it_stores(
    serve: Callable[..., ScriptedServer],
    connect_async: Callable[..., Any],
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    busy: bool,  # noqa: FBT001 - a parameter of the test
    awaited: bool,  # noqa: FBT001 - the same
) -> None:
    """Whether the storing has begun already, or waits for a thread: it is done, once, and then told of."""
    memory = HierarchicalMemory(engine)
    finished: list[ExchangeTrace] = []

    def on_exchange(trace: ExchangeTrace) -> None:
        assert [memory.content for memory in trace.stored] == ["Is called alice"]
        finished.append(trace)

    async def on_exchange_awaited(trace: ExchangeTrace) -> None:
        assert asyncio.get_running_loop() is loop
        on_exchange(trace)

    loop = asyncio.get_running_loop()
    client = connect_async(
        serve(answer), memory=memory, on_exchange=on_exchange_awaited if awaited else on_exchange
    )
    stream = await client.chat.completions.create(model="any", messages=user("I am alice"), stream=True)
    storing, go_on = threading.Event(), threading.Event()
    add = engine.add

    def slowly(*args: Any, **kwargs: Any) -> Any:
        storing.set()
        go_on.wait(10)
        return add(*args, **kwargs)

    async def read() -> None:
        async for _ in stream:
            pass

    blockers = [asyncio.create_task(memory.run_in_turn(go_on.wait, 10)) for _ in range(100 if busy else 0)]
    monkeypatch.setattr(engine, "add", slowly)
    task = asyncio.create_task(read())
    await until(lambda: storing.is_set() or (busy and client.memory.last_exchange.model_time is not None))
    assert storing.is_set() != busy
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.gather(*blockers)
    await until(lambda: engine.count("alice") == 1 and len(finished) == 1)
    assert finished[0].finished
    assert stream.response.is_closed


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_where_no_thread_can_be_started(
    serve: Callable[..., ScriptedServer], connect_async: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = asyncio.Event()

    async def on_exchange(_: ExchangeTrace) -> None:
        told.set()
        await asyncio.sleep(10)

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    client = connect_async(serve(answer), on_exchange=on_exchange, strict=False)
    task = asyncio.create_task(client.chat.completions.create(model="any", messages=user("I am alice")))
    await told.wait()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [failure.step for failure in client.memory.last_exchange.failures] == ["store"]


def test_threads_share_a_client(
    serve: Callable[..., ScriptedServer], connect: Callable[..., Any], engine: Engine
) -> None:
    client = connect(serve(answer), user_id=None)
    failures: list[BaseException] = []

    def converse(name: str) -> None:
        try:
            with bind(user_id=name):
                for _ in range(3):
                    list(
                        client.chat.completions.create(
                            model="any", messages=user(f"I am {name}"), stream=True
                        )
                    )
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    names = [f"user{number}" for number in range(20)]
    threads = [threading.Thread(target=converse, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for name in names:
        assert [memory.content for memory in engine.query(MemoryFilter(user_id=name))] == [
            f"Is called {name}"
        ]
