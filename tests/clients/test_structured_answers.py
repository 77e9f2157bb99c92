"""Where the answer's form is prescribed, memories are injected and nothing else: no instruction, no block."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from asking import block, user
from openai import LengthFinishReasonError, pydantic_function_tool
from pydantic import BaseModel

from headroom.memory import Engine, MemoryFilter
from headroom.testing import Answer, ReceivedRequest, ScriptedServer, ToolCall

KNOWN = "Lives in Lisbon"
QUESTION = "In which city do I live?"


class City(BaseModel):
    name: str


SCHEMA = {"name": "city", "schema": {"type": "object", "properties": {"name": {"type": "string"}}}}
ANSWER = json.dumps({"name": f"Lisbon {block('x')}"})
FORMATS = {
    "json_object": lambda client: client.chat.completions.create(
        model="any", messages=user(QUESTION), response_format={"type": "json_object"}
    ),
    "json_schema": lambda client: client.chat.completions.create(
        model="any", messages=user(QUESTION), response_format={"type": "json_schema", "json_schema": SCHEMA}
    ),
    "extra_body": lambda client: client.chat.completions.create(
        model="any", messages=user(QUESTION), extra_body={"response_format": {"type": "json_object"}}
    ),
    "parse": lambda client: client.chat.completions.parse(
        model="any", messages=user(QUESTION), response_format=City
    ),
}
TEXT_FORMATS = {
    "text.format": lambda client: client.responses.create(
        model="any", input=QUESTION, text={"format": {"type": "json_schema", **SCHEMA}}
    ),
    "parse": lambda client: client.responses.parse(model="any", input=QUESTION, text_format=City),
}


@pytest.fixture
def server(serve: Callable[..., ScriptedServer]) -> ScriptedServer:
    return serve(ANSWER)


@pytest.fixture
def client(connect: Callable[..., Any], server: ScriptedServer, engine: Engine) -> Any:
    engine.add(KNOWN, "alice")
    return connect(server)


def check_request(request: ReceivedRequest) -> None:
    assert KNOWN in request.user_text
    assert request.system_text == ""


@pytest.mark.parametrize("name", FORMATS)
def test_chat_completions(client: Any, server: ScriptedServer, name: str) -> None:
    completion = FORMATS[name](client)
    assert completion.choices[0].message.content == ANSWER
    check_request(server.requests[0])
    assert not client.memory.last_exchange.asked
    assert client.memory.last_exchange.finished


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_responses(client: Any, server: ScriptedServer, name: str) -> None:
    response = TEXT_FORMATS[name](client)
    assert response.output_text == ANSWER
    check_request(server.requests[0])


def test_parsed_answers(client: Any) -> None:
    completion = FORMATS["parse"](client)
    assert completion.choices[0].message.parsed == City.model_validate_json(ANSWER)
    assert TEXT_FORMATS["parse"](client).output_parsed == City.model_validate_json(ANSWER)


def test_parsed_streams(client: Any) -> None:
    with client.chat.completions.stream(model="any", messages=user(QUESTION), response_format=City) as stream:
        completion = stream.get_final_completion()
    assert completion.choices[0].message.parsed == City.model_validate_json(ANSWER)
    with client.responses.stream(model="any", input=QUESTION, text_format=City) as stream:
        response = stream.get_final_response()
    assert response.output_parsed == City.model_validate_json(ANSWER)


def test_a_format_that_is_text_is_no_prescription(
    connect: Callable[..., Any], serve: Any, engine: Engine
) -> None:
    client = connect(serve(f"Yes.\n{block('Likes tea')}"))
    completion = client.chat.completions.create(
        model="any", messages=user(QUESTION), response_format={"type": "text"}
    )
    assert completion.choices[0].message.content == "Yes."
    response = client.responses.create(model="any", input=QUESTION, text={"format": {"type": "text"}})
    assert response.output_text == "Yes."
    assert engine.count("alice") == 1


def test_spoken_answers_and_background_work_are_not_asked_for_notes(
    client: Any, server: ScriptedServer
) -> None:
    client.chat.completions.create(
        model="any",
        messages=user(QUESTION),
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "mp3"},
    )
    client.responses.create(model="any", input=QUESTION, background=True)
    for request in server.requests:
        check_request(request)


def test_parse_with_tools_alone_takes_notes(connect: Callable[..., Any], serve: Any, engine: Engine) -> None:
    call = ToolCall("City", {"name": "Lisbon"})
    client = connect(serve(Answer(f"Yes.\n{block('Likes tea')}", tool_calls=[call])))
    completion = client.chat.completions.parse(
        model="any", messages=user(QUESTION), tools=[pydantic_function_tool(City)]
    )
    message = completion.choices[0].message
    assert message.content == "Yes."
    assert message.tool_calls[0].function.parsed_arguments == City(name="Lisbon")
    assert engine.count("alice") == 1


def test_a_cut_off_answer_that_the_sdk_refuses_shows_no_block(
    connect: Callable[..., Any], serve: Any, engine: Engine
) -> None:
    text = 'Yes.\n<memory>{"memories": ["Likes tea", "Likes cof'
    client = connect(serve(Answer(text, finish_reason="length")))
    with pytest.raises(LengthFinishReasonError) as raised:
        client.chat.completions.parse(model="any", messages=user(QUESTION))
    assert raised.value.completion.choices[0].message.content == "Yes."
    assert [memory.content for memory in engine.query(MemoryFilter(user_id="alice"))] == ["Likes tea"]
