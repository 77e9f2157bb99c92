"""The block reaches the caller through no accessor of a raw or streaming response; all else stays."""

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from asking import block, deltas, user
from openai import AsyncOpenAI, OpenAI, RateLimitError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headroom import with_memory
from headroom.memory import Engine, MemoryFilter
from headroom.prompting.instruction import INSTRUCTION
from headroom.testing import Failure, ScriptedApp, ScriptedServer

HELLO = {"model": "any", "messages": user("Hello there")}
TEXT = f"I see, tea it is.\n\n{block('Likes tea')}"
CLEAN = "I see, tea it is."
Connect = Callable[..., Any]
Serve = Callable[..., ScriptedServer]


def strings(response: Any) -> list[str]:
    """Everything that a response's accessors say."""
    http = response.http_response
    return [
        response.text if isinstance(response.text, str) else response.text(),
        (response.content if hasattr(response, "content") else response.read()).decode(),
        http.text,
        http.content.decode(),
        json.dumps(http.json()),
        "".join(http.iter_text()),
        b"".join(http.iter_bytes()).decode(),
        "\n".join(http.iter_lines()),
        str(response.parse()),
        str(response.parse(to=dict)),
    ]


def test_no_accessor_of_a_raw_response_shows_the_block(connect: Connect, serve: Serve) -> None:
    client = connect(serve(TEXT))
    for response in (
        client.chat.completions.with_raw_response.create(**HELLO),
        client.responses.with_raw_response.create(model="any", input="Hello there"),
    ):
        for text in strings(response):
            assert CLEAN in text
            assert "<memory" not in text
            assert "Likes tea" not in text
        assert response.headers["x-request-id"]
        assert response.status_code == 200
        assert response.retries_taken == 0
        assert response.http_response.elapsed.total_seconds() > 0


def test_no_accessor_of_a_streaming_response_shows_the_block(connect: Connect, serve: Serve) -> None:
    completions = connect(serve(TEXT)).chat.completions.with_streaming_response
    with completions.create(**HELLO) as response:
        response.read()
        for text in strings(response):
            assert CLEAN in text
            assert "Likes tea" not in text
    for read in ("iter_text", "iter_bytes", "iter_lines"):
        with completions.create(**HELLO, stream=True) as response:
            pieces = list(getattr(response, read)())
        body = b"\n".join(piece if isinstance(piece, bytes) else piece.encode() for piece in pieces)
        assert b"Likes" not in body
        assert b"memory" not in body
    with completions.create(**HELLO, stream=True) as response:
        raw = b"".join(response.http_response.iter_raw())
        assert b"memory" not in raw
        assert b"[DONE]" in raw


def test_what_was_noted_is_stored_once_the_body_was_read(
    connect: Connect, serve: Serve, engine: Engine
) -> None:
    client = connect(serve(TEXT))
    with client.chat.completions.with_streaming_response.create(**HELLO) as response:
        assert engine.count("alice") == 0
        response.read()
    assert engine.count("alice") == 1


def test_a_body_that_needs_no_cleaning_stays_byte_for_byte(connect: Connect, serve: Serve) -> None:
    server = serve("Nothing to note, but é and <memory>.")
    plain = OpenAI(base_url=server.base_url, api_key="any")
    theirs = plain.chat.completions.with_raw_response.create(**HELLO).text
    ours = connect(server).chat.completions.with_raw_response.create(**HELLO).text
    plain.close()
    assert json.loads(ours)["choices"] == json.loads(theirs)["choices"]
    assert "é" in ours or "\\u00e9" in ours


def test_compressed_answers_are_cleaned(engine: Engine) -> None:
    async def zipped(request: Request) -> Response:
        body = await request.json()
        message = {"role": "assistant", "content": TEXT}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        if body.get("stream"):
            choice = {"index": 0, "delta": message, "finish_reason": None}
            content = f"data: {json.dumps({'id': 'x', 'choices': [choice]})}\n\ndata: [DONE]\n\n"
            kind = "text/event-stream"
        else:
            content, kind = json.dumps({"id": "x", "choices": [choice]}), "application/json"
        return Response(
            gzip.compress(content.encode()), headers={"content-encoding": "gzip", "content-type": kind}
        )

    app = Starlette(routes=[Route("/v1/chat/completions", zipped, methods=["POST"])])

    async def main() -> None:
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
        async with AsyncOpenAI(base_url="http://test/v1", api_key="any", http_client=http) as inner:
            client = with_memory(inner, "alice", memory=engine, strict=True)
            response = await client.chat.completions.with_raw_response.create(**HELLO)
            assert json.loads(response.text)["choices"][0]["message"]["content"] == CLEAN
            assert "content-encoding" not in response.headers
            stream = await client.chat.completions.create(**HELLO, stream=True)
            assert deltas([chunk async for chunk in stream]) == CLEAN

    asyncio.run(main())
    assert engine.count("alice") == 1


@pytest.mark.parametrize("stream", [False, True])
def test_transports_that_give_whole_responses_are_cleaned(
    engine: Engine,
    stream: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Such as those that tests use in place of a network."""

    def handle(_: httpx2.Request) -> httpx2.Response:
        if stream:
            choice = {"index": 0, "delta": {"content": TEXT}, "finish_reason": None}
            body = f"data: {json.dumps({'id': 'x', 'choices': [choice]})}\n\ndata: [DONE]\n\n"
            return httpx2.Response(200, text=body, headers={"content-type": "text/event-stream"})
        message = {"role": "assistant", "content": TEXT}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return httpx2.Response(200, json={"id": "x", "choices": [choice]})

    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    with OpenAI(base_url="http://test/v1", api_key="any", http_client=http) as inner:
        client = with_memory(inner, "alice", memory=engine, strict=True)
        if stream:
            assert deltas(list(client.chat.completions.create(**HELLO, stream=True))) == CLEAN
        else:
            response = client.chat.completions.with_raw_response.create(**HELLO)
            assert "Likes tea" not in response.text
            assert response.parse().choices[0].message.content == CLEAN
    assert engine.count("alice") == 1


@pytest.mark.parametrize("ending", ["\n\n", "\r\n\r\n", "\r\r", "\n\r\n", "\r\n\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_cleaned_however_they_end_and_are_cut(engine: Engine, ending: str, size: int) -> None:
    def handle(_: httpx2.Request) -> httpx2.Response:
        pieces = [TEXT[start : start + 5] for start in range(0, len(TEXT), 5)]
        choices = [{"index": 0, "delta": {"content": piece}, "finish_reason": None} for piece in pieces]
        events = [json.dumps({"id": "x", "choices": [choice]}) for choice in choices]
        body = "".join(f"data: {event}{ending}" for event in [*events, "[DONE]"]).encode()

        def cut() -> Iterator[bytes]:
            yield from (body[start : start + size] for start in range(0, len(body), size))

        return httpx2.Response(200, content=cut(), headers={"content-type": "text/event-stream"})

    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    with OpenAI(base_url="http://test/v1", api_key="any", http_client=http) as inner:
        client = with_memory(inner, "alice", memory=engine, strict=True)
        assert deltas(list(client.chat.completions.create(**HELLO, stream=True))) == CLEAN
    assert engine.count("alice") == 1


def test_hooks_that_read_the_body_first_see_it_clean(engine: Engine, serve: Serve) -> None:
    seen: list[str] = []

    def look(response: httpx2.Response) -> None:
        response.read()
        seen.append(response.text)

    server = serve(TEXT)
    http = httpx2.Client(event_hooks={"response": [look]})
    with OpenAI(base_url=server.base_url, api_key="any", http_client=http) as inner:
        client = with_memory(inner, "alice", memory=engine, strict=True)
        assert client.chat.completions.create(**HELLO).choices[0].message.content == CLEAN
        http.event_hooks = {"response": [look]}  # which drops ours
        assert client.chat.completions.create(**HELLO).choices[0].message.content == CLEAN
    assert len(seen) == 2
    assert not any("Likes tea" in text for text in seen)


def test_answers_of_another_form_pass(engine: Engine) -> None:
    bodies = iter([b"not json", b"[1, 2]", b'"text"', b""])

    def handle(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=next(bodies), headers={"content-type": "application/json"})

    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    with OpenAI(base_url="http://test/v1", api_key="any", http_client=http) as inner:
        client = with_memory(inner, "alice", memory=engine, strict=True)
        for body in ("not json", "[1, 2]", '"text"', ""):
            assert client.chat.completions.with_raw_response.create(**HELLO).text == body


def test_errors_of_the_api_are_the_sdks_own(connect: Connect, serve: Serve, engine: Engine) -> None:

    client = connect(serve(Failure(429, TEXT)))
    with pytest.raises(RateLimitError, match="tea"):
        client.chat.completions.create(**HELLO)
    assert engine.count("alice") == 0
    assert not client.memory.last_exchange.finished


def test_a_retry_is_one_exchange(serve: Serve, engine: Engine) -> None:

    server = serve([Failure(500), Failure(503), TEXT])
    with OpenAI(base_url=server.base_url, api_key="any", max_retries=3) as inner:
        client = with_memory(inner, "alice", memory=engine, strict=True)
        assert client.chat.completions.create(**HELLO).choices[0].message.content == CLEAN
    bodies = [request.body for request in server.requests]
    assert bodies[0] == bodies[1] == bodies[2]
    assert [memory.content for memory in engine.query(MemoryFilter(user_id="alice"))] == ["Likes tea"]


def test_answers_fetched_again_are_clean(engine: Engine) -> None:
    """What the API has stored still has the block in it."""
    message = {"role": "assistant", "content": TEXT}
    completion = {"id": "c1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    part = {"type": "output_text", "text": TEXT, "annotations": []}
    item = {"id": "m1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    response = {
        "id": "r1",
        "object": "response",
        "status": "completed",
        "output": [item],
        "instructions": f"Be terse.\n\n{INSTRUCTION}",
    }

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=completion if "chat" in request.url.path else response)

    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    with OpenAI(base_url="http://test/v1", api_key="any", http_client=http) as inner:
        client = with_memory(inner, "alice", memory=engine, strict=True)
        assert client.chat.completions.retrieve("c1").choices[0].message.content == CLEAN
        assert client.chat.completions.update("c1", metadata={}).choices[0].message.content == CLEAN
        assert client.responses.retrieve("r1").output_text == CLEAN
        assert client.responses.retrieve("r1").instructions == "Be terse."
        assert client.responses.cancel("r1").output_text == CLEAN
        assert client.memory.last_exchange is None
    assert engine.count("alice") == 0


def test_the_server_as_an_application_without_a_socket(engine: Engine) -> None:

    async def main() -> None:
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=ScriptedApp(TEXT)))
        async with AsyncOpenAI(base_url="http://test/v1", api_key="any", http_client=http) as inner:
            client = with_memory(inner, "alice", memory=engine, strict=True)
            assert (await client.chat.completions.create(**HELLO)).choices[0].message.content == CLEAN

    asyncio.run(main())
    assert engine.count("alice") == 1
