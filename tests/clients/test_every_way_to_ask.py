"""Whatever the provider, the API, the way of asking, sync or async: what is remembered is injected, what the
model notes is stored, and the caller gets the SDK's own objects without the block."""

import json
from collections.abc import Awaitable, Callable, Iterator
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from asking import CLIENTS, block, deltas, entered, got, listed

from headroom import with_memory
from headroom.memory import Engine, MemoryConfig
from headroom.testing import Answer, ReceivedRequest, ScriptedServer, ToolCall

QUESTION = "Which language should my new service be written in?"
KNOWN = "Prefers Python for backend services"
NEW = "Is writing a new service"
ANSWER = f"Write it in Python.\n\n{block(NEW)}"
VISIBLE = "Write it in Python."
MODEL = {"model": "any"}
CHAT = {**MODEL, "messages": [{"role": "user", "content": QUESTION}]}
PARTS = {**MODEL, "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]}
INPUT = {**MODEL, "input": QUESTION}
ITEMS = {**MODEL, "input": [{"role": "user", "content": [{"type": "input_text", "text": QUESTION}]}]}
TOOLS = [
    {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}
]


def output_deltas(events: list[Any]) -> str:
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    for event in events:
        match event.type:
            case "response.output_text.done":
                assert event.text == text
            case "response.content_part.done":
                assert event.part.text == text
            case "response.output_item.done":
                assert event.item.content[0].text == text
            case "response.completed":
                assert event.response.output_text == text
    return text


def sse_deltas(body: str) -> str:
    assert "<memory>" not in body
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


async def create(client: Any) -> str:
    completion = await got(client.chat.completions.create(**CHAT))
    assert type(completion).__name__ == "ChatCompletion"
    return completion.choices[0].message.content


async def create_with_parts(client: Any) -> str:
    return (await got(client.chat.completions.create(**PARTS))).choices[0].message.content


async def create_several(client: Any) -> str:
    completion = await got(client.chat.completions.create(**CHAT, n=3))
    first, *others = [choice.message.content for choice in completion.choices]
    assert others == [first, first]
    return first


async def create_with_tools(client: Any) -> str:
    completion = await got(client.chat.completions.create(**CHAT, tools=TOOLS))
    return completion.choices[0].message.content


async def create_stream(client: Any) -> str:
    stream = await got(client.chat.completions.create(**CHAT, stream=True))
    assert type(stream).__name__ in {"Stream", "AsyncStream"}
    return deltas(await listed(stream))


async def create_stream_in_block(client: Any) -> str:
    stream = await got(client.chat.completions.create(**CHAT, stream=True))
    async with entered(stream) as events:
        return deltas(await listed(events))


async def create_several_streams(client: Any) -> str:
    chunks = await listed(await got(client.chat.completions.create(**CHAT, n=2, stream=True)))
    texts = ["", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts[0] == texts[1]
    return texts[0]


async def raw(client: Any) -> str:
    response = await got(client.chat.completions.with_raw_response.create(**CHAT))
    content = (await got(response.parse())).choices[0].message.content
    assert json.loads(await got(response.text() if callable(response.text) else response.text))
    assert "<memory>" not in response.http_response.text
    return content


async def raw_stream(client: Any) -> str:
    response = await got(client.chat.completions.with_raw_response.create(**CHAT, stream=True))
    return deltas(await listed(await got(response.parse())))


async def raw_from_the_top(client: Any) -> str:
    response = await got(client.with_raw_response.chat.completions.create(**CHAT))
    return (await got(response.parse())).choices[0].message.content


async def streaming_response(client: Any) -> str:
    async with entered(client.chat.completions.with_streaming_response.create(**CHAT)) as response:
        return json.loads(await got(response.text()))["choices"][0]["message"]["content"]


async def streaming_response_parsed(client: Any) -> str:
    async with entered(client.with_streaming_response.chat.completions.create(**CHAT)) as response:
        return (await got(response.parse())).choices[0].message.content


async def streaming_response_lines(client: Any) -> str:
    async with entered(
        client.chat.completions.with_streaming_response.create(**CHAT, stream=True)
    ) as response:
        return sse_deltas("\n".join(await listed(response.iter_lines())))


async def streaming_response_bytes(client: Any) -> str:
    async with entered(
        client.chat.completions.with_streaming_response.create(**CHAT, stream=True)
    ) as response:
        return sse_deltas(b"".join(await listed(response.iter_bytes(7))).decode())


async def parse(client: Any) -> str:
    completion = await got(client.chat.completions.parse(**CHAT))
    assert type(completion).__name__.startswith("ParsedChatCompletion")
    return completion.choices[0].message.content


async def stream(client: Any) -> str:
    async with entered(client.chat.completions.stream(**CHAT)) as events:
        seen = await listed(events)
        final = await got(events.get_final_completion())
    assert "".join(event.delta for event in seen if event.type == "content.delta") == VISIBLE
    assert [event.content for event in seen if event.type == "content.done"] == [VISIBLE]
    return final.choices[0].message.content


async def beta_parse(client: Any) -> str:
    return (await got(client.beta.chat.completions.parse(**CHAT))).choices[0].message.content


async def beta_stream(client: Any) -> str:
    async with entered(client.beta.chat.completions.stream(**CHAT)) as events:
        return (await got(events.get_final_completion())).choices[0].message.content


async def respond(client: Any) -> str:
    response = await got(client.responses.create(**INPUT, instructions="Be brief."))
    assert response.instructions == "Be brief."
    assert response.output[-1].content[0].text == response.output_text
    return response.output_text


async def respond_to_items(client: Any) -> str:
    response = await got(client.responses.create(**ITEMS))
    assert response.instructions is None
    return response.output_text


async def respond_in_a_conversation(client: Any) -> str:
    return (await got(client.responses.create(**INPUT, previous_response_id="resp_1"))).output_text


async def respond_streaming(client: Any) -> str:
    events = await listed(await got(client.responses.create(**INPUT, stream=True)))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].response.instructions is None
    return output_deltas(events)


async def responses_parse(client: Any) -> str:
    return (await got(client.responses.parse(**INPUT))).output_text


async def responses_stream(client: Any) -> str:
    async with entered(client.responses.stream(**INPUT)) as events:
        text = output_deltas(await listed(events))
        assert (await got(events.get_final_response())).output_text == text
    return text


async def responses_raw(client: Any) -> str:
    response = await got(client.responses.with_raw_response.create(**INPUT))
    assert "<memory>" not in response.http_response.text
    return (await got(response.parse())).output_text


async def responses_streaming_response(client: Any) -> str:
    async with entered(client.responses.with_streaming_response.create(**INPUT, stream=True)) as response:
        return output_deltas(await listed(await got(response.parse())))


GROQ: tuple[Callable[[Any], Awaitable[str]], ...] = (
    create,
    create_with_parts,
    create_several,
    create_with_tools,
    create_stream,
    create_stream_in_block,
    create_several_streams,
    raw,
    raw_stream,
    raw_from_the_top,
    streaming_response,
    streaming_response_parsed,
    streaming_response_lines,
    streaming_response_bytes,
)
OPENAI = (
    *GROQ,
    parse,
    stream,
    beta_parse,
    beta_stream,
    respond,
    respond_to_items,
    respond_in_a_conversation,
    respond_streaming,
    responses_parse,
    responses_stream,
    responses_raw,
    responses_streaming_response,
)
CELLS = [
    pytest.param(
        provider, asynchronous, way, id=f"{provider}-{'async' if asynchronous else 'sync'}-{way.__name__}"
    )
    for provider, ways in (("openai", OPENAI), ("azure", OPENAI), ("groq", GROQ))
    for asynchronous in (False, True)
    for way in ways
]


@pytest.fixture(scope="module")
def everyones() -> Iterator[tuple[ScriptedServer, Engine]]:
    """A server and a memory for all cells; each cell has a user of its own."""

    def answer(request: ReceivedRequest) -> list[Answer]:
        calls = [ToolCall("lookup")] if "tools" in request.body else []
        return [Answer(ANSWER, tool_calls=calls)] * (request.body.get("n") or 1)

    with (
        TemporaryDirectory() as folder,
        Engine(MemoryConfig(db_path=f"{folder}/memory.db")) as engine,
        ScriptedServer(answer) as server,
    ):
        yield server, engine


@pytest.mark.anyio
@pytest.mark.parametrize(("provider", "asynchronous", "way"), CELLS)
async def test_cell(
    everyones: tuple[ScriptedServer, Engine],
    provider: str,
    asynchronous: bool,  # noqa: FBT001 - a parameter of the test
    way: Callable[[Any], Awaitable[str]],
) -> None:
    server, engine = everyones
    name = f"{provider} {asynchronous} {way.__name__}"
    engine.add(KNOWN, name)
    inner = CLIENTS[provider, asynchronous](server)
    client = with_memory(inner, name, memory=engine, strict=True)
    assert await way(client) == VISIBLE
    await got(inner.close())
    request = server.requests[-1]
    assert KNOWN in request.user_text
    assert request.user_text.endswith(QUESTION)
    assert "<memory>" in request.system_text
    exchange = client.memory.last_exchange
    assert exchange.finished
    assert [memory.content for memory in exchange.shown.values()] == [KNOWN]
    assert [memory.content for memory in exchange.stored] == [NEW]
    assert {memory.content for memory in engine.search("service", name)} == {KNOWN, NEW}
