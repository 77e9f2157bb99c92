"""A server to talk to, a memory to remember in, and clients; all of them end with the test."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from asking import CLIENTS

from headroom import with_memory
from headroom.memory import Engine, MemoryConfig
from headroom.testing import ScriptedServer
from headroom.testing.answers import Answers


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def serve() -> Iterator[Callable[[Answers], ScriptedServer]]:
    """Start a server with the given answers."""
    with ExitStack() as stack:
        yield lambda answers: stack.enter_context(ScriptedServer(answers))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(MemoryConfig(db_path=tmp_path / "memory.db")) as engine:
        yield engine


@pytest.fixture
def connect(
    engine: Engine,
    serve: Callable[..., ScriptedServer],  # noqa: ARG001 - clients are closed before their server
) -> Iterator[Callable[..., Any]]:
    """Make a client of OpenAI's for a server, wrapped for alice unless told otherwise; strict."""
    with ExitStack() as stack:

        def client(server: ScriptedServer, user_id: str | None = "alice", **options: Any) -> Any:
            inner = stack.enter_context(CLIENTS["openai", False](server))
            return with_memory(inner, user_id, **{"memory": engine, "strict": True, **options})

        yield client


@pytest.fixture
async def connect_async(engine: Engine) -> AsyncIterator[Callable[..., Any]]:
    """The same, asynchronous."""
    opened = []

    def client(server: ScriptedServer, user_id: str | None = "alice", **options: Any) -> Any:
        opened.append(CLIENTS["openai", True](server))
        return with_memory(opened[-1], user_id, **{"memory": engine, "strict": True, **options})

    yield client
    for inner in opened:
        await inner.close()
