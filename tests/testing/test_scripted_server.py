"""The server as a process resource: many at once, many connections, cut connections, a clean end."""

import asyncio
import gc
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from openai import APIConnectionError, AsyncOpenAI, OpenAI

from headroom.testing import Answer, ReceivedRequest, ScriptedServer

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def test_several_servers_run_at_once(connect: Callable[..., OpenAI]) -> None:
    with ScriptedServer("one") as one, ScriptedServer("two") as two:
        texts = [
            connect(server)
            .chat.completions.create(model="gpt-4o", messages=QUESTION)
            .choices[0]
            .message.content
            for server in (one, two, one)
        ]
    assert texts == ["one", "two", "one"]
    assert (len(one.requests), len(two.requests)) == (2, 1)


def test_servers_start_from_many_threads() -> None:
    def exchange(number: int) -> str:
        with ScriptedServer(str(number)) as server, OpenAI(base_url=server.base_url, api_key="k") as client:
            completion = client.chat.completions.create(model="gpt-4o", messages=QUESTION)
            return completion.choices[0].message.content

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(exchange, range(16))) == [str(number) for number in range(16)]


def test_a_server_can_be_entered_again(connect: Callable[..., OpenAI]) -> None:
    server = ScriptedServer("Paris.")
    for _ in range(2):
        with server:
            assert connect(server).chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert len(server.requests) == 2


def test_nothing_is_left_after_the_end() -> None:
    threads = threading.active_count()
    with ScriptedServer("Paris.") as server, OpenAI(base_url=server.base_url, api_key="k") as client:
        client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert threading.active_count() == threads
    host, port = server.url.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
    gc.collect()  # a socket or loop left open is a ResourceWarning, which fails the test


def test_the_end_does_not_wait_for_what_is_being_answered(
    connect: Callable[..., OpenAI], caplog: pytest.LogCaptureFixture
) -> None:
    slow = Answer("Paris, after a while.", chunk_delay=60)
    with ScriptedServer([slow, Answer("Never.", delay=60)]) as server, ThreadPoolExecutor(1) as pool:
        client = connect(server)
        stream = client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True)
        next(stream)
        waiting = pool.submit(client.chat.completions.create, model="gpt-4o", messages=QUESTION)
        while len(server.requests) < 2:
            time.sleep(0.001)
        server.__exit__(None, None, None)
        with pytest.raises(APIConnectionError):
            waiting.result()
    with pytest.raises(APIConnectionError):
        next(stream)
    assert caplog.records == []


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_a_stream_is_cut_after_the_pieces_asked_for(
    connect: Callable[..., OpenAI], pieces: int, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(Answer("Paris, I would say.", cut_after=pieces))
    chunks: list[Any] = []
    with pytest.raises(APIConnectionError):
        chunks.extend(client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True))
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "Paris", ",", " I"][: pieces + 1]
    events: list[Any] = []
    with pytest.raises(APIConnectionError):
        events.extend(client.responses.create(model="gpt-4o", input="Hello", stream=True))
    assert len(events) == 4 + pieces
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_a_cut_breaks_its_own_connection_only(connect: Callable[..., OpenAI]) -> None:
    client = connect([Answer("Paris, in time.", chunk_delay=0.01), Answer("Paris.", cut_after=0)])
    going_on = client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True)
    next(going_on)
    with pytest.raises(APIConnectionError):
        client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in going_on) == "Paris, in time."


def test_a_whole_answer_is_cut_before_its_first_byte(connect: Callable[..., OpenAI]) -> None:
    client = connect([Answer("Paris.", cut_after=1), "Paris."])
    with pytest.raises(APIConnectionError):
        client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert client.chat.completions.create(model="gpt-4o", messages=QUESTION).choices


def test_delays_hold_back_the_answer_and_each_event(connect: Callable[..., OpenAI]) -> None:
    client = connect(Answer("Paris.", delay=0.05, chunk_delay=0.02))
    started = time.perf_counter()
    events = list(client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True))
    assert time.perf_counter() - started >= 0.05 + 0.02 * (len(events) - 1)


@pytest.mark.anyio
async def test_two_hundred_streams_at_once() -> None:
    def rule(request: ReceivedRequest) -> Answer:
        return Answer(f"The answer to {request.user_text} takes a few words.", chunk_delay=0.001)

    with ScriptedServer(rule) as server:
        limits = httpx2.Limits(max_connections=200)
        async with (
            httpx2.AsyncClient(limits=limits) as http,
            AsyncOpenAI(base_url=server.base_url, api_key="k", http_client=http, max_retries=0) as client,
        ):
            at_once, most = 0, 0

            async def stream(number: int) -> str:
                nonlocal at_once, most
                chunks = await client.chat.completions.create(
                    model="gpt-4o", messages=[{"role": "user", "content": str(number)}], stream=True
                )
                at_once += 1
                most = max(most, at_once)
                text = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])
                at_once -= 1
                return text

            texts = await asyncio.gather(*(stream(number) for number in range(200)))
    assert texts == [f"The answer to {number} takes a few words." for number in range(200)]
    assert most > 100


def test_requests_of_many_threads_are_all_logged(serve: Callable[..., ScriptedServer]) -> None:
    server = serve("Paris.")
    with OpenAI(base_url=server.base_url, api_key="k") as client, ThreadPoolExecutor(16) as pool:
        for _ in range(400):
            pool.submit(client.chat.completions.create, model="gpt-4o", messages=QUESTION)
    assert len(server.requests) == 400


def test_a_missing_uvicorn_is_named_with_the_remedy() -> None:
    program = """
import sys
sys.modules["uvicorn"] = None
from headroom.errors import MissingDependencyError
from headroom.testing import ScriptedServer
try:
    with ScriptedServer("Hello"):
        pass
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "headroom-memory[testing]"' in done.stdout
    assert done.stderr == ""
