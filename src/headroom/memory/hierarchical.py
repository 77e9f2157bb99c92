"""The asynchronous face of the engine, for asyncio and trio."""

from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from functools import partial, wraps
from threading import Lock
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from anyio import CancelScope, CapacityLimiter, move_on_after, to_thread
from anyio.lowlevel import RunVar

from headroom.errors import OverloadedError
from headroom.memory import patience
from headroom.memory.config import MemoryConfig
from headroom.memory.engine import Engine
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


def _awaited(
    method: Callable[Concatenate[Engine, P], T], *, searches: bool = False
) -> Callable[Concatenate["HierarchicalMemory", P], Coroutine[Any, Any, T]]:
    @wraps(method)
    async def awaited(self: "HierarchicalMemory", /, *args: P.args, **kwargs: P.kwargs) -> T:
        call: Callable[[], T] = partial(getattr(self.engine, method.__name__), *args, **kwargs)
        lane = self._of_this_loop().searches if searches else self._of_this_loop().others
        return await self._in_thread(lane, call, abandon_on_cancel=searches)

    awaited.__qualname__ = f"HierarchicalMemory.{method.__name__}"  # what "was never awaited" is said of
    return awaited


class HierarchicalMemory:
    """An `Engine` whose methods are awaited; the event loop never waits for disk or model.

    ::

        async with await HierarchicalMemory.create() as memory:
            await memory.add("Prefers Python", user_id="alice")

    Each call runs in a worker thread, in the caller's context, and so does the `progress` it is given. A call
    that is cancelled while it runs still happens whole; a search is given up at once, but counts until its
    thread ends. Arguments, results and errors are those of `Engine`.

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

    add = _awaited(Engine.add)
    add_many = _awaited(Engine.add_many)
    supersede = _awaited(Engine.supersede)
    rollback = _awaited(Engine.rollback)
    get = _awaited(Engine.get)
    get_history = _awaited(Engine.get_history)
    query = _awaited(Engine.query)
    count = _awaited(Engine.count)
    stats = _awaited(Engine.stats)
    overview = _awaited(Engine.overview)
    search = _awaited(Engine.search, searches=True)
    delete = _awaited(Engine.delete)
    clear = _awaited(Engine.clear)
    vacuum = _awaited(Engine.vacuum)
    export = _awaited(Engine.export)
    import_ = _awaited(Engine.import_)
    reindex = _awaited(Engine.reindex)

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
