"""Whose memory this is: the scope, and the context variable that carries it.

A request of a web application runs in several tasks and threads that each see a *copy* of the context, so
what one of them sets the others do not see. The context variable therefore holds a cell that all the copies
share: `bind(user_id=...)` in a dependency's worker thread fills the cell, and the endpoint reads it.
"""

import contextlib
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from headroom.errors import InvalidScopeError, MissingScopeError, ScopeConflictError

MAX_IDENTIFIER_LENGTH: Final = 256
"""The longest user, session, agent or turn id, in characters."""

PARTS: Final = ("user_id", "session_id", "agent_id", "turn_id")
"""The parts of a scope, from broadest to narrowest."""


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
        raise InvalidScopeError(
            f"{part} has {len(value)} characters; at most {MAX_IDENTIFIER_LENGTH} are allowed"
        )
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
        for part in PARTS:
            value = getattr(self, part)
            if value is not None:
                check_identifier(value, part)
                if self.anonymous:
                    raise InvalidScopeError(f"an anonymous scope has no {part}")

    def narrow(
        self,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
    ) -> "Scope":
        """This scope with the given parts replaced; the others are inherited.

        A different user inherits nothing: what was narrower belonged to the other one. An anonymous scope
        stays anonymous until it is given a user.
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
        if self.anonymous:
            raise MissingScopeError("nobody is logged in: an anonymous request has no memory")
        if self.user_id is None:
            raise MissingScopeError(
                "no user to remember for: pass user_id=..., add MemoryMiddleware to the application, "
                "or call headroom.bind(user_id=...) before"
            )
        return self.user_id


ANONYMOUS: Final = Scope(anonymous=True)
"""The scope of a request that has no user."""


class _Cell:
    """The scope that all copies of one context share."""

    __slots__ = ("_scope", "around", "conflict", "lock", "parts", "pending", "shared")

    def __init__(
        self, scope: Scope, around: "_Cell | None" = None, parts: Mapping[str, str] | None = None
    ) -> None:
        self._scope = scope
        self.conflict = False
        self.around = around
        self.parts: Mapping[str, str] = parts or {}
        # A binding's cell is seen only in the context that made it, until it is known what the binding is:
        # the head of a with block, whose cell it becomes, or a plain call, passed on to the cell around it.
        self.pending = parts is not None
        self.shared = parts is None
        # Reentrant: garbage collection may drop, and so merge, another binding while this thread holds it.
        self.lock: AbstractContextManager[object] = threading.RLock() if around is None else around.lock

    @property
    def scope(self) -> Scope:
        """The scope bound here.

        Raises:
            ScopeConflictError: two users were bound here.
        """
        if self.conflict:
            raise ScopeConflictError(
                "two different users were bound in the same request (or with block, or function under "
                "@remember); where it works for several users, use a block for each: with bind(user_id=...):"
            )
        return self._scope

    def keep(self) -> bool:
        """Become the cell of a with block, unless this was a plain call; return whether it did."""
        with self.lock:
            kept, self.pending = self.pending, False
            if kept:
                self.around, self.shared = None, True
            return kept

    def merge(self) -> None:
        """Pass what was bound on to the cell around, unless it is known what this is."""
        with self.lock:
            if self.pending and self.around is not None:
                self.around.take(self.parts)
            self.pending = False

    def take(self, parts: Mapping[str, str]) -> None:
        """Have a plain call's parts bound here, where others may rely on what was bound before."""
        bound = self._scope.user_id
        if bound is not None and parts.get("user_id", bound) != bound:
            self.conflict = True
        else:
            self._scope = self._scope.narrow(**parts)


_current: ContextVar[_Cell | None] = ContextVar("headroom_scope", default=None)


def _current_cell() -> _Cell | None:
    cell = _current.get()
    if cell is None:
        return None
    if cell.pending:
        # Nothing runs between `bind(...)` and the entry of its with block, so this was a plain call.
        cell.merge()
    return cell.around or cell


def current_scope() -> Scope:
    """The scope of the code that is running.

    `Scope()` where nothing was bound, `ANONYMOUS` in a request of nobody known.

    Raises:
        ScopeConflictError: two users were bound in this request.
    """
    cell = _current_cell()
    return Scope() if cell is None else cell.scope


class entered:  # noqa: N801 - used like a function: `with entered(scope):`
    """Enter exactly `scope` for a with block; nothing outside the block sees it.

    It may be entered again later, for what runs in pieces: what a plain `bind` set in one piece holds in the
    next. Middlewares, decorators and clients use this one; applications use `bind`.
    """

    __slots__ = ("_cell", "_token")

    def __init__(self, scope: Scope) -> None:
        self._cell = _Cell(scope)

    def __enter__(self) -> None:
        # Never an error: a response or generator for which two users were bound can still be closed.
        self._token = _current.set(self._cell)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _reset(self._token)


def _reset(token: Token[_Cell | None]) -> None:
    _current_cell()  # passes on a plain call whose binding is still held
    # A generator may be closed in another context than it was started in: that copy has nothing to reset.
    with contextlib.suppress(ValueError):
        _current.reset(token)


class _Binding:
    """What `bind` returns: entered, a with block; dropped without, a plain call."""

    __slots__ = ("_cell", "_token")

    def __init__(self, cell: _Cell) -> None:
        self._cell = cell
        self._token = _current.set(cell)

    def __enter__(self) -> Scope:
        if not self._cell.keep():  # entered later, or again
            self._cell = _Cell(self._cell.scope)
            self._token = _current.set(self._cell)
        return self._cell.scope

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _reset(self._token)

    def __del__(self) -> None:
        self._cell.merge()


def bind(
    *,
    user_id: str | None = None,
    session_id: str | None = None,
    agent_id: str | None = None,
    turn_id: str | None = None,
) -> AbstractContextManager[Scope]:
    """Say whose memory the code that follows uses.

    As a plain call it holds for the rest of the request (or of the enclosing with block), in every task and
    thread of it; outside of any, for the rest of the running task or thread. As a context manager it holds
    for the block only, and for nothing beside it::

        bind(user_id=user.id)                    # e.g. in a FastAPI dependency
        with bind(agent_id="planner"): ...

    Parts not given are inherited; a different user inherits nothing. See `Scope.narrow`.

    A plain call may give a request its user, but not another one than it has, for whom its other tasks and
    threads would then work: from then on whatever asks for the scope of that request fails. Use a with block
    for the other user.

    A plain call takes effect at once in the task or thread that makes it, and in the others as soon as the
    object it returns is dropped: write it as a statement, and do not return or keep that object.

    A thread that serves one user after the other without a scope around each, of a pool or of a WSGI server
    without MemoryMiddleware, goes on in what a plain call bound there, for whoever comes next: use a block.

    Around a `yield`, a block holds for whoever runs the generator as well; and where two generators take
    turns, each goes on in the scope that the other left. Decorate generators with `@remember` instead.

    Raises:
        InvalidScopeError: an identifier is not a string, blank, longer than 256 characters, or unprintable.
        ScopeConflictError: two users were bound in this request.
    """
    given = dict(zip(PARTS, (user_id, session_id, agent_id, turn_id), strict=True))
    parts = {part: value for part, value in given.items() if value is not None}
    cell = _current_cell()
    scope = (Scope() if cell is None else cell.scope).narrow(**parts)
    return _Binding(_Cell(scope, cell if cell is not None and cell.shared else None, parts))
