"""What a wrapped client and its copies share: whom they remember for, how, and where."""

import logging
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Final

from headroom.current import LazyMemory
from headroom.errors import (
    ClosedError,
    ConfigurationError,
    EmbedderMismatchError,
    MissingDependencyError,
    MissingScopeError,
    OverloadedError,
    ScopeConflictError,
    StorageError,
)
from headroom.exchange import ExchangeOptions, ExchangeTrace, Failure
from headroom.memory.config import MemoryConfig
from headroom.memory.engine import Engine
from headroom.memory.hierarchical import HierarchicalMemory
from headroom.memory.model import Memory
from headroom.prompting.injection import Injection
from headroom.scope import ANONYMOUS, Scope, current_scope

log: Final = logging.getLogger("headroom")

_TURNS: Final = 512
"""How many turns' injections one client keeps for the further calls of each."""
_TURN_SECONDS: Final = 600.0
"""How long a turn's injection is used again."""
_OVERLOAD_SECONDS: Final = 10.0
"""How often the log says that the memory is overloaded: a flood of calls makes no flood of warnings."""
_TELLING: Final = (
    ClosedError,
    ConfigurationError,
    EmbedderMismatchError,
    MissingDependencyError,
    OverloadedError,
    StorageError,
)
"""Errors whose messages say what to do, and hold nothing of a user's."""

_last_exchanges: ContextVar[tuple[tuple["weakref.ref[ClientCore]", str, ExchangeTrace], ...]] = ContextVar(
    "headroom_last_exchanges", default=()
)
"""Each with its client and database. A thread that serves one user after the other keeps its context."""


class ClientCore:
    """The memory behind a wrapped client, opened when it is first needed."""

    def __init__(
        self, fixed: Scope, options: ExchangeOptions, source: HierarchicalMemory | MemoryConfig | None
    ) -> None:
        self.options = options
        self.failures = 0
        self._overload_told = -_OVERLOAD_SECONDS
        self._fixed = fixed
        self._source = source
        self._turns: dict[tuple[object, ...], tuple[float, Sequence[Memory], Injection]] = {}

    def scope(self) -> Scope:
        """The scope of a call made now: the client's own parts, completed by the current ones.

        Raises:
            MissingScopeError: there is no user in either.
            ScopeConflictError: there are two different ones.
        """
        own, current = self._fixed, current_scope()
        if current.anonymous:
            return ANONYMOUS
        if own.user_id and current.user_id and own.user_id != current.user_id:
            raise ScopeConflictError(
                "this client was wrapped for one user, but the code runs in the scope of another; "
                "wrap a client without user_id for code that serves several"
            )
        scope = Scope(
            own.user_id or current.user_id,
            own.session_id or current.session_id,
            own.agent_id or current.agent_id,
            own.turn_id or current.turn_id,
        )
        scope.require_user()
        return scope

    def memory(self) -> LazyMemory:
        """The memory of a call made now: the client's own or, without one, the application's or process's."""
        return LazyMemory(self._source)

    # What was shown in a turn

    def shown_before(
        self, turn: tuple[object, ...], engine: Engine
    ) -> tuple[Sequence[Memory], Injection] | None:
        """What an earlier call of the same turn was shown, so that the next one's prompt begins alike.

        None where that is long ago, or any of it was deleted, superseded or has expired since.
        """
        kept = self._turns.get(turn)
        if kept is None or time.monotonic() - kept[0] >= _TURN_SECONDS:
            return None
        _, recalled, injection = kept
        now = [engine.get(memory.id) for memory in injection.shown.values()]
        return (recalled, injection) if all(memory and memory.is_current for memory in now) else None

    def keep_shown(self, turn: tuple[object, ...], recalled: Sequence[Memory], injection: Injection) -> None:
        """Keep what is shown for the further calls of the turn."""
        # Without a lock, which a fork could leave locked: each of these operations is atomic.
        self._turns[turn] = (time.monotonic(), recalled, injection)
        while len(self._turns) > _TURNS:
            with suppress(KeyError, RuntimeError, StopIteration):
                del self._turns[next(iter(self._turns))]

    # What happened

    @property
    def last_exchange(self) -> ExchangeTrace | None:
        """The trace of the last call in this context; None where that was not made for the current user."""
        last = next((last for last in _last_exchanges.get() if last[0]() is self), None)
        if last is None:
            return None
        _, database, trace = last
        try:
            user_id = self.scope().user_id
        except (MissingScopeError, ScopeConflictError):
            return None
        return trace if (trace.scope.user_id, database) == (user_id, self.memory().database) else None

    def set_last_exchange(self, trace: ExchangeTrace | None) -> None:
        """Make this the last exchange in the context of the caller alone; None after a call without one."""
        others = [last for last in _last_exchanges.get() if last[0]() not in {None, self}]
        own = () if trace is None else ((weakref.ref(self), self.memory().database, trace),)
        _last_exchanges.set((*own, *others[:7]))

    def failed(self, step: str, error: Exception, trace: ExchangeTrace | None, *, strict: bool) -> None:
        """Where every failure of the memory ends up: it is counted, logged and dropped, or raised if strict.

        Nothing of a user's is logged, and so the error's own message only where it cannot hold any.
        """
        self.failures += 1
        if trace is not None:
            trace.failures.append(Failure(step, error))
        if strict:
            raise error
        if isinstance(error, OverloadedError) and not self._tells_of_overload():
            return
        what = f"{type(error).__name__}: {error}" if isinstance(error, _TELLING) else type(error).__name__
        log.warning("memory failed to %s (%s); the call went on without it, as strict is off", step, what)
        log.debug("memory failed to %s", step, exc_info=error)

    def _tells_of_overload(self) -> bool:
        due = time.monotonic() - self._overload_told >= _OVERLOAD_SECONDS
        if due:
            self._overload_told = time.monotonic()
        return due

    def is_strict(self, memory: LazyMemory) -> bool:
        """Whether failures of this memory are raised."""
        return memory.strict if self.options.strict is None else self.options.strict
