"""Flask: who is logged in is bound before each request, and holds for views, streams and teardown."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, current_user, login_user

from headroom.scope import ANONYMOUS, Scope, bind, current_scope
from headroom.wsgi import MemoryMiddleware


class User(UserMixin):  # type: ignore[misc] # flask-login has no types
    def __init__(self, name: str) -> None:
        self.id = name


@pytest.fixture
def app() -> flask.Flask:
    app = flask.Flask("test", static_folder=None)
    app.secret_key = "not a secret"
    app.wsgi_app = MemoryMiddleware(app.wsgi_app)  # type: ignore[method-assign] # as Flask documents it
    LoginManager(app).user_loader(User)

    @app.before_request
    def scope() -> None:
        if current_user.is_authenticated:
            bind(user_id=current_user.get_id())

    @app.post("/login/<name>")
    def login(name: str) -> str:
        login_user(User(name))
        return "hello"

    @app.get("/")
    def view() -> dict[str, Any]:
        return asdict(current_scope())

    @app.get("/stream")
    @flask.stream_with_context
    def stream() -> Iterator[str]:
        bind(session_id="stream")
        yield f"{current_scope().user_id} "
        yield f"{current_scope().session_id} "
        yield flask.current_app.name

    @app.teardown_request
    def note(_: BaseException | None) -> None:
        app.extensions["seen"] = current_scope()

    return app


def logged_in(app: flask.Flask, name: str) -> FlaskClient:
    client = app.test_client()
    client.post(f"/login/{name}")
    return client


def test_views_have_the_scope_of_who_is_logged_in(app: flask.Flask) -> None:
    alice, bob, nobody = logged_in(app, "alice"), logged_in(app, "bob"), app.test_client()
    for client, scope in [(alice, Scope("alice")), (bob, Scope("bob")), (nobody, ANONYMOUS)] * 2:
        assert Scope(**client.get("/").json) == scope
        assert app.extensions["seen"] == scope


def test_a_streamed_response_keeps_the_scope_and_what_it_binds(app: flask.Flask) -> None:
    assert logged_in(app, "alice").get("/stream").text == "alice stream test"
    assert app.test_client().get("/stream").text == "None None test"
