"""Tool calls, log probabilities, usage and reasoning stay in step with the cleaned text."""

from collections.abc import Callable
from typing import Any

import pytest
from asking import block, deltas, user

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
