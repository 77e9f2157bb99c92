"""The asynchronous face of the engine, for asyncio and trio."""

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import CancelledError, Future
from datetime import datetime
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from anyio import CancelScope, CapacityLimiter, move_on_after, to_thread
from anyio.lowlevel import RunVar

from headroom.errors import OverloadedError
from headroom.memory import patience
from headroom.memory.config import MemoryConfig
from headroom.memory.drafts import NewMemory
from headroom.memory.engine import Engine, Progress
from headroom.memory.filters import MemoryFilter
from headroom.memory.model import Memory, MemoryCategory
from headroom.memory.transfer import DumpFile
from headroom.threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")


class _Lane:
    """What one event loop has under way. Every thread too many would take turns from the loop's own."""

    def __init__(self, threads: int) -> None:
        self.threads = CapacityLimiter(threads)
        self.calls = 0
        """How many run or wait. What was given up is one of them until its thread has ended with it."""
        self.stuck = False
        """Whether the call that ended last had run out of its patience."""
        self._lock = Lock()  # threads end when they will

    def enter(self) -> None:
        """Count a call; it must `leave`."""
        with self._lock:
            self.calls += 1

    def leave(self) -> None:
        """Count a call no longer."""
        with self._lock:
            self.calls -= 1


class _Lanes:
    """None waits for another: no search for what writes, and no answer for calls that have more patience."""

    def __init__(self, threads: int) -> None:
        self.searches = _Lane(threads)
        self.in_turn = _Lane(threads)
        self.others = _Lane(threads)


class HierarchicalMemory:
    """An `Engine` whose methods are awaited; the event loop never waits for disk or model.

    ::

        async with await HierarchicalMemory.create() as memory:
            await memory.add("Prefers Python", user_id="alice")

    Each call runs in a worker thread, in the caller's context. A call that is cancelled while it runs still
    happens whole; a search is given up at once, but counts until its thread ends. Arguments, results and
    errors are those of `Engine`.

    Raises:
        OverloadedError: from every method, when as many calls as the config's `max_pending` wait already.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._lanes: RunVar[_Lanes] = RunVar("headroom_memory_lanes")

    @classmethod
    async def create(cls, config: MemoryConfig | None = None) -> Self:
        """Open a memory; see `Engine`."""
        return cls(await in_thread(Engine, config))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Release the database and the embedder; closing twice is fine. See `Engine.close`."""
        with CancelScope(shield=True):
            await in_thread(self.engine.close)

    @property
    def config(self) -> MemoryConfig:
        """The engine's settings."""
        return self.engine.config

    async def add(
        self,
        content: str,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
        category: MemoryCategory | str = MemoryCategory.FACT,
        importance: float = 0.5,
        metadata: Mapping[str, Any] | None = None,
        entities: Iterable[str] = (),
        expires_at: datetime | None = None,
        valid_from: datetime | None = None,
    ) -> Memory:
        """Store one memory; where the scope has the same text already, return that one. See `Engine.add`."""
        return await self.run(
            self.engine.add,
            content,
            user_id,
            session_id,
            agent_id,
            turn_id,
            category,
            importance,
            metadata,
            entities,
            expires_at,
            valid_from,
        )

    async def add_many(self, items: Iterable[NewMemory]) -> list[Memory]:
        """Store many memories, each a mapping of `add`'s arguments: all or none. See `Engine.add_many`."""
        return await self.run(self.engine.add_many, items)

    async def supersede(
        self,
        old_memory_id: str,
        new_content: str,
        *,
        category: MemoryCategory | str | None = None,
        importance: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        entities: Iterable[str] | None = None,
        expires_at: datetime | None = None,
        valid_from: datetime | None = None,
    ) -> Memory:
        """Put a new version in the place of a memory, which becomes history. See `Engine.supersede`."""
        return await self.run(
            self.engine.supersede,
            old_memory_id,
            new_content,
            category=category,
            importance=importance,
            metadata=metadata,
            entities=entities,
            expires_at=expires_at,
            valid_from=valid_from,
        )

    async def rollback(self, memory_id: str) -> Memory:
        """Make what an earlier version said current again, as a new version. See `Engine.rollback`."""
        return await self.run(self.engine.rollback, memory_id)

    async def get(self, memory_id: str) -> Memory | None:
        """The version with this id, or None. See `Engine.get`."""
        return await self.run(self.engine.get, memory_id)

    async def get_history(self, memory_id: str) -> list[Memory]:
        """All versions of a memory, oldest first, from any of them. See `Engine.get_history`."""
        return await self.run(self.engine.get_history, memory_id)

    async def query(self, where: MemoryFilter) -> list[Memory]:
        """The memories that meet every condition of `where`. See `Engine.query`."""
        return await self.run(self.engine.query, where)

    async def count(
        self,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
    ) -> int:
        """How many current memories name each of the given parts. See `Engine.count`."""
        return await self.run(self.engine.count, user_id, session_id, agent_id, turn_id)

    async def stats(
        self, user_id: str, session_id: str | None = None, agent_id: str | None = None
    ) -> dict[str, Any]:
        """Figures about the memories that name each of the given parts. See `Engine.stats`."""
        return await self.run(self.engine.stats, user_id, session_id, agent_id)

    async def overview(self) -> dict[str, Any]:
        """Figures about the whole database, for who runs it. See `Engine.overview`."""
        return await self.run(self.engine.overview)

    async def search(
        self,
        query: str,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
        *,
        top_k: int | None = None,
        min_score: float | None = None,
        categories: Collection[MemoryCategory | str] | None = None,
        all_sessions: bool = False,
        as_of: datetime | None = None,
    ) -> list[Memory]:
        """The memories that fit the query best, best first, each with its score. See `Engine.search`."""
        search = partial(
            self.engine.search,
            query,
            user_id,
            session_id,
            agent_id,
            turn_id,
            top_k=top_k,
            min_score=min_score,
            categories=categories,
            all_sessions=all_sessions,
            as_of=as_of,
        )
        return await self._in_thread(self._of_this_loop().searches, search, abandon_on_cancel=True)

    async def delete(self, memory_id: str) -> bool:
        """Remove a memory with all its versions; return whether there was one. See `Engine.delete`."""
        return await self.run(self.engine.delete, memory_id)

    async def clear(
        self,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
    ) -> int:
        """Remove the memories that name each of the given parts; return how many. See `Engine.clear`."""
        return await self.run(self.engine.clear, user_id, session_id, agent_id, turn_id)

    async def vacuum(self) -> int:
        """Remove what has expired and give the space back; return how many went. See `Engine.vacuum`."""
        return await self.run(self.engine.vacuum)

    async def export(self, target: DumpFile, user_id: str | None = None) -> int:
        """Write memories with their history as JSON lines; return how many versions. See `Engine.export`."""
        return await self.run(self.engine.export, target, user_id)

    async def import_(self, source: DumpFile, progress: Progress | None = None) -> int:
        """Store what `export` wrote, all or nothing; return how many are new. See `Engine.import_`.

        `progress` is called in the worker thread.
        """
        return await self.run(self.engine.import_, source, progress)

    async def reindex(self, progress: Progress | None = None) -> int:
        """Make the vectors of another embedder anew; return how many. See `Engine.reindex`.

        `progress` is called in the worker thread.
        """
        return await self.run(self.engine.reindex, progress)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that uses the engine as this memory's own methods do: in a worker thread."""
        return await self._in_thread(self._of_this_loop().others, partial(function, *args, **kwargs))

    async def run_search(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `run` does, for what does no more than search: it waits for no others."""
        return await self._in_thread(self._of_this_loop().searches, partial(function, *args, **kwargs))

    async def run_in_turn(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `run` does, for work that must not be lost: however many wait, it waits as well.

        That costs it no patience, as long as those before it get on with theirs.
        """
        lane = self._of_this_loop().in_turn

        def call() -> T:
            if not lane.stuck:
                patience.renew()
            try:
                return function(*args, **kwargs)
            finally:
                lane.stuck = patience.is_over()

        return await self._in_thread(lane, call, bounded=False)

    def _of_this_loop(self) -> _Lanes:
        lanes = self._lanes.get(None)
        if lanes is None:
            lanes = _Lanes(self.engine.concurrency)
            self._lanes.set(lanes)
        return lanes

    async def _in_thread(
        self, lane: _Lane, call: Callable[[], T], *, abandon_on_cancel: bool = False, bounded: bool = True
    ) -> T:
        if bounded and lane.calls >= lane.threads.total_tokens + self.config.max_pending:
            raise OverloadedError(
                f"{self.config.max_pending} calls are waiting for the memory already; "
                "try again later, or raise max_pending"
            )
        ended: Future[None] = Future()
        lane.enter()
        ended.add_done_callback(lambda _: lane.leave())

        def work() -> T:
            if not ended.set_running_or_notify_cancel():
                raise CancelledError  # to nobody
            try:
                return call()
            finally:
                ended.set_result(None)

        try:
            # Cut short are waits for a thread, and searches; what else has begun is patient by itself.
            with move_on_after(patience.left() if bounded else None):
                return await to_thread.run_sync(
                    work, limiter=lane.threads, abandon_on_cancel=abandon_on_cancel
                )
        finally:
            ended.cancel()  # unless it has begun: then it ends in its own time
        raise OverloadedError("too many calls were before this one at the memory; try again later")
