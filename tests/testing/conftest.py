"""Servers and clients that end with the test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from openai import OpenAI

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
def connect(
    serve: Callable[[Answers], ScriptedServer],
) -> Iterator[Callable[[Answers | ScriptedServer], OpenAI]]:
    """Make a client, which retries nothing, of a server or of a new one with the given answers."""
    with ExitStack() as stack:

        def client(answers: Answers | ScriptedServer) -> OpenAI:
            server = answers if isinstance(answers, ScriptedServer) else serve(answers)
            return stack.enter_context(OpenAI(base_url=server.base_url, api_key="not-a-key", max_retries=0))

        yield client
