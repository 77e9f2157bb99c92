"""The applications that `stress.py` has served: they do everything at once, and keep looking at their scope.

A request says by its headers who it is for and what it does; what it sees of others is written to a file.
"""

import json
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from headroom import asgi, wsgi
from headroom.current import current_memory
from headroom.decorators import carry, remember
from headroom.errors import MissingScopeError
from headroom.memory import Memory, MemoryConfig
from headroom.scope import ANONYMOUS, Scope, bind, current_scope, entered

FOLDER = Path(os.environ.get("STRESS_FOLDER", "."))
VIOLATIONS = FOLDER / "violations.log"
CONFIG = MemoryConfig(db_path=FOLDER / "stress.db")
CHUNKS = 5


class DeliberateError(Exception):
    """What a request fails with that is told to fail."""


def expect(scope: Scope, where: str) -> None:
    """Write down any scope but the expected one."""
    if current_scope() != scope:
        violation(f"{where}: {current_scope()} in the place of {scope}")


def violation(what: str) -> None:
    """Tell `stress.py` of something that must not happen."""
    with VIOLATIONS.open("a") as file:
        file.write(what + "\n")


def expect_own(memories: Iterable[Memory], user: str) -> list[str]:
    """The contents, after a look at whose they are."""
    contents = []
    for memory in memories:
        if memory.user_id != user or not memory.content.endswith(f" of {user}"):
            violation(f"{user} was shown {memory.content!r} of {memory.user_id}")
        contents.append(memory.content)
    return contents


# Asynchronous


async def pause() -> None:
    """Let others run, now and then for a while."""
    await anyio.sleep(random.choice([0, 0, 0.001, 0.003]))


async def note(request: Request, scope: Scope) -> None:
    """Store something, with a look at the scope before, between and after."""
    for _ in range(2):
        expect(scope, "before")
        await pause()
    await current_memory().add(request.headers["x-note"])
    expect(scope, "after")
    await pause()


async def plainly(request: Request, scope: Scope) -> Response:
    """Nothing but a note."""
    await note(request, scope)
    return JSONResponse({})


async def in_threads(request: Request, scope: Scope) -> Response:
    """A dependency in one thread says what the endpoint in another sees."""
    await anyio.to_thread.run_sync(lambda: bind(session_id="threads") and None)
    expect(scope.narrow(session_id="threads"), "bound in a thread")

    def store() -> None:
        expect(scope.narrow(session_id="threads"), "in a thread")
        current_memory().add(request.headers["x-note"])

    await anyio.to_thread.run_sync(store)
    return JSONResponse({})


async def as_agents(request: Request, scope: Scope) -> Response:
    """Agents at once in one request, each with a scope of its own."""

    @remember(agent="writer", turn=True)
    async def writer() -> None:
        turn = current_scope().turn_id
        await pause()
        expect(scope.narrow(agent_id="writer", turn_id=turn), "an agent with a turn")
        await current_memory().add(request.headers["x-note"])

    @remember(agent="reader")
    async def reader() -> AsyncIterator[int]:
        for number in range(3):
            await pause()
            expect(scope.narrow(agent_id="reader"), "an agent that is a generator")
            yield number

    async def read() -> None:
        async for _ in reader():
            expect(scope, "beside an agent")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer)
        tasks.start_soon(read)
        with bind(agent_id="host"):
            await pause()
            expect(scope.narrow(agent_id="host"), "in a block")
    expect(scope, "after the agents")
    return JSONResponse({})


async def streaming(request: Request, scope: Scope) -> Response:
    """The body stores, too; a client may leave in the middle of it."""

    async def body() -> AsyncIterator[bytes]:
        for number in range(CHUNKS):
            expect(scope, "streaming")
            if number == 1:
                await note(request, scope)
            yield b"x" * 1000
            await pause()

    return StreamingResponse(body())


async def in_the_background(request: Request, scope: Scope) -> Response:
    """The note is stored after the answer."""
    return JSONResponse({}, background=BackgroundTask(note, request, scope))


async def failing(request: Request, scope: Scope) -> Response:
    """An error after the note."""
    await note(request, scope)
    raise DeliberateError


async def cancelled(request: Request, scope: Scope) -> Response:
    """Work is cancelled anywhere: what was written is written, and the scope is as before."""
    with anyio.move_on_after(random.choice([0, 0.001, 0.005])), bind(agent_id="cancelled"):
        await note(request, scope.narrow(agent_id="cancelled"))
    expect(scope, "after a cancellation")
    return JSONResponse({})


async def anonymously(_: Request, scope: Scope) -> Response:
    """Nobody has a memory."""
    expect(scope, "anonymous")
    await pause()
    try:
        violation(f"nobody was shown {await current_memory().get_all()}")
    except MissingScopeError:
        expect(scope, "anonymous")
    return JSONResponse({})


async def reading(_: Request, scope: Scope) -> Response:
    """All that is remembered of this user."""
    memories = await current_memory().get_all()
    return JSONResponse(expect_own(memories, scope.require_user()))


ASGI_WORK: dict[str, Callable[[Request, Scope], Any]] = {
    "plain": plainly,
    "threads": in_threads,
    "agents": as_agents,
    "stream": streaming,
    "leave": streaming,
    "background": in_the_background,
    "fail": failing,
    "cancel": cancelled,
    "anonymous": anonymously,
    "read": reading,
}


async def work(request: Request) -> Response:
    """Do what the request asks for."""
    user = request.headers.get("x-user")
    response: Response = await ASGI_WORK[request.headers["x-work"]](
        request, Scope(user) if user else ANONYMOUS
    )
    return response


asgi_app = Starlette(
    routes=[Route("/", work)],
    middleware=[Middleware(asgi.MemoryMiddleware, user=asgi.trusted_header("x-user"), memory=CONFIG)],
)


# Synchronous


class Body:
    """A body that stores while it is sent, and again when it is closed."""

    def __init__(self, text: str, scope: Scope) -> None:
        self.text = text
        self.scope = scope

    def __iter__(self) -> Iterator[bytes]:
        for number in range(CHUNKS):
            expect(self.scope, "streaming")
            if number == 1:
                note_synchronously(self.text, self.scope)
            yield b"x" * 1000

    def close(self) -> None:
        """The server has sent it, or given up."""
        expect(self.scope, "closing")


def note_synchronously(text: str, scope: Scope) -> None:
    """Store something, with a look at the scope before and after."""
    expect(scope, "before")
    time.sleep(random.choice([0, 0, 0.001, 0.003]))
    current_memory().add(text)
    expect(scope, "after")


def wsgi_work(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Do what the request asks for."""
    user, kind, text = environ.get("HTTP_X_USER"), environ["HTTP_X_WORK"], environ["HTTP_X_NOTE"]
    scope = Scope(user) if user else ANONYMOUS
    expect(scope, kind)
    body: Iterable[bytes] = [b"{}"]
    match kind:
        case "anonymous":
            try:
                violation(f"nobody was shown {current_memory().get_all()}")
            except MissingScopeError:
                expect(scope, kind)
        case "stream" | "leave":
            body = Body(text, scope)
        case "threads":
            with ThreadPoolExecutor(1) as threads:
                threads.submit(carry(note_synchronously), text, scope).result()
        case "agents":
            with entered(scope), bind(agent_id="writer"):
                note_synchronously(text, scope.narrow(agent_id="writer"))
        case "fail":
            note_synchronously(text, scope)
            raise DeliberateError
        case "read":
            body = [json.dumps(expect_own(current_memory().get_all(), scope.require_user())).encode()]
        case _:
            note_synchronously(text, scope)
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return body


wsgi_app = wsgi.MemoryMiddleware(wsgi_work, user=wsgi.trusted_header("x-user"), memory=CONFIG)
