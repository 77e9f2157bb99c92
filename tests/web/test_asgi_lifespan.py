"""The middleware opens a given memory when the application starts, and closes it when it stops."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Send
from starlette.types import Scope as Connection

from headroom.asgi import MemoryMiddleware, trusted_header
from headroom.current import current_memory, memory_in_use
from headroom.errors import ClosedError
from headroom.memory import Engine, HierarchicalMemory, MemoryConfig

Connect: TypeAlias = Callable[..., TestClient]

ALICE = {"x-user": "alice"}


@pytest.fixture
def config(tmp_path: Path) -> MemoryConfig:
    return MemoryConfig(db_path=tmp_path / "app.db")


async def count(_: Request) -> JSONResponse:
    await current_memory().add("Prefers Python")
    return JSONResponse((await current_memory().stats())["total"])


async def nothing(_: Request) -> JSONResponse:
    return JSONResponse(None)


def counting_app(memory: Any, **options: Any) -> Starlette:
    middleware = Middleware(MemoryMiddleware, user=trusted_header("x-user"), memory=memory)
    return Starlette(
        routes=[Route("/", count), Route("/nothing", nothing)], middleware=[middleware], **options
    )


@pytest.mark.parametrize("kind", [Engine, lambda config: HierarchicalMemory(Engine(config))])
def test_a_memory_that_was_given_is_used_and_closed(
    connect: Connect, config: MemoryConfig, kind: Callable[[MemoryConfig], Any]
) -> None:
    memory = kind(config)
    with connect(counting_app(memory)) as client:
        assert client.get("/", headers=ALICE).json() == 1
    with pytest.raises(ClosedError):
        getattr(memory, "engine", memory).add("too late", "alice")
    with Engine(config) as engine:
        assert [memory.content for memory in engine.search("Python", "alice")] == ["Prefers Python"]


def test_a_config_is_opened_with_the_application_and_anew_with_the_next(
    connect: Connect, config: MemoryConfig
) -> None:
    for _ in range(2):
        with connect(counting_app(config)) as client:
            assert Path(config.db_path).exists()
            assert client.get("/", headers=ALICE).json() == 1


def test_the_applications_own_startup_and_shutdown_have_the_memory_too(
    connect: Connect, config: MemoryConfig
) -> None:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await memory_in_use().add("Was there at the start", "alice")
        yield
        await memory_in_use().add("Was there at the end", "alice")

    with connect(counting_app(config, lifespan=lifespan)) as client:
        assert client.get("/", headers=ALICE).json() == 2
    with Engine(config) as engine:
        assert engine.count("alice") == 3


async def live(app: Any) -> list[str]:
    """The life of an application under a server."""
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    said: list[str] = []

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        said.append(message["type"])

    await app({"type": "lifespan", "state": {}}, receive, send)
    return said


@pytest.mark.anyio
async def test_the_server_is_told_of_the_end_only_when_the_memory_is_closed(config: MemoryConfig) -> None:
    async def app(_connection: Connection, receive: Receive, send: Send) -> None:
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        with pytest.raises(ClosedError):
            engine.add("too late", "alice")

    engine = Engine(config)
    said = await live(MemoryMiddleware(app, memory=engine))
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.anyio
async def test_without_a_memory_the_life_of_the_application_is_its_own() -> None:
    async def app(_connection: Connection, receive: Receive, send: Send) -> None:
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})

    assert await live(MemoryMiddleware(app)) == await live(app)


@pytest.mark.anyio
async def test_an_application_without_a_lifespan_keeps_the_memory_while_it_serves(
    config: MemoryConfig,
) -> None:
    async def app(connection: Connection, _receive: Receive, _send: Send) -> None:
        assert connection["type"] == "http"

    with Engine(config) as engine:
        with pytest.raises(AssertionError):
            await live(MemoryMiddleware(app, memory=engine))
        engine.add("still open", "alice")


def test_requests_that_make_no_memory_call_do_not_touch_the_database(
    connect: Connect, config: MemoryConfig
) -> None:
    client = connect(counting_app(config))
    assert client.get("/nothing", headers=ALICE).status_code == 200
    assert not Path(config.db_path).exists()
    with connect(counting_app(config)) as client:
        client.get("/", headers=ALICE)
        files = {path: path.stat() for path in Path(config.db_path).parent.iterdir()}
        for _ in range(10):
            client.get("/nothing", headers=ALICE)
        assert {path: path.stat() for path in Path(config.db_path).parent.iterdir()} == files
