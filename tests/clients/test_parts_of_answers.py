"""Tool calls, log probabilities, usage and reasoning stay in step with the cleaned text."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from asking import block, deltas, user
from openai import OpenAI

from headroom import with_memory
from headroom.clients.answers import FilteredText
from headroom.memory import Engine
from headroom.testing import Answer, ScriptedServer, ToolCall

HELLO = {"model": "any", "messages": user("Hello there")}
TEXT = f"Grüße, 世界 👩‍💻!\n\n{block('Likes tea')}"
CLEAN = "Grüße, 世界 👩‍💻!"
Connect = Callable[..., Any]
Serve = Callable[..., ScriptedServer]


def joined(tokens: list[Any]) -> str:
    return b"".join(bytes(token.bytes) for token in tokens).decode().rstrip()


def test_the_tokens_of_the_block_go_with_it(connect: Connect, serve: Serve) -> None:
    client = connect(serve(TEXT))
    completion = client.chat.completions.create(**HELLO, logprobs=True, top_logprobs=2)
    assert joined(completion.choices[0].logprobs.content) == CLEAN
    assert len(completion.choices[0].logprobs.content[0].top_logprobs) == 2


def test_the_tokens_of_a_stream_come_with_their_text(connect: Connect, serve: Serve) -> None:
    answer = Answer(
        chunks=["Gr", "üße, ", "世", "界 ", "👩‍💻", "! ", "<mem", "ory>?", " \n", block("Likes tea"), " "]
    )
    chunks = list(connect(serve(answer)).chat.completions.create(**HELLO, logprobs=True, stream=True))
    text = tokens = ""
    for chunk in chunks:
        choice = chunk.choices[0]
        text += choice.delta.content or ""
        if choice.logprobs and choice.logprobs.content:
            tokens += joined(choice.logprobs.content)
        assert len(tokens) <= len(text)
    assert text == "Grüße, 世界 👩‍💻! <memory>?"
    assert tokens.replace(" ", "") == text.replace(" ", "")


def test_the_tokens_of_a_response(connect: Connect, serve: Serve) -> None:
    client = connect(serve(TEXT))
    asked = {"model": "any", "input": "Hello", "include": ["message.output_text.logprobs"], "top_logprobs": 1}
    response = client.responses.create(**asked)
    assert joined(response.output[0].content[0].logprobs) == CLEAN
    events = list(client.responses.create(**asked, stream=True))
    streamed = [
        token for event in events if event.type == "response.output_text.delta" for token in event.logprobs
    ]
    assert "".join(token.token for token in streamed).rstrip() == CLEAN
    (done,) = (event for event in events if event.type == "response.output_text.done")
    assert "".join(token.token for token in done.logprobs).rstrip() == CLEAN


def test_characters_that_are_several_tokens() -> None:

    pieces = ["a ", "🧀", f" {block('x')}"]
    cheese = "🧀".encode()
    tokens = [
        [{"token": "a ", "bytes": [97, 32]}],
        [{"token": "\\xf0", "bytes": [cheese[0]]}, {"token": "?", "bytes": list(cheese[1:])}],
        [{"token": f" {block('x')}", "bytes": None}],
    ]
    text = FilteredText()
    fed = [text.feed(piece, given) for piece, given in zip(pieces, tokens, strict=True)]
    rest = text.finish()
    assert "".join(shown for shown, _ in [*fed, rest]) == "a 🧀"
    assert [token for _, kept in [*fed, rest] for token in kept] == [*tokens[0], *tokens[1]]


@pytest.mark.parametrize("text", [None, "Let me look.", TEXT, block("Likes tea")])
def test_tool_calls_with_and_without_text(connect: Connect, serve: Serve, text: str | None) -> None:
    client = connect(serve(Answer(text, tool_calls=[ToolCall("lookup", {"q": "<memory>{"})])))
    message = client.chat.completions.create(**HELLO).choices[0].message
    assert message.content == {TEXT: CLEAN, block("Likes tea"): None}.get(text, text)
    assert message.tool_calls[0].function.arguments == '{"q": "<memory>{"}'
    chunks = list(client.chat.completions.create(**HELLO, stream=True))
    assert deltas(chunks) == (message.content or "")
    arguments = "".join(
        call.function.arguments or "" for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []
    )
    assert arguments == '{"q": "<memory>{"}'
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_usage_and_reasoning_are_as_the_server_sent_them(
    connect: Connect, serve: Serve, engine: Engine
) -> None:
    server = serve(Answer(TEXT, reasoning="They like tea."))
    client = connect(server)
    usage = client.chat.completions.create(**HELLO).usage
    assert usage.completion_tokens_details.reasoning_tokens > 0
    assert usage.completion_tokens > 30
    response = client.responses.create(model="any", input="Hello")
    assert response.output[0].summary[0].text == "They like tea."
    assert response.output_text == CLEAN
    assert engine.count("alice") == 1


def events_of(chunks: list[dict[str, Any]], name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return b"".join(f"{head}data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks)


def streamed(body: bytes, engine: Engine, ask: Callable[[Any], Any]) -> list[Any]:
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=body, headers=headers))
    with OpenAI(
        base_url="http://test/v1", api_key="any", http_client=httpx2.Client(transport=transport)
    ) as inner:
        return list(ask(with_memory(inner, "alice", memory=engine, strict=True)))


def test_half_a_surrogate_pair_passes(engine: Engine) -> None:
    """JSON can say it, UTF-8 and the faster of the parsers cannot."""
    pieces = ["half \ud83d ", f"of a pair \ud83d.\n{block('Likes tea')}"]
    chunks = [{"id": "x", "choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    read = streamed(
        events_of(chunks), engine, lambda client: client.chat.completions.create(**HELLO, stream=True)
    )
    assert deltas(read) == "half \ud83d of a pair \ud83d."
    assert engine.count("alice") == 1


def test_what_is_held_back_is_delivered_with_the_usage_left_to_its_chunk(engine: Engine) -> None:
    choices = [
        {
            "index": 0,
            "delta": {"content": "So a "},
            "logprobs": {"content": [{"token": "So a ", "bytes": None}]},
        },
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    chunks = [{"id": "x", "choices": [choice], "usage": {"total_tokens": 9}} for choice in choices]
    read = streamed(
        events_of(chunks), engine, lambda client: client.chat.completions.create(**HELLO, stream=True)
    )
    assert deltas(read) == "So a "
    assert [chunk.usage is None for chunk in read] == [False, True, False]
    assert [token.token for token in read[1].choices[0].logprobs.content] == ["So a "]


@pytest.mark.parametrize("unfinished", ["", "null", "stop"])
@pytest.mark.parametrize("last", ["stop", None])
def test_a_block_stays_hidden_where_a_server_gives_each_chunk_a_reason_to_stop(
    engine: Engine, unfinished: str, last: str | None
) -> None:
    """As older versions of Ollama and SGLang do, and gateways: one that is none, or "stop"."""
    texts = ["So a ", "``", *block("Likes tea")]
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": unfinished} for text in texts]
    choices += [{"index": 0, "delta": {}, "finish_reason": last or unfinished}]
    chunks = [{"id": "x", "choices": [choice]} for choice in choices]
    read = streamed(
        events_of(chunks), engine, lambda client: client.chat.completions.create(**HELLO, stream=True)
    )
    assert deltas(read) == "So a ``"
    assert read[-1].choices[0].finish_reason == choices[-1]["finish_reason"]
    assert engine.count("alice") == 1


def test_a_response_delivers_what_was_held_back_before_its_text_is_done(engine: Engine) -> None:
    place = {"item_id": "m1", "output_index": 0, "content_index": 0}
    delta = {
        "type": "response.output_text.delta",
        **place,
        "delta": "So a ",
        "sequence_number": 4,
        "logprobs": [],
    }
    done = {
        "type": "response.output_text.done",
        **place,
        "text": "So a ",
        "sequence_number": 5,
        "logprobs": [],
    }
    body = events_of([delta], delta["type"]) + events_of([done], done["type"])
    read = streamed(
        body, engine, lambda client: client.responses.create(model="any", input="Hi", stream=True)
    )
    assert [(event.type[16:], getattr(event, "delta", None), event.sequence_number) for event in read] == [
        ("text.delta", "So a", 4),
        ("text.delta", " ", 4),
        ("text.done", None, 5),
    ]
    cut = streamed(
        events_of([delta], delta["type"]),
        engine,
        lambda client: client.responses.create(model="any", input="Hi", stream=True),
    )
    assert [event.delta for event in cut] == ["So a", " "]


@pytest.mark.parametrize("length", [*range(1, 12), 40])
def test_of_a_response_that_was_cut_off_in_its_block_nothing_of_that_is_left(
    connect: Connect, serve: Serve, engine: Engine, length: int
) -> None:
    said = f"I see. {block('Likes tea')[:length]}"
    client = connect(serve(Answer(said, finish_reason="length")), inject=False)
    response = client.responses.create(model="any", input="Hello")
    assert (response.status, response.output_text) == ("incomplete", "I see.")
    *_, last = client.responses.create(model="any", input="Hello", stream=True)
    assert last.response.output_text == "I see."

    delta = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": said}
    events = streamed(
        events_of([delta], delta["type"]),
        engine,
        lambda client: client.responses.create(model="any", input="Hi", stream=True),
    )
    assert "".join(event.delta for event in events) == "I see."


def test_a_delta_without_text_passes(engine: Engine) -> None:
    event = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": None}
    (read,) = streamed(
        events_of([event], event["type"]),
        engine,
        lambda client: client.responses.create(model="any", input="Hi", stream=True),
    )
    assert read.delta is None
