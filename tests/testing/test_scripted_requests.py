"""The log of received requests."""

from collections.abc import Callable
from typing import Any

import httpx2
from openai import OpenAI

from headroom.testing import ReceivedRequest, ScriptedServer

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def received(**body: Any) -> ReceivedRequest:
    return ReceivedRequest(path="/v1", body=body, headers={}, query={})


def test_requests_are_logged_as_they_were_sent(
    serve: Callable[..., ScriptedServer], connect: Callable[..., OpenAI]
) -> None:
    server = serve("Paris.")
    client = connect(server)
    client.chat.completions.create(
        model="gpt-4o", messages=QUESTION, seed=7, extra_headers={"X-Trace": "a"}, extra_query={"q": "1"}
    )
    client.models.list()
    chat, models = server.requests
    assert (chat.method, chat.path) == ("POST", "/v1/chat/completions")
    assert chat.body == {"model": "gpt-4o", "messages": QUESTION, "seed": 7}
    assert chat.headers["x-trace"] == "a"
    assert chat.query == {"q": "1"}
    assert (models.method, models.path, models.body) == ("GET", "/v1/models", {})
    server.requests.clear()
    assert server.requests == []


def test_credentials_are_hidden(serve: Callable[..., ScriptedServer], connect: Callable[..., OpenAI]) -> None:
    server = serve("Paris.")
    connect(server).chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert server.requests[0].headers["authorization"] == "<hidden>"
    assert "not-a-key" not in repr(server.requests)


def test_a_refused_request_is_logged_too(serve: Callable[..., ScriptedServer]) -> None:
    server = serve("Paris.")
    assert httpx2.post(f"{server.base_url}/chat/completions", json={"messages": []}).status_code == 400
    assert server.requests[0].body == {"messages": []}


def test_the_user_text_is_the_last_user_messages() -> None:
    request = received(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "First"},
            {"role": "user", "content": [{"type": "text", "text": "Second"}, {"type": "image_url"}]},
            {"role": "assistant", "content": None},
            {"role": "tool", "content": "42"},
        ]
    )
    assert request.user_text == "Second"
    assert request.system_text == "Be brief."
    assert request.prompt_text == "Be brief.\nFirst\nSecond\n42"


def test_the_texts_of_the_responses_api_are_found_too() -> None:
    assert received(input="Hello").user_text == "Hello"
    request = received(
        instructions="Be brief.",
        input=[
            {"role": "developer", "content": "Be kind."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
            {"type": "function_call_output", "call_id": "call_1", "output": "42"},
        ],
    )
    assert request.user_text == "Hello"
    assert request.system_text == "Be brief.\nBe kind."


def test_a_request_without_messages_has_no_texts() -> None:
    request = received()
    assert (request.user_text, request.system_text, request.prompt_text) == ("", "", "")
