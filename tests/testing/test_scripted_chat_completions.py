"""Chat completions, as the OpenAI SDK reads them over HTTP."""

import json
from collections.abc import Callable

import pytest
from openai import AsyncOpenAI, BadRequestError, OpenAI
from pydantic import BaseModel

from headroom.testing import Answer, ScriptedServer, ToolCall

WEATHER = ToolCall("weather", {"city": "Paris"})
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


class Capital(BaseModel):
    city: str


def test_a_text_is_the_answer_to_every_request(connect: Callable[..., OpenAI]) -> None:
    client = connect("Paris.")
    for _ in range(3):
        completion = client.chat.completions.create(model="gpt-4o", messages=QUESTION)
        assert completion.choices[0].message.content == "Paris."
        assert completion.choices[0].message.role == "assistant"
        assert completion.choices[0].finish_reason == "stop"
        assert completion.model == "gpt-4o"
        assert completion.object == "chat.completion"


def test_usage_grows_with_the_prompt_and_the_answer(connect: Callable[..., OpenAI]) -> None:
    client = connect(["Paris.", "Paris, which lies on the Seine, in the north of the country."])
    longer = [{"role": "system", "content": "You are a geographer who answers briefly."}, *QUESTION]
    short = client.chat.completions.create(model="gpt-4o", messages=QUESTION).usage
    long = client.chat.completions.create(model="gpt-4o", messages=longer).usage
    assert 0 < short.prompt_tokens < long.prompt_tokens
    assert 0 < short.completion_tokens < long.completion_tokens
    assert long.total_tokens == long.prompt_tokens + long.completion_tokens


def test_each_of_n_choices_has_its_own_answer(connect: Callable[..., OpenAI]) -> None:
    client = connect([["Paris.", Answer("Lutetia.", finish_reason="length"), "Panam."]])
    choices = client.chat.completions.create(model="gpt-4o", messages=QUESTION, n=3).choices
    assert [choice.index for choice in choices] == [0, 1, 2]
    assert [choice.message.content for choice in choices] == ["Paris.", "Lutetia.", "Panam."]
    assert [choice.finish_reason for choice in choices] == ["stop", "length", "stop"]


def test_one_answer_serves_all_choices(connect: Callable[..., OpenAI]) -> None:
    client = connect("Paris.")
    choices = client.chat.completions.create(model="gpt-4o", messages=QUESTION, n=2).choices
    assert [choice.message.content for choice in choices] == ["Paris.", "Paris."]


def test_tool_calls_have_no_content(connect: Callable[..., OpenAI]) -> None:
    client = connect(Answer(tool_calls=[WEATHER, ToolCall("clock", "{}", id="call_own")]))
    (choice,) = client.chat.completions.create(model="gpt-4o", messages=QUESTION, tools=TOOLS).choices
    assert choice.message.content is None
    assert choice.finish_reason == "tool_calls"
    weather, clock = choice.message.tool_calls
    assert (weather.function.name, json.loads(weather.function.arguments)) == ("weather", {"city": "Paris"})
    assert weather.id != clock.id == "call_own"


def test_a_refusal_and_a_reasoning_stand_beside_the_content(connect: Callable[..., OpenAI]) -> None:
    client = connect([Answer(refusal="I cannot say."), Answer("Paris.", reasoning="France: Paris.")])
    refused = client.chat.completions.create(model="gpt-4o", messages=QUESTION).choices[0].message
    assert (refused.content, refused.refusal) == (None, "I cannot say.")
    reasoned = client.chat.completions.create(model="gpt-4o", messages=QUESTION).choices[0].message
    assert (reasoned.content, reasoned.reasoning) == ("Paris.", "France: Paris.")


def test_log_probabilities_spell_the_answer(connect: Callable[..., OpenAI]) -> None:
    client = connect("Paris, naturellement — où sinon?")
    (plain,) = client.chat.completions.create(model="gpt-4o", messages=QUESTION).choices
    assert plain.logprobs is None
    (choice,) = client.chat.completions.create(
        model="gpt-4o", messages=QUESTION, logprobs=True, top_logprobs=2
    ).choices
    assert "".join(token.token for token in choice.logprobs.content) == choice.message.content
    assert (
        b"".join(bytes(token.bytes) for token in choice.logprobs.content).decode() == choice.message.content
    )
    assert all(token.logprob < 0 and len(token.top_logprobs) == 2 for token in choice.logprobs.content)


def test_a_stream_says_what_the_whole_answer_says(connect: Callable[..., OpenAI]) -> None:
    text = 'Paris.\n\n<memory>{"memories": ["Asks about France"]}</memory>  ünïcödé 🗼'
    client = connect(text)
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
    assert len(chunks) > 10
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_is_cut_into_the_chunks_asked_for(connect: Callable[..., OpenAI]) -> None:
    client = connect(Answer(chunks=["Par", "", "is<mem", "ory>"]))
    stream = client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True)
    contents = [chunk.choices[0].delta.content for chunk in stream]
    assert contents == ["", "Par", "", "is<mem", "ory>", None]
    whole = client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert whole.choices[0].message.content == "Paris<memory>"


def test_usage_comes_in_a_chunk_of_its_own_when_asked_for(connect: Callable[..., OpenAI]) -> None:
    client = connect("Paris.")
    whole = client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    *others, last = client.chat.completions.create(
        model="gpt-4o", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    assert last.choices == []
    assert last.usage == whole.usage
    assert all(chunk.choices and chunk.usage is None for chunk in others)


def test_streamed_choices_interleave(connect: Callable[..., OpenAI]) -> None:
    client = connect([["Paris is the capital.", "It is Paris."]])
    texts = {0: "", 1: ""}
    order = []
    for chunk in client.chat.completions.create(model="gpt-4o", messages=QUESTION, n=2, stream=True):
        (choice,) = chunk.choices
        texts[choice.index] += choice.delta.content or ""
        order.append(choice.index)
    assert texts == {0: "Paris is the capital.", 1: "It is Paris."}
    assert order[:6] == [0, 1] * 3


def test_the_stream_helper_assembles_text_tool_calls_refusal_and_logprobs(
    connect: Callable[..., OpenAI],
) -> None:
    client = connect([Answer("Let me look.", tool_calls=[WEATHER, WEATHER]), Answer(refusal="I cannot say.")])
    with client.chat.completions.stream(
        model="gpt-4o", messages=QUESTION, tools=TOOLS, logprobs=True
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion().choices[0]
    assert {"content.delta", "content.done", "tool_calls.function.arguments.delta"} <= kinds
    assert final.message.content == "Let me look."
    assert [call.function.arguments for call in final.message.tool_calls] == ['{"city": "Paris"}'] * 2
    assert final.finish_reason == "tool_calls"
    assert "".join(token.token for token in final.logprobs.content) == "Let me look."
    with client.chat.completions.stream(model="gpt-4o", messages=QUESTION) as stream:
        stream.until_done()
        assert stream.get_final_completion().choices[0].message.refusal == "I cannot say."


def test_structured_output_is_parsed(connect: Callable[..., OpenAI]) -> None:
    client = connect(Capital(city="Paris").model_dump_json())
    parsed = client.chat.completions.parse(model="gpt-4o", messages=QUESTION, response_format=Capital)
    assert parsed.choices[0].message.parsed == Capital(city="Paris")


@pytest.mark.parametrize(
    "request_",
    [
        {"messages": []},
        {"messages": [{"role": "wizard", "content": "Abracadabra"}]},
        {"messages": ["What is the capital of France?"]},
        {"stream_options": {"include_usage": True}},
        {"model": ""},
    ],
    ids=["no messages", "unknown role", "bare text", "stream options without a stream", "no model"],
)
def test_what_the_real_api_refuses_is_refused(
    serve: Callable[..., ScriptedServer], connect: Callable[..., OpenAI], request_: dict[str, object]
) -> None:
    server = serve("Paris.")
    with pytest.raises(BadRequestError) as refused:
        connect(server).chat.completions.create(**{"model": "gpt-4o", "messages": QUESTION, **request_})
    assert refused.value.body["type"] == "invalid_request_error"
    assert len(server.requests) == 1


@pytest.mark.anyio
async def test_asynchronous_clients_get_the_same() -> None:
    with ScriptedServer("Paris.") as server:
        async with AsyncOpenAI(base_url=server.base_url, api_key="not-a-key") as client:
            whole = await client.chat.completions.create(model="gpt-4o", messages=QUESTION)
            stream = await client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert whole.choices[0].message.content == "".join(pieces) == "Paris."
