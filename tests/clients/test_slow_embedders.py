"""An embedder that does not answer holds up no call for long; direct calls wait for it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import anyio
import pytest
from asking import CLIENTS, block, got, user

from headroom import with_memory
from headroom.errors import EmbedderUnavailableError, OverloadedError
from headroom.memory import Engine, MemoryConfig, patience
from headroom.testing import ScriptedServer

QUESTION = {"model": "any", "messages": user("What shall we drink?")}


class Stuck:
    """An embedder that answers when it is let."""

    name = "stuck"
    dimension = 2
    concurrency = 2

    def __init__(self) -> None:
        self.answers = Event()
        self.calls = 0

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.calls += 1
        self.answers.wait(60)
        return [[1.0, 0.0] for _ in texts]


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    stuck = Stuck()
    yield stuck
    stuck.answers.set()


@pytest.fixture
def engine(stuck: Stuck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Answers wait for it half a second."""
    monkeypatch.setattr(patience, "LITTLE", 0.5)
    with Engine(MemoryConfig(db_path=tmp_path / "memory.db", embedder=stuck)) as engine:
        yield engine


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_an_answer_arrives_without_the_memory_that_is_not_found_in_time(
    serve: Callable[..., ScriptedServer],
    engine: Engine,
    asynchronous: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    inner = CLIENTS["openai", asynchronous](serve(f"Tea.\n{block('Likes tea')}"))
    client = with_memory(inner, "alice", memory=engine)
    started = time.monotonic()
    completion = await got(client.chat.completions.create(**QUESTION))
    took = time.monotonic() - started
    await got(inner.close())

    assert completion.choices[0].message.content == "Tea."
    assert took < 5
    failures = client.memory.last_exchange.failures
    assert [failure.step for failure in failures] == ["recall", "store"]
    assert {type(failure.error) for failure in failures} == {EmbedderUnavailableError}


def test_many_answers_wait_no_longer_than_one(
    serve: Callable[..., ScriptedServer], engine: Engine, stuck: Stuck
) -> None:
    with CLIENTS["openai", False](serve("Tea.")) as inner, ThreadPoolExecutor(20) as threads:
        client = with_memory(inner, "alice", memory=engine)
        started = time.monotonic()
        answers = [threads.submit(client.chat.completions.create, **QUESTION) for _ in range(20)]
        assert {answer.result().choices[0].message.content for answer in answers} == {"Tea."}
    assert time.monotonic() - started < 5
    assert stuck.calls <= stuck.concurrency


@pytest.mark.anyio
async def test_an_answer_does_not_wait_for_the_direct_searches_that_wait_for_the_embedder(
    serve: Callable[..., ScriptedServer], engine: Engine, stuck: Stuck
) -> None:
    """And what it gave up is not done when they have ended."""
    inner = CLIENTS["openai", True](serve("Tea."))
    client = with_memory(inner, "alice", memory=engine)
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(client.memory.search, f"cup {number}")
        await anyio.wait_all_tasks_blocked()
        try:
            with anyio.fail_after(10):
                completion = await client.chat.completions.create(**QUESTION)
        finally:
            stuck.answers.set()
    await inner.close()

    assert completion.choices[0].message.content == "Tea."
    failures = client.memory.last_exchange.failures
    assert [(failure.step, type(failure.error)) for failure in failures] == [("recall", OverloadedError)]
    assert stuck.calls == 20


@pytest.mark.anyio
async def test_many_answers_in_tasks_wait_not_much_longer_than_one(
    serve: Callable[..., ScriptedServer], engine: Engine
) -> None:
    inner = CLIENTS["openai", True](serve([f"Tea.\n{block(f'Owns cup {number}')}" for number in range(20)]))
    client = with_memory(inner, "alice", memory=engine)
    started = time.monotonic()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(lambda: client.chat.completions.create(**QUESTION))
    took = time.monotonic() - started
    await inner.close()

    assert took < 5
    assert client.memory.failures == 40


def test_a_direct_call_waits_and_finds_the_embedder_as_it_was(
    serve: Callable[..., ScriptedServer], engine: Engine, stuck: Stuck
) -> None:
    with CLIENTS["openai", False](serve("Tea.")) as inner, ThreadPoolExecutor() as threads:
        client = with_memory(inner, "alice", memory=engine)
        adding = threads.submit(client.memory.add, "Likes the sea")
        for _ in range(3):
            client.chat.completions.create(**QUESTION)
        assert not adding.done()
        stuck.answers.set()
        assert adding.result(30).content == "Likes the sea"
        client.chat.completions.create(**QUESTION)
    assert [memory.content for memory in client.memory.last_exchange.shown.values()] == ["Likes the sea"]
