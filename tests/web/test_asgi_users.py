"""Who is asking: the resolvers of the ASGI middleware."""

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import anyio
import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from scope_apps import tell_scope, telling_app, told
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Message

from headroom import wsgi
from headroom.asgi import (
    FromClient,
    MemoryMiddleware,
    cookie_signer,
    path_parameter,
    session_key,
    signed_cookie,
    trusted_header,
)
from headroom.errors import ConfigurationError, InvalidScopeError, MissingDependencyError
from headroom.scope import ANONYMOUS, Scope, bind

Connect: TypeAlias = Callable[..., TestClient]


class Login(AuthenticationBackend):
    """Lets in whoever sends a name, as the given kind of user."""

    def __init__(self, user: Callable[[str], BaseUser]) -> None:
        self.user = user

    async def authenticate(self, conn: HTTPConnection[Any]) -> tuple[AuthCredentials, BaseUser] | None:
        name = conn.headers.get("x-login")
        return (AuthCredentials(), self.user(name)) if name else None


class Member(SimpleUser):
    """A user whom the application knows by a number."""

    @property
    def identity(self) -> str:
        return f"member {len(self.username)}"


class Older(SimpleUser):
    """As it was before Starlette 1.8."""

    identity = BaseUser.identity


class Nameless(BaseUser):
    is_authenticated = True

    def __init__(self, _: str) -> None:
        pass


class Unknown(Nameless):
    identity = None


def mapping(name: str) -> Any:
    return {"name": name}


class Numbered(SimpleUser):
    @property
    def identity(self) -> Any:
        return 42


def logged_in_app(user: Callable[[str], BaseUser]) -> Starlette:
    return Starlette(
        routes=[Route("/", tell_scope)],
        middleware=[
            Middleware(AuthenticationMiddleware, backend=Login(user)),
            Middleware(MemoryMiddleware),
        ],
    )


def test_by_default_it_is_the_identity_of_the_authenticated_user(connect: Connect) -> None:
    client = connect(logged_in_app(Member))
    assert told(client.get("/", headers={"x-login": "alice"}).json()) == Scope("member 5")
    assert told(client.get("/").json()) == ANONYMOUS


def test_of_middlewares_that_are_added_the_last_one_runs_first(
    connect: Connect, scope_app: Starlette
) -> None:
    scope_app.add_middleware(MemoryMiddleware)
    scope_app.add_middleware(AuthenticationMiddleware, backend=Login(SimpleUser))
    assert told(connect(scope_app).get("/", headers={"x-login": "alice"}).json()) == Scope("alice")


@pytest.mark.parametrize("user", [SimpleUser, Older])
def test_starlettes_own_simple_user_is_its_username(
    connect: Connect, user: Callable[[str], BaseUser]
) -> None:
    client = connect(logged_in_app(user))
    assert told(client.get("/", headers={"x-login": "alice"}).json()) == Scope("alice")


def test_without_any_authentication_every_request_is_anonymous(
    connect: Connect, scope_app: Starlette
) -> None:
    assert told(connect(MemoryMiddleware(scope_app)).get("/").json()) == ANONYMOUS


@pytest.mark.parametrize(
    ("user", "error", "remedy"),
    [
        (
            Nameless,
            ConfigurationError,
            r"Nameless has no identity: .*MemoryMiddleware\(app, user=lambda connection",
        ),
        (Unknown, ConfigurationError, "Unknown has no identity"),
        (mapping, ConfigurationError, "dict has no identity"),
        (Numbered, InvalidScopeError, r"user_id must be a string, not int; pass str\(\.\.\.\)"),
    ],
)
def test_a_user_object_that_names_nobody_is_an_error_with_the_remedy(
    connect: Connect, user: Callable[[str], BaseUser], error: type[Exception], remedy: str
) -> None:
    with pytest.raises(error, match=remedy):
        connect(logged_in_app(user)).get("/", headers={"x-login": "alice"})


def test_an_authentication_that_comes_too_late_is_reported_once(
    connect: Connect, scope_app: Starlette, caplog: pytest.LogCaptureFixture
) -> None:
    app = MemoryMiddleware(AuthenticationMiddleware(scope_app, backend=Login(SimpleUser)))
    client = connect(app)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert told(client.get("/", headers={"x-login": "alice"}).json()) == ANONYMOUS
    assert [record.name for record in caplog.records] == ["headroom.asgi"]
    assert "AuthenticationMiddleware must come first" in caplog.text
    assert "alice" not in caplog.text


def test_an_authentication_that_comes_too_late_is_fine_where_the_application_binds_the_user_itself(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    async def endpoint(request: Request) -> PlainTextResponse:
        bind(user_id=request.user.display_name)
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/", endpoint)])
    late = MemoryMiddleware(AuthenticationMiddleware(app, backend=Login(SimpleUser)))
    assert connect(late).get("/", headers={"x-login": "alice"}).text == "hello"
    assert not caplog.records


def session_app(**resolvers: Any) -> Starlette:
    async def log_in(request: Request) -> PlainTextResponse:
        request.session.update(request.query_params)
        return PlainTextResponse("hello")

    return Starlette(
        routes=[Route("/login", log_in), Route("/", tell_scope)],
        middleware=[
            Middleware(SessionMiddleware, secret_key="not a secret"),
            Middleware(MemoryMiddleware, **resolvers),
        ],
    )


def test_a_session_key_is_read_from_the_session(connect: Connect) -> None:
    client = connect(session_app(user=session_key("user"), session=session_key("chat")))
    assert told(client.get("/").json()) == ANONYMOUS
    client.get("/login?user=alice&chat=7")
    assert told(client.get("/").json()) == Scope("alice", "7")


def test_a_session_without_session_middleware_is_an_error_that_gives_the_order(
    connect: Connect, scope_app: Starlette
) -> None:
    client = connect(MemoryMiddleware(scope_app, user=session_key("user")))
    with pytest.raises(ConfigurationError, match="SessionMiddleware must be added and run before"):
        client.get("/")


def alice(_: HTTPConnection[Any]) -> str:
    return "alice"


async def alice_after_a_while(_: HTTPConnection[Any]) -> str:
    return "alice"


@pytest.mark.parametrize("user", [alice, alice_after_a_while])
def test_a_resolver_is_any_function_of_the_connection_asynchronous_or_not(
    connect: Connect, scope_app: Starlette, user: Callable[..., Any]
) -> None:
    app = MemoryMiddleware(
        scope_app, user=user, session=lambda c: c.query_params.get("s"), agent=lambda _: "guide"
    )
    client = connect(app)
    assert told(client.get("/").json()) == Scope("alice", None, "guide")
    assert told(client.get("/?s=7").json()) == Scope("alice", "7", "guide")
    with client.websocket_connect("/?s=8") as websocket:
        assert told(websocket.receive_json()) == Scope("alice", "8", "guide")


def test_without_a_user_the_session_and_the_agent_are_not_even_looked_for(
    connect: Connect, scope_app: Starlette
) -> None:
    def unwanted(_: HTTPConnection[Any]) -> str:
        raise AssertionError("looked for in an anonymous request")

    app = MemoryMiddleware(scope_app, session=unwanted, agent=unwanted)
    assert told(connect(app).get("/").json()) == ANONYMOUS


@pytest.mark.parametrize(
    ("path", "session"),
    [
        ("/threads/7", "7"),
        ("/threads/7/messages/8", "7"),
        ("/threads/a%20b", "a b"),
        ("/threads/%C3%A5", "å"),
        ("/threads/", None),
        ("/other/threads/7", None),
        ("/", None),
    ],
)
def test_a_path_parameter_is_there_before_the_request_is_routed(
    connect: Connect, scope_app: Starlette, path: str, session: str | None
) -> None:
    client = connect(MemoryMiddleware(scope_app, user=alice, session=path_parameter("/threads/{thread_id}")))
    assert told(client.get(path).json()) == Scope("alice", session)
    with client.websocket_connect(path) as websocket:
        assert told(websocket.receive_json()) == Scope("alice", session)


def test_a_path_parameter_is_found_in_a_mounted_application(connect: Connect, scope_app: Starlette) -> None:
    mounted = MemoryMiddleware(scope_app, user=alice, session=path_parameter("/{thread}"))
    client = connect(Starlette(routes=[Mount("/threads", mounted)]))
    assert told(client.get("/threads/7").json()) == Scope("alice", "7")


def test_among_several_path_parameters_the_last_is_taken_or_the_one_that_is_named(
    connect: Connect, scope_app: Starlette
) -> None:
    template = "/teams/{team}/threads/{thread:int}"
    app = MemoryMiddleware(
        scope_app, user=alice, session=path_parameter(template), agent=path_parameter(template, "team")
    )
    client = connect(app)
    assert told(client.get("/teams/red/threads/7").json()) == Scope("alice", "7", "red")
    assert told(client.get("/teams/red/threads/seven").json()) == Scope("alice")


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("threads/{id}", None),
        ("/threads", None),
        ("/threads/{id}", "thread"),
        ("/{a}/{a}", None),
        ("/{a:b}", None),
    ],
)
def test_a_path_template_that_cannot_be_read_is_refused_at_once(template: str, name: str | None) -> None:
    with pytest.raises(ConfigurationError, match="path template"):
        path_parameter(template, name)


class Past(TimestampSigner):
    """Signs as in 1970."""

    def get_timestamp(self) -> int:
        return 0


def cookie(value: str, *, name: str = "who", key: str = "key") -> str:
    return cookie_signer(name, key).dumps(value)


def old_cookie(value: str) -> str:
    signer = cookie_signer("who", "key")
    signer.signer = Past
    return signer.dumps(value)


def ask_with_cookie(client: TestClient, value: str) -> Scope:
    return told(client.get("/", headers={"cookie": f"who={value}"}).json())


def test_a_signed_cookie_is_believed_if_this_application_signed_it(
    connect: Connect, scope_app: Starlette
) -> None:
    async def log_in(request: Request) -> PlainTextResponse:
        response = PlainTextResponse("hello")
        response.set_cookie("who", cookie(request.query_params["user"]), httponly=True)
        return response

    app = Starlette(routes=[Route("/login", log_in), Mount("/", scope_app)])
    client = connect(MemoryMiddleware(app, user=signed_cookie("who", "key", max_age=60)))
    for user in ("alice", "user 5, @home; = 100 %", "ålice", "日本"):
        client.get("/login", params={"user": user})
        assert told(client.get("/").json()) == Scope(user)


@pytest.mark.parametrize(
    "forged",
    [
        "alice",
        "",
        "alice.aaaa.bbbb",
        cookie("alice", key="another key"),
        cookie("alice", name="another cookie"),
        old_cookie("alice"),
        cookie("alice")[:-1],
        cookie("alice").replace(cookie("alice")[:8], cookie("bob")[:8]),
        URLSafeTimedSerializer("key").dumps("alice"),
    ],
)
def test_a_cookie_that_was_not_signed_here_for_this_or_long_ago_is_nobody(
    connect: Connect, scope_app: Starlette, forged: str
) -> None:
    client = connect(MemoryMiddleware(scope_app, user=signed_cookie("who", "key", max_age=60)))
    assert ask_with_cookie(client, forged) == ANONYMOUS


@pytest.mark.parametrize("key", ["", None, [], ["", "key"], ["key", ""], b""])
def test_an_empty_key_with_which_anybody_could_sign_is_refused(key: Any) -> None:
    takers: list[Callable[[str, Any], object]] = [signed_cookie, wsgi.signed_cookie, cookie_signer]
    for take in takers:
        with pytest.raises(ConfigurationError, match="anybody could sign it as any user"):
            take("who", key)


def test_signing_keys_can_be_rotated(connect: Connect, scope_app: Starlette) -> None:
    client = connect(MemoryMiddleware(scope_app, user=signed_cookie("who", ["old key", "key"])))
    assert ask_with_cookie(client, cookie("alice")) == Scope("alice")
    assert ask_with_cookie(client, cookie("alice", key="old key")) == Scope("alice")
    new = cookie_signer("who", ["old key", "key"]).dumps("alice")
    assert ask_with_cookie(
        connect(MemoryMiddleware(scope_app, user=signed_cookie("who", "key"))), new
    ) == Scope("alice")


@pytest.mark.parametrize(
    ("headers", "scope"),
    [
        ([("X-User", "alice")], Scope("alice")),
        ([("x-user", "alice")], Scope("alice")),
        ([("X-User", "ålice".encode())], Scope("ålice")),
        ([("X-User", "ålice".encode("latin-1"))], Scope("ålice")),
        ([("X-User", "")], ANONYMOUS),
        ([], ANONYMOUS),
        ([("X-User", "mallory"), ("X-User", "alice")], Scope("mallory, alice")),
    ],
)
def test_a_trusted_header_is_taken_as_it_is_and_given_twice_names_nobody_known(
    connect: Connect, scope_app: Starlette, headers: list[tuple[str, str | bytes]], scope: Scope
) -> None:
    client = connect(MemoryMiddleware(scope_app, user=trusted_header("X-User")))
    assert told(client.get("/", headers=headers).json()) == scope


def test_the_trusted_header_warns_who_reads_its_documentation() -> None:
    assert "Anybody can send any header" in (trusted_header.__doc__ or "")


BAD = ["a" * 257, "tab\there", "\N{RIGHT-TO-LEFT OVERRIDE}alice", " "]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_identifier_from_the_client_is_its_own_mistake(
    connect: Connect, scope_app: Starlette, bad: str
) -> None:
    def whatever_the_client_says(connection: HTTPConnection[Any]) -> str:
        return FromClient(connection.query_params["user"])

    client = connect(MemoryMiddleware(scope_app, user=whatever_the_client_says))
    answer = client.get("/", params={"user": bad})
    assert answer.status_code == 400
    assert answer.text.startswith("user_id ")
    assert bad not in answer.text or bad == " "


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_identifier_of_the_application_is_an_error(
    connect: Connect, scope_app: Starlette, bad: str
) -> None:
    client = connect(MemoryMiddleware(scope_app, user=alice, session=lambda _: bad))
    with pytest.raises(InvalidScopeError, match="session_id"):
        client.get("/")


def test_a_bad_path_is_a_400_and_the_websocket_is_refused(connect: Connect, scope_app: Starlette) -> None:
    client = connect(MemoryMiddleware(scope_app, user=alice, session=path_parameter("/threads/{id}")))
    answer = client.get("/threads/%00")
    assert (answer.status_code, answer.text) == (400, "session_id contains control or unprintable characters")
    with pytest.raises(WebSocketDenialResponse) as refusal, client.websocket_connect("/threads/%00"):
        pass
    assert refusal.value.status_code == 400


@pytest.mark.anyio
async def test_a_websocket_is_closed_where_the_server_cannot_send_a_400() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    connection = {"type": "websocket", "path": "/threads/\x00", "headers": []}
    app = MemoryMiddleware(telling_app(), user=alice, session=path_parameter("/threads/{id}"))
    await app(connection, anyio.sleep_forever, send)
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1008)]


def test_signed_cookies_without_itsdangerous_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "itsdangerous", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "headroom-memory\[web\]"'):
        signed_cookie("who", "key")
