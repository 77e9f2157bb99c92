"""Azure and Groq, each through its own SDK."""

from collections.abc import Callable

import pytest
from groq import AsyncGroq, Groq
from openai import AsyncAzureOpenAI, AzureOpenAI, OpenAI

from headroom.testing import Answer, ScriptedServer, ToolCall

AZURE = {"api_version": "2024-10-21", "api_key": "not-a-key"}

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def test_azure_is_addressed_by_deployment(serve: Callable[..., ScriptedServer]) -> None:
    server = serve("Paris.")
    with AzureOpenAI(azure_endpoint=server.url, **AZURE) as client:
        completion = client.chat.completions.create(model="our-gpt", messages=QUESTION)
        stream = list(client.chat.completions.create(model="our-gpt", messages=QUESTION, stream=True))
        response = client.responses.create(model="our-gpt", input="Capital of France?")
        vectors = client.embeddings.create(model="our-embedder", input="Paris")
    assert completion.choices[0].message.content == response.output_text == "Paris."
    assert stream[0].choices == []  # Azure opens a stream with the verdict of its content filter
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream[1:]) == "Paris."
    assert completion.choices[0].content_filter_results
    assert len(vectors.data) == 1
    assert server.requests[0].path == "/openai/deployments/our-gpt/chat/completions"
    assert server.requests[0].query == {"api-version": "2024-10-21"}


def test_azures_newer_api_is_openais_at_another_path(serve: Callable[..., ScriptedServer]) -> None:
    server = serve("Paris.")
    with OpenAI(base_url=f"{server.url}/openai/v1", api_key="not-a-key") as client:
        assert client.chat.completions.create(model="gpt-4o", messages=QUESTION).choices
        assert client.responses.create(model="gpt-4o", input="Capital of France?").output_text == "Paris."


def test_groq_streams_its_usage_in_its_own_field(serve: Callable[..., ScriptedServer]) -> None:
    server = serve(Answer("Paris.", reasoning="France: Paris.", tool_calls=[ToolCall("weather")]))
    with Groq(base_url=server.url, api_key="not-a-key") as client:
        whole = client.chat.completions.create(model="llama-3.3-70b", messages=QUESTION)
        stream = list(client.chat.completions.create(model="llama-3.3-70b", messages=QUESTION, stream=True))
    assert whole.choices[0].message.content == "Paris."
    assert whole.choices[0].message.reasoning == "France: Paris."
    assert whole.choices[0].message.tool_calls[0].function.name == "weather"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Paris."
    assert stream[-1].x_groq.usage.total_tokens == whole.usage.total_tokens
    assert server.requests[0].path == "/openai/v1/chat/completions"


@pytest.mark.anyio
async def test_their_asynchronous_clients_get_the_same() -> None:
    with ScriptedServer("Paris.") as server:
        async with (
            AsyncAzureOpenAI(azure_endpoint=server.url, **AZURE) as azure,
            AsyncGroq(base_url=server.url, api_key="not-a-key") as groq,
        ):
            for client in (azure, groq):
                completion = await client.chat.completions.create(model="any", messages=QUESTION)
                assert completion.choices[0].message.content == "Paris."
