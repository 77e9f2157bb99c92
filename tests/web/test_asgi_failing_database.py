"""A database that cannot be opened when the application starts: it starts all the same, and tries again."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from headroom import current_memory, with_memory
from headroom.asgi import MemoryMiddleware, trusted_header
from headroom.current import close_shared_memory, shared_memory
from headroom.errors import ConfigurationError, StorageError
from headroom.memory import Engine, MemoryConfig
from headroom.testing import ScriptedServer, memory_block

Connect: TypeAlias = Callable[..., TestClient]

ALICE = {"x-user": "alice"}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer("Hello." + memory_block(["Likes tea"])) as server:
        yield server


@pytest.fixture
def config(tmp_path: Path) -> MemoryConfig:
    """Of a database in a directory that is still to be made."""
    return MemoryConfig(db_path=tmp_path / "disk" / "app.db")


@pytest.fixture
def app(server: ScriptedServer, config: MemoryConfig) -> Starlette:
    return asking_app(server, config)


def asking_app(server: ScriptedServer, config: MemoryConfig) -> Starlette:
    async def ask(_: Request) -> PlainTextResponse:
        async with AsyncOpenAI(base_url=server.base_url, api_key="any") as inner:
            answer = await with_memory(inner).chat.completions.create(
                model="any", messages=[{"role": "user", "content": "Hello there"}]
            )
        return PlainTextResponse(answer.choices[0].message.content or "")

    async def memories(_: Request) -> JSONResponse:
        return JSONResponse([memory.content for memory in await current_memory().get_all()])

    middleware = Middleware(MemoryMiddleware, user=trusted_header("x-user"), memory=config)
    return Starlette(routes=[Route("/ask", ask), Route("/memories", memories)], middleware=[middleware])


def mend(config: MemoryConfig) -> None:
    Path(config.db_path).parent.mkdir()


def test_calls_go_on_without_it(connect: Connect, app: Starlette, caplog: pytest.LogCaptureFixture) -> None:
    with connect(app) as client:
        (warning,) = [record.getMessage() for record in caplog.records if record.name == "headroom.asgi"]
        assert "its directory does not exist" in warning
        assert client.get("/ask", headers=ALICE).text == "Hello."
        assert client.get("/ask").status_code == 200


def test_whoever_asks_for_the_memory_itself_is_told(connect: Connect, app: Starlette) -> None:
    with connect(app) as client, pytest.raises(StorageError, match="its directory does not exist"):
        client.get("/memories", headers=ALICE)


def test_once_the_disk_is_well_again_it_remembers(
    connect: Connect, app: Starlette, config: MemoryConfig
) -> None:
    with connect(app) as client:
        client.get("/ask", headers=ALICE)
        mend(config)
        client.get("/ask", headers=ALICE)
        assert client.get("/memories", headers=ALICE).json() == ["Likes tea"]
    with Engine(config) as engine:
        assert engine.count("alice") == 1


def test_what_was_opened_later_is_closed_with_the_application(
    connect: Connect, app: Starlette, config: MemoryConfig
) -> None:
    with connect(app) as client:
        mend(config)
        client.get("/memories", headers=ALICE)
        opened = shared_memory(config)
    again = shared_memory(config)
    close_shared_memory(config)
    assert again is not opened


def test_a_strict_config_stops_the_start(
    connect: Connect, server: ScriptedServer, config: MemoryConfig
) -> None:
    with pytest.raises(StorageError), connect(asking_app(server, replace(config, strict=True))):
        raise AssertionError("started")


def test_a_config_that_cannot_be_stops_the_start(
    connect: Connect, app: Starlette, config: MemoryConfig
) -> None:
    mend(config)
    shared_memory(replace(config, max_pending=1))
    try:
        with pytest.raises(ConfigurationError, match="other settings"), connect(app):
            raise AssertionError("started")
    finally:
        close_shared_memory(config)
