"""Whatever fails in the memory, the model's answer arrives; with strict=True the failure does."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from asking import CLIENTS, block, deltas, got, listed, user
from openai import BadRequestError, LengthFinishReasonError

from headroom import with_memory
from headroom.current import close_shared_memory
from headroom.errors import ClosedError, OverloadedError, StorageError
from headroom.memory import Engine, HierarchicalMemory, Memory, MemoryConfig
from headroom.testing import Answer, ScriptedServer

KNOWN = "Works at Google as an engineer"
QUESTION = {"model": "any", "messages": user("Where do I work as an engineer?")}
TEXT = f"Yes.\n{block('Likes tea', {'content': 'Works at Anthropic', 'replaces': 'm1'}, forget=['m2'])}"
SECRET = "the secret of the user"

POINTS = ["search", "add", "supersede", "delete"]
ERRORS = [StorageError, ClosedError, OverloadedError, RuntimeError, ValueError, KeyError, OSError]


def break_(engine: Engine, point: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one method of the engine fail; the rest of it works."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error(SECRET)

    monkeypatch.setattr(engine, point, fail)


@pytest.fixture
def server(serve: Callable[..., ScriptedServer]) -> ScriptedServer:
    return serve(TEXT)


@pytest.fixture
def known(engine: Engine) -> list[Memory]:
    return [engine.add(KNOWN, "alice"), engine.add("Is an engineer who works late", "alice")]


async def ask_in_every_way(client: Any) -> None:
    completion = await got(client.chat.completions.create(**QUESTION))
    assert completion.choices[0].message.content == "Yes."
    stream = await got(client.chat.completions.create(**QUESTION, stream=True))
    assert deltas(await listed(stream)) == "Yes."
    response = await got(client.responses.create(model="any", input="Where do I work as an engineer?"))
    assert response.output_text == "Yes."
    raw = await got(client.chat.completions.with_raw_response.create(**QUESTION))
    assert "Likes" not in raw.text


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.usefixtures("known")
async def test_the_answer_arrives_whatever_the_engine_raises(
    server: ScriptedServer,
    engine: Engine,
    point: str,
    error: type[Exception],
    asynchronous: bool,  # noqa: FBT001 - a parameter of the test
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_(engine, point, error, monkeypatch)
    inner = CLIENTS["openai", asynchronous](server)
    client = with_memory(inner, "alice", memory=engine, min_score=0)
    await ask_in_every_way(client)
    await got(inner.close())
    (failure, *_) = client.memory.last_exchange.failures or [None]
    if point == "search":
        assert isinstance(failure.error, error)
        assert failure.step == "recall"
    assert client.memory.failures >= 1
    warnings = [record.getMessage() for record in caplog.records if record.name == "headroom"]
    assert len(warnings) == (1 if error is OverloadedError else client.memory.failures)
    assert error.__name__ in warnings[0]
    for content in (KNOWN, "Likes tea", "Anthropic", "alice"):
        assert content not in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.usefixtures("known")
async def test_strict_clients_raise_it(
    server: ScriptedServer,
    engine: Engine,
    point: str,
    asynchronous: bool,  # noqa: FBT001 - a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_(engine, point, StorageError, monkeypatch)
    inner = CLIENTS["openai", asynchronous](server)
    client = with_memory(inner, "alice", memory=engine, min_score=0, strict=True)
    with pytest.raises(StorageError, match=SECRET):
        await got(client.chat.completions.create(**QUESTION))
    assert client.memory.failures == 1
    if point in {"search", "add"}:
        with pytest.raises(StorageError):
            await listed(await got(client.chat.completions.create(**QUESTION, stream=True)))
    await got(inner.close())


def test_the_config_may_be_strict(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        Engine(MemoryConfig(db_path=tmp_path / "strict.db", strict=True)) as engine,
        CLIENTS["openai", False](server) as inner,
    ):
        break_(engine, "search", StorageError, monkeypatch)
        with pytest.raises(StorageError):
            with_memory(inner, "alice", memory=engine).chat.completions.create(**QUESTION)
        with_memory(inner, "alice", memory=engine, strict=False).chat.completions.create(**QUESTION)


def test_a_database_that_cannot_be_opened(
    server: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a directory")
    config = MemoryConfig(db_path=tmp_path / "file" / "memory.db")
    with CLIENTS["openai", False](server) as inner:
        client = with_memory(inner, "alice", config=config)
        assert client.chat.completions.create(**QUESTION).choices[0].message.content == "Yes."
        assert client.memory.failures == 2
        assert "StorageError" in caplog.text
        with pytest.raises(StorageError):
            client.memory.get_all()
        strict = with_memory(inner, "alice", config=config, strict=True)
        with pytest.raises(StorageError):
            strict.chat.completions.create(**QUESTION)


def test_a_memory_that_was_closed_says_so(
    server: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(MemoryConfig(db_path=tmp_path / "closed.db"))
    engine.close()
    with CLIENTS["openai", False](server) as inner:
        client = with_memory(inner, "alice", memory=engine)
        assert client.chat.completions.create(**QUESTION).choices[0].message.content == "Yes."
    assert "ClosedError" in caplog.text


def test_a_shared_memory_that_was_closed_during_an_answer_is_opened_anew_for_its_notes(
    server: ScriptedServer, tmp_path: Path
) -> None:
    config = MemoryConfig(db_path=tmp_path / "shared.db")
    with CLIENTS["openai", False](server) as inner:
        client = with_memory(inner, "alice", config=config)
        stream = client.chat.completions.create(**QUESTION, stream=True)
        client.memory.get_all()
        close_shared_memory(config)
        list(stream)
        assert client.memory.failures == 0
        assert len(client.memory.get_all()) > 0
    close_shared_memory(config)


def test_an_embedder_that_fails_later(
    server: ScriptedServer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be found is found, and what cannot be stored is dropped."""
    engine.add(KNOWN, "alice")
    with CLIENTS["openai", False](server) as inner:
        client = with_memory(inner, "alice", memory=engine)

        class Failing:
            name, dimension = "failing", 384

            def embed(self, texts: list[str]) -> Any:
                raise RuntimeError(texts)

        monkeypatch.setattr(engine, "_embedder", Failing())
        completion = client.chat.completions.create(**QUESTION)
    assert completion.choices[0].message.content == "Yes."
    assert client.memory.failures > 1


@pytest.mark.anyio
async def test_a_burst_of_calls_stores_what_each_noted(
    serve: Callable[..., ScriptedServer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing may be shown in a call too many; but what was noted waits for its turn."""
    notes = [f"Keeps pet number {number}" for number in range(40)]
    server = serve([f"Yes.\n{block(note)}" for note in notes])
    config = MemoryConfig(db_path=tmp_path / "small.db", max_pending=1)
    async with CLIENTS["openai", True](server) as inner, await HierarchicalMemory.create(config) as memory:
        client = with_memory(inner, "alice", memory=memory)

        async def ask() -> None:
            await client.chat.completions.create(**QUESTION)

        async with anyio.create_task_group() as group:
            for _ in notes:
                group.start_soon(ask)
        assert {memory.content for memory in await client.memory.get_all()} == set(notes)
        assert client.memory.failures > 1
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "headroom"]
    assert "raise max_pending" in warning


@pytest.mark.parametrize("option", ["redact", "on_exchange"])
def test_a_callable_of_the_applications_that_fails(
    connect: Callable[..., Any], server: ScriptedServer, engine: Engine, option: str
) -> None:
    def fail(_: Any) -> Any:
        raise ZeroDivisionError

    client = connect(server, strict=False, **{option: fail})
    assert client.chat.completions.create(**QUESTION).choices[0].message.content == "Yes."
    assert engine.count("alice") == (0 if option == "redact" else 2)
    assert {failure.step for failure in client.memory.last_exchange.failures} == {
        "store" if option == "redact" else "callback"
    }
    with pytest.raises(ZeroDivisionError):
        connect(server, strict=True, **{option: fail}).chat.completions.create(**QUESTION)


def test_one_operation_that_fails_leaves_the_others(
    server: ScriptedServer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = engine.add(KNOWN, "alice")
    break_(engine, "add", StorageError, monkeypatch)
    with CLIENTS["openai", False](server) as inner:
        client = with_memory(inner, "alice", memory=engine)
        client.chat.completions.create(**QUESTION)
    assert [memory.content for memory in engine.get_history(old.id)] == [KNOWN, "Works at Anthropic"]


def test_messages_that_make_no_sense_reach_the_api(
    connect: Callable[..., Any], server: ScriptedServer
) -> None:
    """The API says what is wrong with them, not the memory."""
    client = connect(server, strict=False)
    for messages in ([], [{}], [{"role": "nobody"}], [5], "Hello"):
        with pytest.raises((BadRequestError, TypeError)):
            client.chat.completions.create(model="any", messages=messages)


@pytest.fixture
def debug_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, logger="headroom"):
        yield caplog


def test_at_level_debug_the_log_has_the_traceback(
    server: ScriptedServer,
    engine: Engine,
    debug_log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_(engine, "search", StorageError, monkeypatch)
    with CLIENTS["openai", False](server) as inner:
        with_memory(inner, "alice", memory=engine).chat.completions.create(**QUESTION)
    assert "Traceback" in debug_log.text


@pytest.mark.anyio
async def test_an_asynchronous_callback_is_awaited(
    connect_async: Callable[..., Any], server: ScriptedServer
) -> None:
    called = []

    async def callback(exchange: Any) -> None:
        called.append(exchange)

    client = connect_async(server, on_exchange=callback)
    await client.chat.completions.create(**QUESTION)
    assert called == [client.memory.last_exchange]


@pytest.mark.anyio
async def test_a_cut_off_answer_that_the_asynchronous_sdk_refuses(
    connect_async: Callable[..., Any], serve: Callable[..., ScriptedServer], engine: Engine
) -> None:
    client = connect_async(serve(Answer(f"Yes.\n{block('Likes tea')}", finish_reason="length")))
    with pytest.raises(LengthFinishReasonError) as raised:
        await client.chat.completions.parse(**QUESTION)
    assert raised.value.completion.choices[0].message.content == "Yes."
    assert engine.count("alice") == 1
