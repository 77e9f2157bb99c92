"""The WSGI middleware: whose request it is, until the response is closed; as PEP 3333 wants it."""

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from headroom.current import current_memory
from headroom.errors import ClosedError, InvalidScopeError
from headroom.memory import Engine, MemoryConfig
from headroom.scope import ANONYMOUS, Scope, bind, current_scope
from headroom.wsgi import (
    FromClient,
    MemoryMiddleware,
    cookie_signer,
    path_parameter,
    signed_cookie,
    trusted_header,
)

HEADERS = [("Content-Type", "text/plain; charset=utf-8")]


class Answer:
    """What a server makes of one request."""

    def __init__(self, app: Any, environ: WSGIEnvironment) -> None:
        self.status = ""
        body = validator(app)(environ, self.start_response)
        try:
            self.body = b"".join(body)
        finally:
            body.close()  # type: ignore[attr-defined] # the validator's bodies have it

    def start_response(self, status: str, _headers: list[tuple[str, str]], _error: Any = None) -> Any:
        self.status = status
        return io.BytesIO().write


def ask(app: Any, **environ: Any) -> Answer:
    environ = {"SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": ""} | environ
    setup_testing_defaults(environ)
    return Answer(app, environ)


class Told(list[tuple[str, Scope]]):
    """The scopes that an application noted."""

    def note(self, where: str) -> None:
        self.append((where, current_scope()))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def app(told: Told) -> Callable[..., Iterable[bytes]]:
    def application(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        told.note("app")
        start_response("200 OK", HEADERS)
        return [b"hello"]

    return application


def test_by_default_it_is_whom_the_server_authenticated(app: Any, told: Told) -> None:
    scoped = MemoryMiddleware(validator(app))
    ask(scoped, REMOTE_USER="alice")
    ask(scoped)
    ask(scoped, REMOTE_USER="")
    ask(scoped, REMOTE_USER="日本".encode().decode("latin-1"))
    assert told == [
        ("app", Scope("alice")),
        ("app", ANONYMOUS),
        ("app", ANONYMOUS),
        ("app", Scope("日本")),
    ]
    assert current_scope() == Scope()


def test_a_client_cannot_claim_to_be_the_remote_user(app: Any, told: Told) -> None:
    ask(MemoryMiddleware(app), HTTP_REMOTE_USER="alice")
    assert told == [("app", ANONYMOUS)]


def test_the_resolvers_read_the_environ(app: Any, told: Told) -> None:
    scoped = MemoryMiddleware(
        app,
        user=signed_cookie("who", "key"),
        session=path_parameter("/threads/{thread}"),
        agent=trusted_header("X-Agent"),
    )
    signed = cookie_signer("who", "key").dumps("alice")
    ask(scoped, HTTP_COOKIE=f"a=b; who={signed}", PATH_INFO="/threads/7/messages", HTTP_X_AGENT="guide")
    ask(scoped, HTTP_COOKIE=f"who={signed}x", PATH_INFO="/threads/7", HTTP_X_AGENT="guide")
    ask(scoped, HTTP_COOKIE=f"who={signed}", PATH_INFO="/")
    assert told == [("app", Scope("alice", "7", "guide")), ("app", ANONYMOUS), ("app", Scope("alice"))]


def test_without_a_user_the_session_and_the_agent_are_not_even_looked_for(app: Any, told: Told) -> None:
    threads = {"alice": "7"}
    scoped = MemoryMiddleware(app, session=lambda environ: threads[environ["REMOTE_USER"]])
    ask(scoped)
    ask(scoped, REMOTE_USER="alice")
    assert told == [("app", ANONYMOUS), ("app", Scope("alice", "7"))]


def test_a_bad_identifier_is_a_400_for_the_client_and_an_error_of_the_application(
    app: Any, told: Told
) -> None:
    answer = ask(MemoryMiddleware(app, user=lambda _: FromClient("a\x00b")))
    assert (answer.status, answer.body) == (
        "400 Bad Request",
        b"user_id contains control or unprintable characters",
    )
    with pytest.raises(InvalidScopeError, match="session_id is blank"):
        ask(MemoryMiddleware(app, session=lambda _: ""), REMOTE_USER="alice")
    assert told == []


class Body:
    """A body that notes when its code runs."""

    def __init__(self, told: Told) -> None:
        self.told = told

    def __iter__(self) -> Iterator[bytes]:
        self.told.note("iter")
        yield b"a"
        self.told.note("next")
        yield b"b"

    def close(self) -> None:
        self.told.note("close")


def test_the_scope_is_there_while_the_response_is_iterated_and_closed_and_never_between(told: Told) -> None:
    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", HEADERS)
        bind(session_id="bound in the application")
        return Body(told)

    environ: WSGIEnvironment = {"REMOTE_USER": "alice"}
    body = MemoryMiddleware(app)(environ, lambda *_: io.BytesIO().write)
    told.note("between")
    chunks = iter(body)
    for _ in chunks:
        told.note("between")
    body.close()  # type: ignore[attr-defined] # it has one where the application's has one
    told.note("between")
    bound = Scope("alice", "bound in the application")
    assert told == [
        ("between", Scope()),
        ("iter", bound),
        ("between", Scope()),
        ("next", bound),
        ("between", Scope()),
        ("close", bound),
        ("between", Scope()),
    ]


def test_an_application_that_is_a_generator_has_its_scope_throughout(told: Told) -> None:
    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        told.note("start")
        kept = bind(session_id="kept")
        start_response("200 OK", HEADERS)
        yield b"a"
        told.note("then")
        del kept
        yield b"b"

    assert ask(MemoryMiddleware(validator(app)), REMOTE_USER="alice").body == b"ab"
    assert told == [("start", Scope("alice")), ("then", Scope("alice", "kept"))]


def test_a_body_may_be_consumed_in_another_thread(told: Told) -> None:
    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", HEADERS)
        return Body(told)

    body = MemoryMiddleware(app)({"REMOTE_USER": "alice"}, lambda *_: io.BytesIO().write)
    thread = threading.Thread(target=lambda: b"".join(body))
    thread.start()
    thread.join()
    assert told == [("iter", Scope("alice")), ("next", Scope("alice"))]


def test_an_error_in_the_application_or_its_body_leaves_nothing_behind(told: Told) -> None:
    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", HEADERS)
        yield b"a"
        told.note("failing")
        raise ZeroDivisionError

    def failing_app(*_: Any) -> Iterable[bytes]:
        raise ZeroDivisionError

    for application in (app, failing_app):
        with pytest.raises(ZeroDivisionError):
            ask(MemoryMiddleware(application), REMOTE_USER="alice")
        assert current_scope() == Scope()
    assert told == [("failing", Scope("alice"))]


def test_a_response_for_which_two_users_were_bound_is_delivered_and_closed_and_leaves_nothing_behind() -> (
    None
):
    closed: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"nobody's"

        def close(self) -> None:
            closed.append("body")

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        bind(user_id="alice")
        bind(user_id="bob")
        start_response("200 OK", HEADERS)
        return Body()

    assert ask(MemoryMiddleware(app)).body == b"nobody's"
    assert closed == ["body"]
    assert current_scope() == Scope()


def test_a_file_passes_through_so_that_the_server_can_send_it_its_own_way(tmp_path: Path) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", HEADERS)
        body: Iterable[bytes] = environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))
        return body

    (tmp_path / "file").write_bytes(b"content")
    environ: WSGIEnvironment = {"REMOTE_USER": "alice", "wsgi.file_wrapper": FileWrapper}
    body = MemoryMiddleware(app)(environ, lambda *_: io.BytesIO().write)
    assert isinstance(body, FileWrapper)
    body.close()
    assert ask(MemoryMiddleware(validator(app)), **environ).body == b"content"


def test_a_list_passes_through_so_that_the_server_knows_its_length(app: Any) -> None:
    body = MemoryMiddleware(app)({"REMOTE_USER": "alice"}, lambda *_: io.BytesIO().write)
    assert body == [b"hello"]


def test_a_body_may_be_any_iterator() -> None:
    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", HEADERS)
        return map(str.encode, ["a", "b"])

    assert ask(MemoryMiddleware(app), REMOTE_USER="alice").body == b"ab"


def test_the_old_write_function_works(told: Told) -> None:
    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", HEADERS)
        write(b"a")
        told.note("app")
        return [b"b"]

    assert ask(MemoryMiddleware(validator(app)), REMOTE_USER="alice").body == b"b"
    assert told == [("app", Scope("alice"))]


def test_the_memory_of_the_application_is_the_one_that_was_given(tmp_path: Path) -> None:
    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", HEADERS)
        current_memory().add("Prefers Python")
        yield current_memory().search("python")[0].content.encode()

    engine = Engine(MemoryConfig(db_path=tmp_path / "app.db"))
    scoped = MemoryMiddleware(app, memory=engine)
    assert ask(scoped, REMOTE_USER="alice").body == b"Prefers Python"
    assert engine.count("alice") == 1
    engine.close()
    with pytest.raises(ClosedError):
        ask(scoped, REMOTE_USER="alice")
