"""The Responses API, as the OpenAI SDK reads it over HTTP."""

import json
from collections.abc import Callable

import pytest
from openai import AsyncOpenAI, BadRequestError, OpenAI
from pydantic import BaseModel

from headroom.testing import Answer, ScriptedServer, ToolCall

WEATHER = ToolCall("weather", {"city": "Paris"})
TOOLS = [{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}]


class Capital(BaseModel):
    city: str


def test_the_output_text_is_the_answer(connect: Callable[..., OpenAI]) -> None:
    response = connect("Paris.").responses.create(model="gpt-4o", input="Capital of France?")
    assert response.output_text == "Paris."
    assert response.status == "completed"
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0


def test_a_response_repeats_its_request(connect: Callable[..., OpenAI]) -> None:
    response = connect("Paris.").responses.create(
        model="gpt-4o",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "Capital of France?"}]}],
        instructions="Be brief.",
        previous_response_id="resp_before",
        metadata={"trace": "7"},
        temperature=0.5,
    )
    assert response.instructions == "Be brief."
    assert response.previous_response_id == "resp_before"
    assert response.metadata == {"trace": "7"}
    assert response.temperature == 0.5


def test_a_conversation_is_named_in_the_response(connect: Callable[..., OpenAI]) -> None:
    client = connect("Paris.")
    response = client.responses.create(model="gpt-4o", input="Capital of France?", conversation="conv_1")
    assert response.conversation.id == "conv_1"


def test_function_calls_and_reasoning_are_items_of_their_own(connect: Callable[..., OpenAI]) -> None:
    client = connect(Answer("Let me look.", reasoning="A map would help.", tool_calls=[WEATHER]))
    response = client.responses.create(model="gpt-4o", input="Weather in Paris?", tools=TOOLS)
    reasoning, message, call = response.output
    assert reasoning.summary[0].text == "A map would help."
    assert message.content[0].text == "Let me look."
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Paris"})


def test_an_answer_that_was_cut_off_is_incomplete(connect: Callable[..., OpenAI]) -> None:
    client = connect(Answer("Paris, wh", finish_reason="length"))
    response = client.responses.create(model="gpt-4o", input="Capital of France?")
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    *_, last = client.responses.create(model="gpt-4o", input="Capital of France?", stream=True)
    assert last.type == "response.incomplete"


def test_a_stream_has_every_event_in_order(connect: Callable[..., OpenAI]) -> None:
    events = list(
        connect(Answer(chunks=["Par", "is."])).responses.create(
            model="gpt-4o", input="Capital of France?", stream=True
        )
    )
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[2].item.content == []
    assert events[2].item.status == "in_progress"
    assert [event.delta for event in events[4:6]] == ["Par", "is."]
    assert events[6].text == events[7].part.text == events[8].item.content[0].text == "Paris."
    assert events[0].response.output == []
    assert events[-1].response.output_text == "Paris."
    assert events[-1].response.usage.output_tokens > 0


def test_a_stream_carries_reasoning_refusals_and_function_calls(connect: Callable[..., OpenAI]) -> None:
    answer = Answer(reasoning="I may not.", refusal="I cannot say.", tool_calls=[WEATHER])
    client = connect(answer)
    events = list(client.responses.create(model="gpt-4o", input="Tell me.", tools=TOOLS, stream=True))

    def text(kind: str) -> str:
        return "".join(event.delta for event in events if event.type == f"response.{kind}.delta")

    assert text("reasoning_summary_text") == "I may not."
    assert text("refusal") == "I cannot say."
    assert json.loads(text("function_call_arguments")) == {"city": "Paris"}
    assert [item.type for item in events[-1].response.output] == ["reasoning", "message", "function_call"]
    assert [event.output_index for event in events if event.type == "response.output_item.done"] == [0, 1, 2]


def test_the_stream_helper_assembles_the_response(connect: Callable[..., OpenAI]) -> None:
    client = connect(Answer("Let me look.", tool_calls=[WEATHER]))
    with client.responses.stream(model="gpt-4o", input="Weather in Paris?", tools=TOOLS) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert snapshots[-1] == final.output_text == "Let me look."
    assert final.output[1].name == "weather"


def test_structured_output_is_parsed(connect: Callable[..., OpenAI]) -> None:
    client = connect(Capital(city="Paris").model_dump_json())
    response = client.responses.parse(model="gpt-4o", input="Capital of France?", text_format=Capital)
    assert response.output_parsed == Capital(city="Paris")
    assert response.text.format.type == "json_schema"


def test_log_probabilities_spell_the_answer(connect: Callable[..., OpenAI]) -> None:
    client = connect("Paris, of course.")
    request = {"model": "gpt-4o", "input": "Capital of France?", "include": ["message.output_text.logprobs"]}
    whole = client.responses.create(**request)
    assert "".join(token.token for token in whole.output[0].content[0].logprobs) == "Paris, of course."
    events = client.responses.create(**request, stream=True)
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert all("".join(token.token for token in event.logprobs) == event.delta for event in deltas)


def test_a_request_without_input_is_refused(connect: Callable[..., OpenAI]) -> None:
    with pytest.raises(BadRequestError, match="input"):
        connect("Paris.").responses.create(model="gpt-4o", input="")


@pytest.mark.anyio
async def test_asynchronous_clients_get_the_same() -> None:
    with ScriptedServer("Paris.") as server:
        async with AsyncOpenAI(base_url=server.base_url, api_key="not-a-key") as client:
            whole = await client.responses.create(model="gpt-4o", input="Capital of France?")
            async with client.responses.stream(model="gpt-4o", input="Capital of France?") as stream:
                final = await stream.get_final_response()
    assert whole.output_text == final.output_text == "Paris."
