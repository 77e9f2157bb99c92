"""The memory of one scope: what a wrapped client's `.memory` is, and what `current_memory()` gives.

There is one implementation, synchronous; the asynchronous face runs it in the memory's worker threads.
"""

from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from contextvars import copy_context
from datetime import datetime
from functools import partial, update_wrapper
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from headroom.errors import InvalidInputError, MemoryNotFoundError
from headroom.memory.engine import Engine
from headroom.memory.filters import MemoryFilter, as_level
from headroom.memory.model import Memory, MemoryCategory, ScopeLevel
from headroom.memory.statistics import MemoryStats
from headroom.scope import Scope

P = ParamSpec("P")
T = TypeVar("T")


class Threads(Protocol):
    """A memory's worker threads; see `HierarchicalMemory`."""

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in one of them."""

    async def run_search(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call one that only searches."""


class ScopedMemory:
    """What is remembered for whom the running code works for: an engine that knows the scope.

    Where a method takes a `level`, the default "user" means all that is this user's, in whichever session;
    with "session", "agent" or "turn" it is only what the current one keeps to itself.

    Args:
        engine: Gives where the memories lie, anew for each call.
        scope: Gives the scope, anew for each call.

    Raises:
        MissingScopeError: from every method, when the scope has no user.
        InvalidInputError: from every method that takes a level, when the scope has no such part.
    """

    def __init__(self, engine: Callable[[], Engine], scope: Callable[[], Scope]) -> None:
        self._engine = engine
        self._scope = scope

    def search(
        self,
        query: str,
        top_k: int | None = None,
        *,
        min_score: float | None = None,
        categories: Collection[MemoryCategory | str] | None = None,
        as_of: datetime | None = None,
    ) -> list[Memory]:
        """The memories visible here that fit the query best, best first, each with its score.

        See `Engine.search`.
        """
        scope = self._scope()
        return self._engine().search(
            query,
            scope.require_user(),
            scope.session_id,
            scope.agent_id,
            scope.turn_id,
            top_k=top_k,
            min_score=min_score,
            categories=categories,
            as_of=as_of,
        )

    def add(
        self,
        content: str,
        category: MemoryCategory | str = MemoryCategory.FACT,
        importance: float = 0.5,
        *,
        level: ScopeLevel | str = ScopeLevel.USER,
        metadata: Mapping[str, Any] | None = None,
        entities: Iterable[str] = (),
        expires_at: datetime | None = None,
        valid_from: datetime | None = None,
    ) -> Memory:
        """Store one memory, or return the one that says the same already; see `Engine.add`.

        What is stored for the "turn" goes when the turn ends.
        """
        return self._engine().add(
            content,
            **self._parts(level),
            category=category,
            importance=importance,
            metadata=metadata,
            entities=entities,
            expires_at=expires_at,
            valid_from=valid_from,
        )

    def get_all(self, level: ScopeLevel | str = ScopeLevel.USER) -> list[Memory]:
        """All current memories, oldest first."""
        return self._engine().query(MemoryFilter(**self._parts(level)))

    def clear(self, level: ScopeLevel | str = ScopeLevel.USER) -> int:
        """Remove all memories with their history; return how many versions that were."""
        return self._engine().clear(**self._parts(level))

    def stats(self) -> MemoryStats:
        """Figures about this user's memories."""
        return self._engine().stats(self._scope().require_user())

    def supersede(
        self,
        memory_id: str,
        new_content: str,
        *,
        category: MemoryCategory | str | None = None,
        importance: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        entities: Iterable[str] | None = None,
        expires_at: datetime | None = None,
        valid_from: datetime | None = None,
    ) -> Memory:
        """Put a new version in the place of a memory of this user's; see `Engine.supersede`.

        Raises:
            MemoryNotFoundError: this user has no such memory.
            MemorySupersededError: it is history already; the error names the current version.
        """
        self._check_owner(memory_id)
        return self._engine().supersede(
            memory_id,
            new_content,
            category=category,
            importance=importance,
            metadata=metadata,
            entities=entities,
            expires_at=expires_at,
            valid_from=valid_from,
        )

    def history(self, memory_id: str) -> list[Memory]:
        """All versions of a memory of this user's, oldest first, from any of them.

        Raises:
            MemoryNotFoundError: this user has no such memory.
        """
        self._check_owner(memory_id)
        return self._engine().get_history(memory_id)

    def delete(self, memory_id: str) -> bool:
        """Remove a memory of this user's with all its versions; return whether there was one."""
        try:
            self._check_owner(memory_id)
        except MemoryNotFoundError:
            return False
        return self._engine().delete(memory_id)

    def _parts(self, level: ScopeLevel | str) -> dict[str, Any]:
        """The parts of the scope down to `level`."""
        scope, wanted = self._scope(), as_level(level)
        scope.require_user()
        parts = {part: getattr(scope, part) for part in wanted.parts}
        if parts[f"{wanted}_id"] is None:
            raise InvalidInputError(
                f"there is no {wanted} here: bind(...) its {wanted}_id before, or leave the level out"
            )
        return parts

    def _check_owner(self, memory_id: str) -> None:
        # An id may come from a web page: somebody else's memory is as good as none.
        user_id = self._scope().require_user()
        memory = self._engine().get(memory_id)
        if memory is None or memory.user_id != user_id:
            raise MemoryNotFoundError(memory_id)


def _awaited(
    method: Callable[Concatenate[ScopedMemory, P], T], *, searches: bool = False
) -> Callable[Concatenate["AsyncScopedMemory", P], Coroutine[Any, Any, T]]:
    def awaited(self: "AsyncScopedMemory", /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        # Whose memory it is depends on who calls: it may be awaited in the scope of another.
        threads = self._threads()
        run = threads.run_search if searches else threads.run
        return run(copy_context().run, partial(method, self.synchronous, *args, **kwargs))

    update_wrapper(awaited, method)
    return awaited


class AsyncScopedMemory:
    """`ScopedMemory` for asyncio and trio: the same methods, awaited.

    Args:
        threads: Gives whose threads do the work, anew for each call.
        synchronous: What they do.

    Raises:
        OverloadedError: from every method, when too many calls are waiting already.
        And what `ScopedMemory` raises.
    """

    def __init__(self, threads: Callable[[], Threads], synchronous: ScopedMemory) -> None:
        self._threads = threads
        self.synchronous = synchronous

    search = _awaited(ScopedMemory.search, searches=True)
    add = _awaited(ScopedMemory.add)
    get_all = _awaited(ScopedMemory.get_all)
    clear = _awaited(ScopedMemory.clear)
    stats = _awaited(ScopedMemory.stats)
    supersede = _awaited(ScopedMemory.supersede)
    history = _awaited(ScopedMemory.history)
    delete = _awaited(ScopedMemory.delete)
