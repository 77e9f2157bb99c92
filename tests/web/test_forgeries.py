"""Whatever a client sends as header, cookie or path: never another user's memories, and never a 500."""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from itsdangerous import TimestampSigner
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Send
from starlette.types import Scope as Connection

from headroom import asgi, wsgi
from headroom.current import current_memory
from headroom.memory import Engine, MemoryConfig
from headroom.scope import current_scope

KEY = "the application's secret key"
ALICES = ["Alice's secret"]
GENUINE = asgi.cookie_signer("who", KEY).dumps("alice").encode()

forgeries = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
header_values = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.integers(250, 100_000).map(lambda length: b"a" * length),
    st.sampled_from(
        [b"alice\x00", b" alice", b"alice ", b"ALICE", b"alice,alice", b"alice; who=alice", b"*", b"%61lice"]
    ),
)
cookies = st.one_of(
    header_values.map(lambda value: b"who=" + value),
    header_values,
    st.tuples(st.integers(0, len(GENUINE) - 1), st.integers(0, 255)).map(
        lambda change: b"who=" + GENUINE[: change[0]] + bytes([change[1]]) + GENUINE[change[0] + 1 :]
    ),
    st.integers(0, len(GENUINE) - 1).map(lambda length: b"who=" + GENUINE[:length]),
    st.text(min_size=1).map(lambda key: b"who=" + asgi.cookie_signer("who", key).dumps("alice").encode()),
)
paths = st.text(max_size=400).map(lambda text: f"/threads/{text}") | st.just("/threads/" + "a" * 100_000)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(MemoryConfig(db_path=Path(tmp_path_factory.mktemp("forgeries")) / "memory.db")) as engine:
        engine.add(ALICES[0], "alice")
        yield engine


async def tell(connection: Connection, receive: Receive, send: Send) -> None:
    known = None
    if not current_scope().anonymous:
        known = [memory.content for memory in await current_memory().get_all()]
    await JSONResponse(known)(connection, receive, send)


def asgi_answer(app: Any, path: str, *headers: tuple[bytes, bytes]) -> tuple[int, Any]:
    """The status, and what is told of the user's memories; None is told to nobody in particular."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    connection = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": list(headers),
    }
    anyio.run(app, connection, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    status: int = sent[0]["status"]
    return status, json.loads(body) if status == 200 else None


def asgi_app(engine: Engine, **resolvers: Any) -> asgi.MemoryMiddleware:
    return asgi.MemoryMiddleware(tell, memory=engine, **resolvers)


def wsgi_answer(engine: Engine, environ: WSGIEnvironment, **resolvers: Any) -> tuple[int, Any]:
    """The same of a WSGI application."""

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        known = (
            None if current_scope().anonymous else [memory.content for memory in current_memory().get_all()]
        )
        return [json.dumps(known).encode()]

    statuses: list[str] = []
    scoped = wsgi.MemoryMiddleware(app, memory=engine, **resolvers)
    body = b"".join(scoped(environ, lambda status, *_: statuses.append(status) or (lambda _: None)))
    status = int(statuses[0].split()[0])
    return status, json.loads(body) if status == 200 else None


def expect_nothing_of_alice(answer: tuple[int, Any]) -> None:
    assert answer in [(200, None), (200, []), (400, None)]


def test_what_is_genuine_is_believed(engine: Engine) -> None:
    """Otherwise the tests below could not fail."""
    app = asgi_app(engine, user=asgi.signed_cookie("who", KEY))
    assert asgi_answer(app, "/", (b"cookie", b"who=" + GENUINE)) == (200, ALICES)
    environ = {"HTTP_COOKIE": f"who={GENUINE.decode()}"}
    assert wsgi_answer(engine, environ, user=wsgi.signed_cookie("who", KEY)) == (200, ALICES)
    app = asgi_app(engine, user=asgi.trusted_header("x-user"))
    assert asgi_answer(app, "/", (b"x-user", b"alice")) == (200, ALICES)


@forgeries
@given(cookies)
@example(b"who=alice")
@example(b'who="alice"; who=alice; who')
def test_a_forged_cookie_is_nobody(engine: Engine, cookie: bytes) -> None:
    if cookie == b"who=" + GENUINE:
        return
    app = asgi_app(engine, user=asgi.signed_cookie("who", KEY))
    assert asgi_answer(app, "/", (b"cookie", cookie)) == (200, None)
    environ = {"HTTP_COOKIE": cookie.decode("latin-1")}
    assert wsgi_answer(engine, environ, user=wsgi.signed_cookie("who", KEY)) == (200, None)


@forgeries
@given(header_values | st.dictionaries(st.text(), st.text()).map(lambda s: b64encode(json.dumps(s).encode())))
@example(b64encode(b'{"user": "alice"}') + b".aaaaaa.bbbbbb")
@example(TimestampSigner("another key").sign(b64encode(b'{"user": "alice"}')))
def test_a_forged_session_is_nobody(engine: Engine, session: bytes) -> None:
    app = SessionMiddleware(asgi_app(engine, user=asgi.session_key("user")), secret_key=KEY)
    assert asgi_answer(app, "/", (b"cookie", b"session=" + session)) == (200, None)


@forgeries
@given(header_values)
@example(b"x" * 257)
@example("\N{FULLWIDTH LATIN SMALL LETTER A}lice".encode())
@example("alice\N{ZERO WIDTH SPACE}".encode())
def test_an_odd_identifier_in_a_trusted_header_is_a_400_or_somebody_else(
    engine: Engine, value: bytes
) -> None:
    app = asgi_app(engine, user=asgi.trusted_header("x-user"))
    expect_nothing_of_alice(asgi_answer(app, "/", (b"x-user", value)))
    expect_nothing_of_alice(asgi_answer(app, "/", (b"x-user", value), (b"x-user", b"alice")))
    environ = {"HTTP_X_USER": value.decode("latin-1")}
    expect_nothing_of_alice(wsgi_answer(engine, environ, user=wsgi.trusted_header("x-user")))


@forgeries
@given(st.lists(st.tuples(st.binary(max_size=20), header_values), max_size=5), paths)
def test_nobody_becomes_somebody_by_any_header_where_none_is_trusted(
    engine: Engine, headers: list[tuple[bytes, bytes]], path: str
) -> None:
    names = [b"remote-user", b"remote_user", b"x-user", b"authorization", b"x-forwarded-user"]
    app = asgi_app(engine, session=asgi.path_parameter("/threads/{id}"))
    assert asgi_answer(app, path, *headers, *((name, b"alice") for name in names)) == (200, None)
    environ = {f"HTTP_{name.decode().upper().replace('-', '_')}": "alice" for name in names}
    assert wsgi_answer(engine, environ) == (200, None)


@forgeries
@given(paths, header_values)
def test_any_path_and_any_agent_are_the_users_own_or_a_400(engine: Engine, path: str, agent: bytes) -> None:
    resolvers = {"session": asgi.path_parameter("/threads/{id}"), "agent": asgi.trusted_header("x-agent")}
    app = asgi_app(engine, user=lambda _: "mallory", **resolvers)
    expect_nothing_of_alice(asgi_answer(app, path, (b"x-agent", agent)))
    app = asgi_app(engine, user=lambda _: "alice", **resolvers)
    assert asgi_answer(app, path, (b"x-agent", agent)) in [(200, ALICES), (400, None)]
    environ = {"PATH_INFO": path.encode("utf-8", "replace").decode("latin-1")}
    session = wsgi.path_parameter("/threads/{id}")
    expect_nothing_of_alice(wsgi_answer(engine, environ, user=lambda _: "mallory", session=session))
