"""The middleware that scopes a WSGI application by its user, and the usual ways to know who that is.

::

    application = MemoryMiddleware(application)     # REMOTE_USER, as the server or a middleware set it
    app.wsgi_app = MemoryMiddleware(app.wsgi_app)   # Flask: bind(user_id=...) in before_request
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from starlette.requests import cookie_parser

from headroom.current import MemorySource, as_source, using
from headroom.resolvers import (
    FromClient,
    RejectedRequestError,
    cookie_reader,
    cookie_signer,
    header_text,
    path_reader,
    resolved_scope,
)
from headroom.scope import ANONYMOUS, Scope, entered

__all__ = [
    "FromClient",
    "MemoryMiddleware",
    "Resolver",
    "cookie_signer",
    "path_parameter",
    "remote_user",
    "signed_cookie",
    "trusted_header",
]

Resolver: TypeAlias = Callable[[WSGIEnvironment], str | None]
"""Reads an identifier out of a request's environ; None where there is none."""


def remote_user(environ: WSGIEnvironment) -> str | None:
    """REMOTE_USER: whom the server, or a middleware before this one, authenticated. The default."""
    return header_text(environ.get("REMOTE_USER", "")) or None


def path_parameter(template: str, name: str | None = None) -> Resolver:
    """A parameter of the path, for requests to `template` and everything below it.

    The middleware runs before the request is routed, so it reads the path itself: write the template in this
    form, whatever the framework, e.g. `path_parameter("/threads/{thread_id}")`. `name` chooses among several
    parameters; the default is the last.

    Raises:
        ConfigurationError: the template has no such parameter.
    """
    read = path_reader(template, name)
    return lambda environ: read(header_text(environ.get("PATH_INFO", "")))


def signed_cookie(name: str, secret_key: str | Sequence[str], *, max_age: int | None = None) -> Resolver:
    """What the application signed into the cookie `name` with `cookie_signer`; what others made is ignored.

    `max_age` is in seconds. Several keys are for rotation: the last one signs, all of them are accepted.

    Raises:
        ConfigurationError: a key is empty, so that anybody could sign.
        MissingDependencyError: itsdangerous is not installed.
    """
    read = cookie_reader(name, secret_key, max_age)
    return lambda environ: read(cookie_parser(environ.get("HTTP_COOKIE", "")))


def trusted_header(name: str) -> Resolver:
    """The value of a request header.

    Warning:
        Anybody can send any header. Use this only where a proxy in front of the application authenticates
        every request and sets (or removes) this very header on each of them, and where nothing but that proxy
        can reach the application. Otherwise whoever sends `name: alice` reads what is remembered about alice.
        An environ does not tell `X-User` from `X_User`: the proxy must remove both.
    """
    key = "HTTP_" + name.upper().replace("-", "_")
    return lambda environ: FromClient(header_text(environ.get(key, ""))) or None


class MemoryMiddleware:
    """Gives each request of a WSGI application the memory scope of its user, until its response is closed.

    Args:
        app: The application.
        user: Who is asking. A request without a user is anonymous: nothing is remembered in it or recalled.
        session: The conversation, if any.
        agent: The agent, if any.
        memory: What `current_memory()` and clients without a memory of their own use in this application.

    `user`, `session` and `agent` are resolvers: functions of the environ that return an identifier or None. A
    bad identifier answers 400 where the client sent it (see `FromClient`). Where `user` finds nobody, the
    others are not asked: what gives the request its user later gives it those as well, by `bind`.

    Raises:
        ConfigurationError: `memory` is none.
        InvalidScopeError: at a request, an identifier of the application's own making cannot be one.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        user: Resolver | None = None,
        session: Resolver | None = None,
        agent: Resolver | None = None,
        memory: MemorySource | None = None,
    ) -> None:
        self.app = app
        self._user = user or remote_user
        self._session = session
        self._agent = agent
        self._memory = as_source(memory)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        try:
            scope = self._resolve(environ)
        except RejectedRequestError as error:
            body = str(error).encode()
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
            start_response("400 Bad Request", headers)
            return [body]
        in_scope, in_use = entered(scope), using(self._memory)
        with in_scope, in_use:
            chunks = self.app(environ, start_response)
        if isinstance(chunks, list | tuple) or _is_file(chunks, environ):
            return chunks  # nothing of the application runs any more, and servers send these faster
        return _ScopedBody(chunks, in_scope, in_use)

    def _resolve(self, environ: WSGIEnvironment) -> Scope:
        user = self._user(environ)
        if user is None:
            return ANONYMOUS
        return resolved_scope(
            user,
            self._session(environ) if self._session else None,
            self._agent(environ) if self._agent else None,
        )


def _is_file(body: Iterable[bytes], environ: WSGIEnvironment) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


class _ScopedBody:
    """A response body whose code runs in the request's scope, after the application has returned."""

    def __init__(self, body: Iterable[bytes], in_scope: entered, in_use: using) -> None:
        self._body = body
        self._in_scope = in_scope
        self._in_use = in_use
        self._chunks: Iterator[bytes] = iter(())

    def __iter__(self) -> Iterator[bytes]:
        with self._in_scope, self._in_use:
            self._chunks = iter(self._body)
        return self

    def __next__(self) -> bytes:
        with self._in_scope, self._in_use:
            return next(self._chunks)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            with self._in_scope, self._in_use:
                close()
