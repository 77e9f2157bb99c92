"""Which answer a request gets, and what happens when there is none."""

import re
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import InternalServerError, NotFoundError, OpenAI, RateLimitError

from headroom.testing import Answer, Failure, ReceivedRequest, ScriptedServer

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def ask(client: OpenAI, text: str = "Hello", **options: Any) -> str | None:
    messages = [{"role": "user", "content": text}]
    completion = client.chat.completions.create(model="gpt-4o", messages=messages, **options)
    return completion.choices[0].message.content


def test_answers_of_a_list_come_in_turn(connect: Callable[..., OpenAI]) -> None:
    client = connect(["first", Answer("second"), lambda request: f"third to {request.user_text}"])
    assert [ask(client), ask(client), ask(client, "you")] == ["first", "second", "third to you"]


def test_a_list_at_its_end_is_an_error_that_says_so(connect: Callable[..., OpenAI]) -> None:
    client = connect(["only"])
    ask(client)
    with pytest.raises(InternalServerError, match="no answer left"):
        ask(client)


def test_the_first_matching_pattern_of_a_table_decides(connect: Callable[..., OpenAI]) -> None:
    client = connect({"python|ruby": "A language.", "^what": lambda _: "A QUESTION.", "": "Anything else."})
    assert ask(client, "What about PYTHON?") == "A language."
    assert ask(client, "What else?") == "A QUESTION."
    assert ask(client, "\nHm") == "Anything else."


def test_a_table_without_a_match_is_an_error_that_names_the_message(
    connect: Callable[..., OpenAI],
) -> None:
    with pytest.raises(InternalServerError, match=r"no pattern .* 'Hello'"):
        ask(connect({"python": "A language."}))


def test_a_rule_sees_the_request(connect: Callable[..., OpenAI]) -> None:
    client = connect(
        lambda request: f"{request.body['model']} at {request.body['temperature']}: {request.user_text}"
    )
    assert ask(client, "Hi", temperature=0.5) == "gpt-4o at 0.5: Hi"


def test_a_rule_may_be_asynchronous(connect: Callable[..., OpenAI]) -> None:
    async def rule(request: ReceivedRequest) -> Answer:
        return Answer(request.user_text.upper())

    assert ask(connect(rule), "hello") == "HELLO"


def test_the_error_of_a_rule_reaches_the_client_at_once(serve: Callable[..., ScriptedServer]) -> None:
    server = serve(lambda request: request.body["tempo"])
    with OpenAI(base_url=server.base_url, api_key="not-a-key") as client:
        with pytest.raises(InternalServerError, match="KeyError: 'tempo'"):
            client.chat.completions.create(model="gpt-4o", messages=QUESTION)
        with pytest.raises(InternalServerError, match="KeyError: 'tempo'"):
            client.responses.create(model="gpt-4o", input="Hello")
    assert len(server.requests) == 2  # not retried: the script would fail again


@pytest.mark.parametrize("reply", [None, 3, b"bytes", [None]])
def test_a_rule_that_returns_no_answer_is_an_error_that_says_so_at_once(
    serve: Callable[..., ScriptedServer], reply: Any
) -> None:
    server = serve(lambda _: reply)
    client = OpenAI(base_url=server.base_url, api_key="not-a-key", max_retries=3)
    with client, pytest.raises(InternalServerError, match=re.escape(f"{reply!r}, which is no answer")):
        ask(client)
    assert len(server.requests) == 1


def test_too_few_answers_for_the_choices_are_an_error(connect: Callable[..., OpenAI]) -> None:
    with pytest.raises(InternalServerError, match="n=3, the script answers with 2"):
        ask(connect([["one", "two"]]), n=3)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, openai.BadRequestError, "invalid_request_error"),
        (401, openai.AuthenticationError, "authentication_error"),
        (429, RateLimitError, "rate_limit_error"),
        (503, InternalServerError, "server_error"),
    ],
)
def test_a_failure_is_the_sdks_own_error(
    connect: Callable[..., OpenAI], status: int, error: type[openai.APIStatusError], kind: str
) -> None:
    with pytest.raises(error, match="Come back later") as failed:
        ask(connect(Failure(status, "Come back later", code="busy")))
    assert failed.value.status_code == status
    assert failed.value.body["type"] == kind
    assert failed.value.body["code"] == "busy"


def test_a_failure_that_passes_is_retried_by_the_sdk(serve: Callable[..., ScriptedServer]) -> None:
    server = serve([Failure(429), Failure(500), "at last"])
    with OpenAI(base_url=server.base_url, api_key="not-a-key", max_retries=2) as client:
        completion = client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert completion.choices[0].message.content == "at last"
    assert len(server.requests) == 3


def test_a_failure_holds_for_responses_too(connect: Callable[..., OpenAI]) -> None:
    with pytest.raises(RateLimitError):
        connect(Failure(429)).responses.create(model="gpt-4o", input="Hello")


def test_text_and_chunks_that_differ_are_refused() -> None:
    assert Answer("Paris", chunks=["Par", "is"]).text == "Paris"
    with pytest.raises(ValueError, match="differ"):
        Answer("Paris", chunks=["Lon", "don"])


def test_an_unknown_path_is_the_apis_404(connect: Callable[..., OpenAI]) -> None:
    with pytest.raises(NotFoundError, match="GET /v1/files"):
        connect("Hello").files.list()


def test_a_body_that_is_no_json_object_is_refused(connect: Callable[..., OpenAI]) -> None:
    client = connect("Hello")
    for body in (b"{", b"[]"):
        with pytest.raises(openai.BadRequestError, match="JSON"):
            client.post("/chat/completions", cast_to=object, content=body)
