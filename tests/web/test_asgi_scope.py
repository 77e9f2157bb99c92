"""The scope is the request's, wherever the request's code runs, and nobody else's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any, TypeAlias

import anyio
import anyio.to_thread
import pytest
from scope_apps import tell_scope, told
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Send
from starlette.types import Scope as Connection
from starlette.websockets import WebSocket

from headroom.asgi import MemoryMiddleware, trusted_header
from headroom.errors import ScopeConflictError
from headroom.scope import ANONYMOUS, Scope, bind, current_scope, entered

Connect: TypeAlias = Callable[..., TestClient]

WHO = trusted_header("x-user")
ALICE = {"x-user": "alice"}


class Seen(list[tuple[str, Scope]]):
    """The scopes that were seen, each under a name."""

    def note(self, where: str) -> None:
        self.append((where, current_scope()))


async def serve(app: Any, headers: dict[str, str]) -> None:
    """One bare request, run in the caller's own task."""

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_: Message) -> None:
        pass

    connection = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "query_string": b"",
    }
    await app(connection, receive, send)


@pytest.mark.anyio
async def test_nothing_is_left_behind_and_nothing_found_that_was_left_before() -> None:
    async def app(_connection: Connection, _receive: Receive, _send: Send) -> None:
        seen.note("app")

    seen = Seen()
    scoped = MemoryMiddleware(app, user=WHO)
    with entered(Scope("left behind", "by", "somebody")):
        await serve(scoped, ALICE)
        await serve(scoped, {})
        seen.note("after")
    await serve(scoped, ALICE)
    seen.note("at the end")
    assert seen == [
        ("app", Scope("alice")),
        ("app", ANONYMOUS),
        ("after", Scope("left behind", "by", "somebody")),
        ("app", Scope("alice")),
        ("at the end", Scope()),
    ]


@pytest.mark.anyio
async def test_nothing_is_left_behind_by_a_request_that_fails_or_is_cancelled() -> None:
    async def app(_connection: Connection, _receive: Receive, _send: Send) -> None:
        bind(session_id="s")
        if failing:
            raise ZeroDivisionError
        await anyio.sleep_forever()

    failing = True
    scoped = MemoryMiddleware(app, user=WHO)
    with pytest.raises(ZeroDivisionError):
        await serve(scoped, ALICE)
    assert current_scope() == Scope()
    failing = False
    with anyio.move_on_after(0.01):
        await serve(scoped, ALICE)
    assert current_scope() == Scope()


def test_concurrent_requests_never_see_each_other(connect: Connect) -> None:
    async def endpoint(request: Request) -> JSONResponse:
        steps = int(request.query_params["steps"])
        for step in range(steps):
            await anyio.lowlevel.checkpoint()
            with bind(agent_id=str(step)):
                await anyio.lowlevel.checkpoint()
        bind(session_id=request.headers["x-user"])
        await anyio.lowlevel.checkpoint()
        return JSONResponse(asdict(current_scope()))

    async def crowd(connection: Connection, receive: Receive, send: Send) -> None:
        """A hundred requests at once in the place of one."""
        answers: list[dict[str, Any]] = []

        async def ask(number: int) -> None:
            async def collect(message: Message) -> None:
                if message["type"] == "http.response.body":
                    answers.append({"user": number, "body": message["body"]})

            headers = [(b"x-user", f"user {number}".encode())]
            query = f"steps={number % 7}".encode()
            await scoped(connection | {"headers": headers, "query_string": query}, receive, collect)

        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(ask, number)
        right = [JSONResponse(asdict(Scope(f"user {n}", f"user {n}"))).body for n in range(100)]
        assert sorted(answers, key=lambda answer: answer["user"]) == [
            {"user": number, "body": body} for number, body in enumerate(right)
        ]
        await PlainTextResponse("all right")(connection, receive, send)

    scoped = MemoryMiddleware(Starlette(routes=[Route("/", endpoint)]), user=WHO)
    assert connect(crowd).get("/").text == "all right"


def test_the_streaming_body_the_background_task_and_the_threads_have_the_requests_scope(
    connect: Connect,
) -> None:
    def in_thread() -> None:
        seen.note("thread")
        bind(session_id="bound in a thread")

    async def body() -> AsyncIterator[str]:
        yield "a"
        await anyio.lowlevel.checkpoint()
        seen.note("body")
        yield "b"

    async def endpoint(_: Request) -> StreamingResponse:
        await anyio.to_thread.run_sync(in_thread)
        return StreamingResponse(body(), background=BackgroundTask(seen.note, "background"))

    seen = Seen()
    app = Starlette(routes=[Route("/", endpoint)], middleware=[Middleware(MemoryMiddleware, user=WHO)])
    assert connect(app).get("/", headers=ALICE).text == "ab"
    bound = Scope("alice", "bound in a thread")
    assert seen == [("thread", Scope("alice")), ("body", bound), ("background", bound)]


def test_a_task_that_outlives_its_request_keeps_its_scope() -> None:
    async def later() -> None:
        await released.wait()
        seen.note("later")

    async def app(_connection: Connection, _receive: Receive, _send: Send) -> None:
        tasks.append(asyncio.create_task(later()))

    async def main() -> None:
        await serve(MemoryMiddleware(app, user=WHO), ALICE)
        await serve(MemoryMiddleware(app, user=WHO), {})
        released.set()
        await asyncio.gather(*tasks)

    seen, tasks, released = Seen(), list[asyncio.Task[None]](), asyncio.Event()
    asyncio.run(main())
    assert seen == [("later", Scope("alice")), ("later", ANONYMOUS)]


@pytest.mark.anyio
async def test_a_request_of_one_user_cannot_become_anothers_but_may_work_for_another_in_a_block() -> None:
    async def app(_connection: Connection, _receive: Receive, _send: Send) -> None:
        with bind(user_id="bob"):
            seen.note("block")
        seen.note("after")
        bind(user_id="bob")
        await anyio.to_thread.run_sync(seen.note, "never")

    seen = Seen()
    with pytest.raises(ScopeConflictError, match="two different users were bound in the same request"):
        await serve(MemoryMiddleware(app, user=WHO), ALICE)
    assert seen == [("block", Scope("bob")), ("after", Scope("alice"))]
    assert current_scope() == Scope()


class Base(BaseHTTPMiddleware):
    """Runs what is below it in another task."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.app.state.seen.note("before")
        if request.url.path == "/bound":
            bind(session_id="bound before")
        response = await call_next(request)
        request.app.state.seen.note("after")
        return response


def based(*middleware: Middleware) -> tuple[Starlette, Seen]:
    async def endpoint(request: Request) -> JSONResponse:
        request.app.state.seen.note("endpoint")
        bind(agent_id="bound in the endpoint")
        return JSONResponse({})

    app = Starlette(routes=[Route("/{path:path}", endpoint)], middleware=middleware)
    app.state.seen = Seen()
    return app, app.state.seen


def test_a_base_http_middleware_inside_ours_shares_the_scope_both_ways(connect: Connect) -> None:
    app, seen = based(Middleware(MemoryMiddleware, user=WHO), Middleware(Base))
    connect(app).get("/bound", headers=ALICE)
    assert seen == [
        ("before", Scope("alice")),
        ("endpoint", Scope("alice", "bound before")),
        ("after", Scope("alice", "bound before", "bound in the endpoint")),
    ]


def test_a_base_http_middleware_outside_ours_sees_nothing_and_breaks_nothing(connect: Connect) -> None:
    app, seen = based(Middleware(Base), Middleware(MemoryMiddleware, user=WHO))
    connect(app).get("/", headers=ALICE)
    assert seen == [("before", Scope()), ("endpoint", Scope("alice")), ("after", Scope())]


def test_a_websocket_has_its_users_scope_until_it_closes(connect: Connect) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            with bind(turn_id=text):
                await anyio.lowlevel.checkpoint()
                await websocket.send_json(asdict(current_scope()))

    app = Starlette(routes=[WebSocketRoute("/", talk)], middleware=[Middleware(MemoryMiddleware, user=WHO)])
    client = connect(app)
    with client.websocket_connect("/", headers=ALICE) as alice, client.websocket_connect("/") as somebody:
        for turn in ("1", "2"):
            alice.send_text(turn)
            somebody.send_text(turn)
            assert told(alice.receive_json()) == Scope("alice", turn_id=turn)
            assert told(somebody.receive_json()) == ANONYMOUS


def test_two_middlewares_in_one_application_each_scope_their_part(connect: Connect) -> None:
    inner = MemoryMiddleware(Starlette(routes=[Route("/", tell_scope)]), user=lambda _: "inner")
    client = connect(MemoryMiddleware(inner, user=WHO))
    assert told(client.get("/", headers=ALICE).json()) == Scope("inner")


def test_what_is_neither_http_nor_websocket_passes_untouched() -> None:
    async def app(connection: Connection, _receive: Receive, _send: Send) -> None:
        connection["scope"] = current_scope()

    connection: Connection = {"type": "custom"}
    coroutine: Any = MemoryMiddleware(app, user=WHO)(connection, anyio.sleep_forever, anyio.sleep)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert connection["scope"] == Scope()
