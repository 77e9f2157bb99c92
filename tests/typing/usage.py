"""How clients are used, for type checkers: nothing here is run."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from groq import AsyncGroq, Groq
from openai import AsyncAzureOpenAI, AsyncOpenAI, AsyncStream, AzureOpenAI, OpenAI, Stream
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from headroom import AsyncClientMemory, ClientMemory, ExchangeTrace, Memory, MemoryConfig, with_memory
from headroom.memory import MemoryStats


def openai() -> None:
    client = with_memory(OpenAI(), user_id="alice", session_id="s1", top_k=3, db_path="memory.db")
    same: OpenAI = client
    del same
    assert_type(client.memory, ClientMemory)
    assert_type(client.memory.search("python"), list[Memory])
    assert_type(client.memory.stats(), MemoryStats)
    assert_type(client.memory.stats()["total"], int)
    assert_type(client.memory.last_exchange, ExchangeTrace | None)
    completion = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
    assert_type(completion, ChatCompletion)
    stream = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    assert_type(stream, Stream[ChatCompletionChunk])
    assert_type(client.responses.create(model="gpt-4o", input="Hi"), Response)
    assert_type(client.with_options(timeout=3).memory, ClientMemory)
    with client as entered:
        assert_type(entered.memory, ClientMemory)


async def async_openai() -> None:
    client = with_memory(AsyncOpenAI(), on_exchange=print, redact=str.strip)
    same: AsyncOpenAI = client
    del same
    assert_type(client.memory, AsyncClientMemory)
    assert_type(await client.memory.search("python"), list[Memory])
    assert_type(await client.memory.get_all(), list[Memory])
    assert_type(client.memory.failures, int)
    stream = await client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    assert_type(stream, AsyncStream[ChatCompletionChunk])


def others() -> Iterator[ClientMemory]:
    azure = with_memory(AzureOpenAI(), "alice")
    as_azure: AzureOpenAI = azure
    del as_azure
    yield azure.memory
    groq = with_memory(Groq(), "alice")
    as_groq: Groq = groq
    del as_groq
    yield groq.memory


async def async_others() -> AsyncIterator[AsyncClientMemory]:
    azure = with_memory(AsyncAzureOpenAI(), "alice")
    as_azure: AsyncAzureOpenAI = azure
    del as_azure
    yield azure.memory
    groq = with_memory(AsyncGroq(), "alice")
    as_groq: AsyncGroq = groq
    del as_groq
    yield groq.memory


class OtherClient:
    """A client that no type checker knows."""


def unknown() -> None:
    assert_type(with_memory(OtherClient(), "alice"), Any)


class OwnEmbedder:
    """An embedder such as users write."""

    name = "letters"
    dimension = 2

    def embed(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, text.count("e")] for text in texts]


def own_embedder() -> MemoryConfig:
    return MemoryConfig(embedder=OwnEmbedder())
