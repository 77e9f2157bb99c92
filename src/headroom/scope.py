"""Whose memory this is: the scope, and the context variable that carries it.

A request of a web application runs in several tasks and threads that each see a *copy* of the context, so what
one of them sets the others do not see. The context variable therefore holds a cell that all the copies share:
`bind(user_id=...)` in a dependency's worker thread fills the cell, and the endpoint reads it.
"""

import contextlib
import functools
import threading
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Final, ParamSpec, TypeVar

from headroom.errors import InvalidScopeError, MissingScopeError

MAX_IDENTIFIER_LENGTH: Final = 256
"""The longest user, session, agent or turn id, in characters."""

P = ParamSpec("P")
T = TypeVar("T")


def check_identifier(value: object, part: str) -> str:
    """Return `value` if it can identify a scope's `part` ("user_id", …), or raise InvalidScopeError.

    An identifier is a non-blank string of at most 256 printable characters; spaces within are allowed.
    """
    if not isinstance(value, str):
        message = f"{part} must be a string, not {type(value).__name__}; pass str(...) of your own identifier"
        raise InvalidScopeError(message)
    if not value.strip():
        raise InvalidScopeError(f"{part} is blank; leave it out where there is none")
    if len(value) > MAX_IDENTIFIER_LENGTH:
        raise InvalidScopeError(f"{part} has {len(value)} characters; at most {MAX_IDENTIFIER_LENGTH} are allowed")
    if not value.isprintable():
        raise InvalidScopeError(f"{part} contains control or unprintable characters")
    return value


@dataclass(frozen=True, slots=True)
class Scope:
    """The user, session, agent and turn that a call belongs to; each part may be missing.

    `ANONYMOUS` is the scope of a request that is known to have no user: nothing is remembered in it.

    Raises:
        InvalidScopeError: an identifier is not a string, blank, longer than 256 characters, or unprintable.
    """

    user_id: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    turn_id: str | None = None
    anonymous: bool = False

    def __post_init__(self) -> None:
        for field in fields(self)[:4]:
            value = getattr(self, field.name)
            if value is not None:
                check_identifier(value, field.name)
                if self.anonymous:
                    raise InvalidScopeError(f"an anonymous scope has no {field.name}")

    def narrow(
        self,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
    ) -> "Scope":
        """This scope with the given parts replaced; the others are inherited.

        A different user inherits nothing: what was narrower belonged to the other one. An anonymous scope stays
        anonymous until it is given a user.
        """
        if self.anonymous and user_id is None:
            return self
        other_user = self.anonymous or (
            user_id is not None and self.user_id is not None and user_id != self.user_id
        )
        base = Scope() if other_user else self
        return Scope(
            user_id=user_id if user_id is not None else base.user_id,
            session_id=session_id if session_id is not None else base.session_id,
            agent_id=agent_id if agent_id is not None else base.agent_id,
            turn_id=turn_id if turn_id is not None else base.turn_id,
        )

    def require_user(self) -> str:
        """The user's id.

        Raises:
            MissingScopeError: this scope names no user.
        """
        if self.user_id is None:
            raise MissingScopeError(
                "no user to remember for: pass user_id=..., add MemoryMiddleware to the application, "
                "or call headroom.bind(user_id=...) before"
            )
        return self.user_id


ANONYMOUS: Final = Scope(anonymous=True)
"""The scope of a request that has no user."""


class _Cell:
    """What the copies of one context share: the innermost scope bound there."""

    __slots__ = ("top",)

    def __init__(self, top: "bind | Scope") -> None:
        self.top = top

    @property
    def scope(self) -> Scope:
        return self.top if isinstance(self.top, Scope) else self.top.scope


_current: ContextVar[_Cell | None] = ContextVar("headroom_scope", default=None)
_lock = threading.Lock()


def current_scope() -> Scope:
    """The scope of the code that is running: `Scope()` where nothing was bound, `ANONYMOUS` where nobody is known."""
    cell = _current.get()
    return Scope() if cell is None else cell.scope


class entered:  # noqa: N801 - used like a function: `with entered(scope):`
    """Enter exactly `scope` for a with block; nothing outside the block sees it.

    Middlewares, decorators and clients use this one; applications use `bind`.
    """

    __slots__ = ("_scope", "_token")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __enter__(self) -> Scope:
        self._token: Token[_Cell | None] = _current.set(_Cell(self._scope))
        return self._scope

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A generator may be closed in another context than it was started in: that copy has nothing to reset.
        with contextlib.suppress(ValueError):
            _current.reset(self._token)


class bind:  # noqa: N801 - used like a function: `bind(user_id=...)` or `with bind(...):`
    """Say whose memory the code that follows uses.

    As a plain call it holds for the rest of the request (or of the enclosing `with bind(...)` block), in every
    task and thread of it. As a context manager it holds for the block only, and for nothing beside it::

        bind(user_id=user.id)                    # e.g. in a FastAPI dependency
        with bind(agent_id="planner"): ...

    Parts not given are inherited; a different user inherits nothing. See `Scope.narrow`.

    Raises:
        InvalidScopeError: an identifier is not a string, blank, longer than 256 characters, or unprintable.
    """

    # A with statement calls bind() first and __enter__ next, so the plain call's effect is taken back in __enter__.
    # Another thread of the same request may have bound in between, on top of this binding: hence the chain to what
    # lies below, in which a withdrawn binding is skipped.

    __slots__ = ("_below", "_cell", "_entered", "_scope", "_thread", "_withdrawn")

    def __init__(
        self,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
    ) -> None:
        cell = _current.get()
        if cell is None:
            cell = _Cell(Scope())
            _current.set(cell)
        with _lock:
            self._scope = cell.scope.narrow(
                user_id=user_id, session_id=session_id, agent_id=agent_id, turn_id=turn_id
            )
            self._thread = threading.get_ident()
            self._withdrawn = False
            self._cell = cell
            self._below = cell.top
            if isinstance(cell.top, bind) and cell.top._thread == self._thread:
                # The same thread went on after it, so that one was a plain call and stays.
                self._below = cell.top.scope
            cell.top = self

    @property
    def scope(self) -> Scope:
        """The scope that was bound; once the binding ended, the one below it."""
        if not self._withdrawn:
            return self._scope
        return self._below if isinstance(self._below, Scope) else self._below.scope

    def __enter__(self) -> Scope:
        with _lock:
            self._withdrawn = True
            if self._cell.top is self:
                self._cell.top = self._below
        self._entered = entered(self._scope)
        return self._entered.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.__exit__(kind, error, trace)


def carry(function: Callable[P, T]) -> Callable[P, T]:
    """Wrap `function` so that it runs in the scope that is current now, in whichever thread it is called.

    `asyncio.to_thread` and `anyio.to_thread` carry the scope by themselves; `run_in_executor`,
    `ThreadPoolExecutor.submit` and `threading.Thread` do not::

        executor.submit(carry(work), item)
    """
    scope = current_scope()

    @functools.wraps(function)
    def in_scope(*args: P.args, **kwargs: P.kwargs) -> T:
        with entered(scope):
            return function(*args, **kwargs)

    return in_scope
