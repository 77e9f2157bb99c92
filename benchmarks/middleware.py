"""What the middlewares add to a request that makes no memory call, and what `@remember` adds to a call.

    python benchmarks/middleware.py [--requests 50000]

Each is called directly, without a server, in turn with the same application without it, so that both see the
same machine. Writes `results/middleware.md` and `.json` beside this file.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from measuring import RESULTS, machine, progress_bar
from starlette.authentication import SimpleUser
from starlette.types import Message, Receive, Scope, Send

from headroom import asgi, wsgi
from headroom.decorators import Arg, remember
from headroom.memory import MemoryConfig
from headroom.scope import bind

ROUND = 100
LIMIT = 30
"""Microseconds that the middleware may add to a request, at the median."""


@dataclass(frozen=True)
class Cost:
    """What one way of scoping costs."""

    what: str
    bare: float
    """Microseconds of the application or function alone, at the median."""
    added: float
    """What is added to that: the median over rounds, each of which compares the two."""


async def asgi_app(_scope: Scope, _receive: Receive, send: Send) -> None:
    """The least that an ASGI application can do."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def asgi_app_that_binds(scope: Scope, receive: Receive, send: Send) -> None:
    """The same, with a binding of its own."""
    bind(session_id="a session")
    await asgi_app(scope, receive, send)


def wsgi_app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The least that a WSGI application can do."""
    start_response("200 OK", [])
    return [b"hello"]


def streaming_wsgi_app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """The same, as a generator."""
    start_response("200 OK", [])
    yield b"hello"


def asgi_request(app: Any, **more: Any) -> Callable[[], None]:
    """A function that makes one request of an ASGI application, without an event loop in the way."""
    headers = [(b"host", b"localhost"), (b"accept", b"*/*"), (b"x-user", b"alice")]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/threads/7",
        "query_string": b"",
        "headers": headers,
    } | more

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_: Message) -> None:
        pass

    def request() -> None:
        try:
            app(dict(scope), receive, send).send(None)
        except StopIteration:
            return
        raise AssertionError("the application waits for something")

    return request


def wsgi_request(app: Any) -> Callable[[], None]:
    """A function that makes one request of a WSGI application."""
    environ: WSGIEnvironment = {"REMOTE_USER": "alice", "PATH_INFO": "/threads/7", "HTTP_X_USER": "alice"}

    def request() -> None:
        for _ in app(dict(environ), lambda *_: lambda _: None):
            pass

    return request


def plain(user: str) -> str:
    """The least that a function can do."""
    return user


def compare(
    bare: Callable[[], Any], more: Callable[[], Any], calls: int, advance: Callable[[], None]
) -> list[float]:
    """The median of one bare call, and of what is added to it, in microseconds."""

    def once(work: Callable[[], Any]) -> float:
        start = time.perf_counter()
        for _ in range(ROUND):
            work()
        return (time.perf_counter() - start) / ROUND * 1e6

    bares, added = [], []
    for _ in range(calls // ROUND):
        bares.append(once(bare))
        added.append(once(more) - bares[-1])
        advance()
    return [median(bares), median(added)]


def main() -> None:
    """Measure, print and write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--requests", type=int, default=50_000, help="how many of each kind")
    requests = arguments.parse_args().requests

    logged_in = {"user": SimpleUser("alice")}
    header, thread = asgi.trusted_header("x-user"), asgi.path_parameter("/threads/{thread}")
    config = MemoryConfig(db_path="never opened.db")
    asgi_bare, wsgi_bare = asgi_request(asgi_app, **logged_in), wsgi_request(wsgi_app)
    of_asgi, of_wsgi = asgi.MemoryMiddleware, wsgi.MemoryMiddleware
    agent, reading_agent = remember(agent="a")(plain), remember(user=Arg("user"))(plain)
    cases: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
        ("ASGI, anonymous", asgi_request(asgi_app), asgi_request(of_asgi(asgi_app))),
        ("ASGI, authenticated user", asgi_bare, asgi_request(of_asgi(asgi_app), **logged_in)),
        (
            "ASGI, header, path parameter and memory",
            asgi_bare,
            asgi_request(of_asgi(asgi_app, user=header, session=thread, memory=config)),
        ),
        (
            "ASGI, authenticated user and a bind(...)",
            asgi_bare,
            asgi_request(of_asgi(asgi_app_that_binds), **logged_in),
        ),
        ("WSGI, REMOTE_USER", wsgi_bare, wsgi_request(of_wsgi(wsgi_app))),
        (
            "WSGI, REMOTE_USER, streamed",
            wsgi_request(streaming_wsgi_app),
            wsgi_request(of_wsgi(streaming_wsgi_app)),
        ),
        ('@remember(agent="a")', lambda: plain("alice"), lambda: agent("alice")),
        ('@remember(user=Arg("user"))', lambda: plain("alice"), lambda: reading_agent("alice")),
    ]
    costs = []
    with progress_bar() as progress:
        task = progress.add_task("requests", total=len(cases) * (requests // ROUND))
        for what, bare, more in cases:
            costs.append(Cost(what, *compare(bare, more, requests, lambda: progress.advance(task))))

    lines = ["| | alone, µs | added, µs |", "|---|---|---|"]
    lines += [f"| {cost.what} | {cost.bare:.1f} | {cost.added:.1f} |" for cost in costs]
    print("\n".join(lines))
    about = ", ".join(f"{name} {value}" for name, value in machine().items())
    (RESULTS / "middleware.md").write_text("\n".join([*lines, "", about, ""]))
    (RESULTS / "middleware.json").write_text(
        json.dumps({"machine": machine(), "costs": [asdict(cost) for cost in costs]}, indent=2) + "\n"
    )
    worst = max(cost.added for cost in costs if "SGI" in cost.what)
    print(f"at most {worst:.1f} µs a request; the limit is {LIMIT} µs")
    if worst > LIMIT:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
