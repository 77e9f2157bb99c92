"""No block where servers put a model's reasoning, texts in parts, or the list of earlier answers."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from asking import KEY, block, got, listed, user
from openai import AsyncOpenAI, OpenAI

from headroom import with_memory
from headroom.memory import Engine, MemoryFilter

HELLO = {"model": "any", "messages": user("Hello there")}
NOTE = block("Likes tea")
THOUGHT = block("Thinks about tea")
Answer = Callable[[httpx2.Request], httpx2.Response]
Connect = Callable[..., Any]


@pytest.fixture
def connect(engine: Engine) -> Iterator[Connect]:
    """A client whose server answers with this payload; with these events, if it is a list."""
    with ExitStack() as stack:

        def client(payload: Any) -> Any:
            def handle(_: httpx2.Request) -> httpx2.Response:
                if not isinstance(payload, list):
                    return httpx2.Response(200, json=payload)
                body = "".join(f"data: {json.dumps(event)}\n\n" for event in payload)
                return httpx2.Response(200, text=body, headers={"content-type": "text/event-stream"})

            http = httpx2.Client(transport=httpx2.MockTransport(handle))
            inner = OpenAI(base_url="http://test/v1", api_key=KEY, http_client=http)
            return with_memory(stack.enter_context(inner), "alice", memory=engine, strict=True)

        yield client


def stored(engine: Engine) -> list[str]:
    return [memory.content for memory in engine.query(MemoryFilter(user_id="alice"))]


def completion(name: str = "c1", **message: Any) -> dict[str, Any]:
    message = {"role": "assistant", **message}
    return {"id": name, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_blocks_in_the_reasoning_are_neither_shown_nor_stored(
    connect: Connect, engine: Engine, name: str
) -> None:
    client = connect(completion(content=f"Hi.{NOTE}", **{name: f"Hm.{THOUGHT}"}))
    (choice,) = client.chat.completions.create(**HELLO).choices
    assert (choice.message.content, getattr(choice.message, name)) == ("Hi.", "Hm.")
    assert stored(engine) == ["Likes tea"]


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_blocks_in_streamed_reasoning_are_neither_shown_nor_stored(
    connect: Connect, engine: Engine, name: str
) -> None:
    thoughts = [chunk(**{name: piece}) for piece in ("Hm. ", THOUGHT[:20], THOUGHT[20:], " <")]
    client = connect([*thoughts, chunk(content="Hi."), chunk(content=NOTE), chunk("stop")])
    said = []
    for event in client.chat.completions.create(**HELLO, stream=True):
        delta = event.choices[0].delta
        said.extend((field, text) for field in (name, "content") if (text := getattr(delta, field, None)))
    assert "".join(text for field, text in said if field == name) == "Hm. <"
    assert [field for field, _ in said] == sorted((field for field, _ in said), reverse=True)
    assert "".join(text for field, text in said if field == "content") == "Hi."
    assert stored(engine) == ["Likes tea"]


def test_reasoning_that_nothing_follows_is_delivered_whole(connect: Connect, engine: Engine) -> None:
    client = connect([chunk(reasoning=f"Hm.{THOUGHT} <"), chunk(tool_calls=[{"index": 0}]), chunk("stop")])
    stream = client.chat.completions.create(**HELLO, stream=True)
    assert "".join(getattr(event.choices[0].delta, "reasoning", "") for event in stream) == "Hm. <"
    assert stored(engine) == []


def test_texts_in_parts_are_cleaned(connect: Connect, engine: Engine) -> None:
    parts = [{"type": "text", "text": f"Hi.{NOTE}"}, {"type": "reference", "reference_ids": [1]}]
    response = connect(completion(content=parts)).chat.completions.with_raw_response.create(**HELLO)
    (choice,) = json.loads(response.text)["choices"]
    assert choice["message"]["content"] == [{"type": "text", "text": "Hi."}, parts[1]]
    assert stored(engine) == ["Likes tea"]


def test_streamed_texts_in_parts_are_cleaned(connect: Connect, engine: Engine) -> None:
    def parts(*texts: str) -> dict[str, Any]:
        return chunk(content=[{"type": "text", "text": text} for text in texts])

    client = connect([parts("Hi", "."), parts(NOTE[:9], NOTE[9:20]), parts(NOTE[20:]), chunk("stop")])
    with client.chat.completions.with_streaming_response.create(**HELLO, stream=True) as response:
        events = [json.loads(line[5:]) for line in response.iter_lines() if line]
    contents = [event["choices"][0]["delta"].get("content", []) for event in events]
    assert "".join(part["text"] for content in contents for part in content) == "Hi."
    assert stored(engine) == ["Likes tea"]


def test_blocks_in_the_reasoning_of_a_response_are_neither_shown_nor_stored(
    connect: Connect, engine: Engine
) -> None:
    output = [
        {
            "type": "reasoning",
            "id": "r1",
            "content": [{"type": "reasoning_text", "text": f"Hm.{THOUGHT}"}],
            "summary": [{"type": "summary_text", "text": f"So.{THOUGHT}"}],
        },
        {
            "type": "message",
            "id": "m1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": f"Hi.{NOTE}", "annotations": []}],
        },
    ]
    response = connect({"id": "r1", "object": "response", "output": output}).responses.create(
        model="any", input="Hello there"
    )
    thinking, message = response.output
    assert (thinking.content[0].text, thinking.summary[0].text) == ("Hm.", "So.")
    assert message.content[0].text == "Hi."
    assert stored(engine) == ["Likes tea"]


@pytest.mark.parametrize(
    ("name", "part"),
    [("reasoning_text", "content_part"), ("reasoning_summary_text", "reasoning_summary_part")],
)
def test_blocks_in_a_responses_streamed_reasoning_are_neither_shown_nor_stored(
    connect: Connect, engine: Engine, name: str, part: str
) -> None:
    at = {"output_index": 0, f"{'summary' if 'summary' in name else 'content'}_index": 0, "item_id": "r1"}
    text = f"Hm.{THOUGHT}"
    kind = "summary_text" if "summary" in name else name
    events = [
        *({"type": f"response.{name}.delta", **at, "delta": piece} for piece in (text[:9], text[9:])),
        {"type": f"response.{name}.done", **at, "text": text},
        {"type": f"response.{part}.done", **at, "part": {"type": kind, "text": text}},
    ]
    client = connect([{**event, "sequence_number": number} for number, event in enumerate(events)])
    first, *_, done, whole = client.responses.create(model="any", input="Hello there", stream=True)
    assert (first.delta, done.text, whole.part.text) == ("Hm.", "Hm.", "Hm.")
    assert stored(engine) == []


def pages(request: httpx2.Request) -> httpx2.Response:
    """Two of completions that the API has kept."""
    last = "after" in request.url.params
    kept = completion("c2" if last else "c1", content=f"Hi.{NOTE}")
    return httpx2.Response(200, json={"object": "list", "data": [kept], "has_more": not last})


@pytest.fixture
async def clients(engine: Engine) -> AsyncIterator[list[Any]]:
    http = httpx2.MockTransport(pages)
    inner: list[Any] = [
        OpenAI(base_url="http://test/v1", api_key=KEY, http_client=httpx2.Client(transport=http)),
        AsyncOpenAI(base_url="http://test/v1", api_key=KEY, http_client=httpx2.AsyncClient(transport=http)),
    ]
    yield [with_memory(client, "alice", memory=engine, strict=True) for client in inner]
    for client in inner:
        await got(client.close())


@pytest.mark.anyio
async def test_listed_completions_are_clean_on_every_page(clients: list[Any], engine: Engine) -> None:
    for client in clients:
        kept = await listed(client.chat.completions.list())
        assert [(it.id, it.choices[0].message.content) for it in kept] == [("c1", "Hi."), ("c2", "Hi.")]
        first = await got(client.chat.completions.list(limit=1))
        second = await got(first.get_next_page())
        assert NOTE not in first.model_dump_json() + second.model_dump_json()
        raw = await got(client.chat.completions.with_raw_response.list())
        assert "<memory" not in raw.text
        assert raw.parse().data[0].id == "c1"
    assert stored(engine) == []
