"""The middleware that scopes an ASGI application by its user, and the usual ways to know who that is.

::

    app.add_middleware(MemoryMiddleware)                                # who AuthenticationMiddleware found
    app.add_middleware(MemoryMiddleware, user=session_key("user_id"))   # whom your login put into the session
    app.add_middleware(MemoryMiddleware, session=path_parameter("/threads/{thread_id}"))
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from starlette import status
from starlette.authentication import BaseUser, SimpleUser
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from headroom.current import MemorySource, as_source, close_shared_memory, shared_memory, using
from headroom.errors import ConfigurationError, StorageError
from headroom.memory.config import MemoryConfig
from headroom.resolvers import (
    FromClient,
    RejectedRequestError,
    cookie_reader,
    cookie_signer,
    header_text,
    path_reader,
    resolved_scope,
)
from headroom.scope import ANONYMOUS, Scope, current_scope, entered
from headroom.threads import in_thread

__all__ = [
    "FromClient",
    "MemoryMiddleware",
    "Resolver",
    "authenticated_user",
    "cookie_signer",
    "path_parameter",
    "session_key",
    "signed_cookie",
    "trusted_header",
]

_log: Final = logging.getLogger(__name__)

Resolver: TypeAlias = Callable[[HTTPConnection[Any]], Awaitable[str | None] | str | None]
"""Reads an identifier out of a request or websocket; None where there is none. It may be `async`."""


def authenticated_user(connection: HTTPConnection[Any]) -> str | None:
    """The `identity` of the user that Starlette's AuthenticationMiddleware found; the default.

    Raises:
        ConfigurationError: the user object has no identity; the message says what to do.
    """
    user = connection.scope.get("user")
    try:
        if user is None or not user.is_authenticated:
            return None
        # Before Starlette 1.8, its own SimpleUser had no identity.
        is_older = isinstance(user, SimpleUser) and type(user).identity is BaseUser.identity
        identity: str | None = user.username if is_older else user.identity
    except (AttributeError, NotImplementedError):  # a class without one, or with Starlette's unfinished one
        identity = None
    if identity is None:
        raise ConfigurationError(
            f"{type(user).__name__} has no identity: give the class a property `identity` that returns a "
            "string which is nobody else's and never changes, or name one yourself: "
            "MemoryMiddleware(app, user=lambda connection: str(connection.user.id))"
        )
    return identity


def session_key(key: str) -> Resolver:
    """What the application put under `key` into the session of Starlette's SessionMiddleware.

    Raises:
        ConfigurationError: at a request, SessionMiddleware is missing or runs inside MemoryMiddleware.
    """

    def resolve(connection: HTTPConnection[Any]) -> str | None:
        if "session" not in connection.scope:
            raise ConfigurationError(
                "there is no session yet: SessionMiddleware must be added and run before MemoryMiddleware "
                "(app.add_middleware: after it; a list of middlewares: before it)"
            )
        value: str | None = connection.session.get(key)
        return value

    return resolve


def path_parameter(template: str, name: str | None = None) -> Resolver:
    """A parameter of the path, for requests to `template` and everything below it.

    The middleware runs before the request is routed, so it reads the path itself: write the template like a
    route, e.g. `path_parameter("/threads/{thread_id}")`. `name` chooses among several parameters; the default
    is the last.

    Raises:
        ConfigurationError: the template has no such parameter.
    """
    read = path_reader(template, name)

    def resolve(connection: HTTPConnection[Any]) -> str | None:
        path: str = connection.scope["path"]
        mounted_at = connection.scope.get("root_path", "")
        return read(path.removeprefix(mounted_at) if path.startswith(f"{mounted_at}/") else path)

    return resolve


def signed_cookie(name: str, secret_key: str | Sequence[str], *, max_age: int | None = None) -> Resolver:
    """What the application signed into the cookie `name` with `cookie_signer`; what others made is ignored.

    `max_age` is in seconds. Several keys are for rotation: the last one signs, all of them are accepted.

    Raises:
        ConfigurationError: a key is empty, so that anybody could sign.
        MissingDependencyError: itsdangerous is not installed.
    """
    read = cookie_reader(name, secret_key, max_age)
    return lambda connection: read(connection.cookies)


def trusted_header(name: str) -> Resolver:
    """The value of a request header.

    Warning:
        Anybody can send any header. Use this only where a proxy in front of the application authenticates
        every request and sets (or removes) this very header on each of them, and where nothing but that proxy
        can reach the application. Otherwise whoever sends `name: alice` reads what is remembered about alice.
    """

    def resolve(connection: HTTPConnection[Any]) -> str | None:
        # The same header twice is one smuggled in beside the proxy's: together they name nobody.
        return FromClient(header_text(", ".join(connection.headers.getlist(name)))) or None

    return resolve


class MemoryMiddleware:
    """Gives each request and websocket of an ASGI application the memory scope of its user.

    Args:
        app: The application.
        user: Who is asking. A request without a user is anonymous: nothing is remembered in it or recalled.
        session: The conversation, if any.
        agent: The agent, if any.
        memory: What `current_memory()` and clients without a memory of their own use in this application;
            opened when the application starts and closed when it stops. Where the database fails at the
            start, the application starts all the same (unless the config is strict) and each use tries again.

    `user`, `session` and `agent` are resolvers: functions of the connection that return an identifier or
    None. A bad identifier answers 400 where the client sent it (see `FromClient`). Where `user` finds
    nobody, the others are not asked: what gives the request its user later gives it those as well, by `bind`.

    Raises:
        ConfigurationError: `memory` is none.
        InvalidScopeError: at a request, an identifier of the application's own making cannot be one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        user: Resolver | None = None,
        session: Resolver | None = None,
        agent: Resolver | None = None,
        memory: MemorySource | None = None,
    ) -> None:
        self.app = app
        self._user = user or authenticated_user
        self._session = session
        self._agent = agent
        self._memory = as_source(memory)
        self._found_too_late = False

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Serve one connection, or the application's lifespan."""
        if connection["type"] == "lifespan":
            await self._live(connection, receive, send)
        elif connection["type"] not in {"http", "websocket"}:
            await self.app(connection, receive, send)
        else:
            try:
                scope = await self._resolve(HTTPConnection(connection))
            except RejectedRequestError as error:
                await _reject(str(error), connection, receive, send)
                return
            with entered(scope), using(self._memory):
                await self.app(connection, receive, send)
                if scope.anonymous:
                    self._check_order(connection)

    async def _resolve(self, connection: HTTPConnection[Any]) -> Scope:
        async def result_of(resolver: Resolver | None) -> str | None:
            result = None if resolver is None else resolver(connection)
            return await result if inspect.isawaitable(result) else result

        user = await result_of(self._user)
        if user is None:
            return ANONYMOUS
        return resolved_scope(user, await result_of(self._session), await result_of(self._agent))

    def _check_order(self, connection: Connection) -> None:
        # Who this middleware runs before finds nobody, and would silently remember nothing of anybody.
        if self._found_too_late or self._user is not authenticated_user:
            return
        if getattr(connection.get("user"), "is_authenticated", False) and current_scope().anonymous:
            self._found_too_late = True
            _log.warning(
                "the user was authenticated after MemoryMiddleware had looked, so the request was anonymous: "
                "AuthenticationMiddleware must come first (app.add_middleware: add it after MemoryMiddleware)"
            )

    async def _live(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Open the memory before the application starts, and close it after it has stopped."""

        async def closing_send(message: Message) -> None:
            if message["type"] != "lifespan.startup.complete":
                await self._close()
            await send(message)

        try:
            await self._open()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        with using(self._memory):
            await self.app(connection, receive, closing_send)

    async def _open(self) -> None:
        if not isinstance(self._memory, MemoryConfig):
            return
        try:
            await in_thread(shared_memory, self._memory)
        except StorageError as error:
            if self._memory.strict:
                raise
            _log.warning(
                "memory failed to open (%s: %s); the application starts without it, as strict is off, "
                "and each use tries again",
                type(error).__name__,
                error,
            )

    async def _close(self) -> None:
        if isinstance(self._memory, MemoryConfig):
            await in_thread(close_shared_memory, self._memory)
        elif self._memory is not None:
            await self._memory.close()


async def _reject(reason: str, connection: Connection, receive: Receive, send: Send) -> None:
    if connection["type"] == "websocket" and "websocket.http.response" not in connection.get(
        "extensions", {}
    ):
        await send({"type": "websocket.close", "code": status.WS_1008_POLICY_VIOLATION, "reason": reason})
    else:
        await PlainTextResponse(reason, status.HTTP_400_BAD_REQUEST)(connection, receive, send)
