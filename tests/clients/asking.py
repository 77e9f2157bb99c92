"""The clients under test, and what is said to them and by them."""

import inspect
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from groq import AsyncGroq, Groq
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

from headroom.testing import ScriptedServer

KEY = "not-a-key"
CLIENTS: Mapping[tuple[str, bool], Callable[[ScriptedServer], Any]] = {
    ("openai", False): lambda server: OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0),
    ("openai", True): lambda server: AsyncOpenAI(base_url=server.base_url, api_key=KEY, max_retries=0),
    ("azure", False): lambda server: AzureOpenAI(
        azure_endpoint=server.url, api_key=KEY, api_version="2024-10-21", max_retries=0
    ),
    ("azure", True): lambda server: AsyncAzureOpenAI(
        azure_endpoint=server.url, api_key=KEY, api_version="2024-10-21", max_retries=0
    ),
    ("groq", False): lambda server: Groq(base_url=server.url, api_key=KEY, max_retries=0),
    ("groq", True): lambda server: AsyncGroq(base_url=server.url, api_key=KEY, max_retries=0),
}


def block(*memories: str | Mapping[str, Any], forget: Sequence[str] = ()) -> str:
    """A block as a model appends it."""
    items = [{"content": memory} if isinstance(memory, str) else memory for memory in memories]
    return f"<memory>{json.dumps({'memories': items, 'forget': list(forget)})}</memory>"


def user(text: str) -> list[dict[str, Any]]:
    """A conversation that begins."""
    return [{"role": "user", "content": text}]


async def got(value: Any) -> Any:
    """The value, awaited if it is to be."""
    return await value if inspect.isawaitable(value) else value


async def listed(stream: Any) -> list[Any]:
    """All that a synchronous or asynchronous stream delivers."""
    return [item async for item in stream] if hasattr(stream, "__aiter__") else list(stream)


@asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    """Enter a synchronous or asynchronous context manager."""
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


def deltas(chunks: list[Any]) -> str:
    """The text of the first choice of a stream."""
    return "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.index == 0
    )
