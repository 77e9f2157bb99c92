"""Which memory the running code uses: its application's, or the one that the process shares."""

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from os import path
from types import TracebackType
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar

import anyio
from anyio import move_on_after

from headroom.errors import ConfigurationError, OverloadedError
from headroom.face import AsyncScopedMemory, ScopedMemory
from headroom.memory import patience
from headroom.memory.config import MemoryConfig
from headroom.memory.engine import Engine
from headroom.memory.hierarchical import HierarchicalMemory
from headroom.scope import current_scope
from headroom.threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")

MemorySource: TypeAlias = Engine | HierarchicalMemory | MemoryConfig
"""A memory, or how the one that this process shares is set up."""

_shared: Final[dict[str, HierarchicalMemory]] = {}
_in_use: ContextVar[HierarchicalMemory | MemoryConfig | None] = ContextVar("headroom_memory", default=None)
_synchronous_in: ContextVar[int | None] = ContextVar("headroom_synchronous_in", default=None)


def shared_memory(config: MemoryConfig | None = None) -> HierarchicalMemory:
    """The memory that all of this process shares for the database of `config`; opened at the first call.

    Raises:
        ConfigurationError: that database is open with other settings.
        StorageError: it cannot be opened.
    """
    config = MemoryConfig() if config is None else config
    key = path.realpath(config.db_path)
    memory = _shared.get(key)
    if memory is None:
        # Without a lock, which a fork could leave locked: who comes second takes the first one's.
        opened = HierarchicalMemory(Engine(config))
        memory = _shared.setdefault(key, opened)
        if memory is not opened:
            opened.engine.close()
    if memory.config is not config and memory.config != replace(config, db_path=memory.config.db_path):
        raise ConfigurationError(
            f"{config.db_path} is open in this process with other settings; use the same MemoryConfig, "
            "or pass the one memory to all who share it"
        )
    return memory


def close_shared_memory(config: MemoryConfig) -> None:
    """Close the memory that this process shares for the database of `config`; a later use opens it anew."""
    memory = _shared.pop(path.realpath(config.db_path), None)
    if memory is not None:
        memory.engine.close()


@atexit.register
def _close_all() -> None:
    while _shared:
        _shared.popitem()[1].engine.close()


class LazyMemory:
    """A memory that is opened when it is used. Which one that is, is settled now, whoever uses it later.

    Args:
        source: None means the one of the application or function that is running; by default that is the
            one shared for memory.db.
    """

    def __init__(self, source: HierarchicalMemory | MemoryConfig | None = None) -> None:
        self._source = _in_use.get() if source is None else source

    @property
    def strict(self) -> bool:
        """Whether its failures are raised, as far as its settings say."""
        return self._config.strict

    @property
    def database(self) -> str:
        """Where it is: equal user ids are one user in one database, and two in two."""
        return path.realpath(self._config.db_path)

    @property
    def _config(self) -> MemoryConfig:
        source = self._source or MemoryConfig()
        return source.config if isinstance(source, HierarchicalMemory) else source

    def open(self) -> HierarchicalMemory:
        """The memory itself; see `shared_memory`."""
        source = self._source
        return source if isinstance(source, HierarchicalMemory) else shared_memory(source)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that uses the memory in one of the memory's worker threads."""
        return await (await self._opened()).run(function, *args, **kwargs)

    async def run_search(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for what only searches; see `HierarchicalMemory.run_search`."""
        return await (await self._opened()).run_search(function, *args, **kwargs)

    async def run_in_turn(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for what must not be lost; see `HierarchicalMemory.run_in_turn`."""
        return await (await self._opened()).run_in_turn(function, *args, **kwargs)

    async def _opened(self) -> HierarchicalMemory:
        if isinstance(self._source, HierarchicalMemory) or self.database in _shared:
            return self.open()
        with move_on_after(patience.left()):
            return await in_thread(self.open)
        raise OverloadedError("too many calls are waiting for the memory to be opened; try again later")


def source_in_use() -> HierarchicalMemory | MemoryConfig | None:
    """What `using` was given, to be used elsewhere as well."""
    return _in_use.get()


def memory_in_use() -> HierarchicalMemory:
    """The memory of the application or function that is running; by default the one shared for memory.db."""
    return LazyMemory().open()


def as_source(memory: MemorySource | None) -> HierarchicalMemory | MemoryConfig | None:
    """`memory` as what `using` takes; made once, because a HierarchicalMemory bounds its own calls.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(memory, MemorySource | None):
        raise ConfigurationError(
            f"memory must be a MemoryConfig, an Engine or a HierarchicalMemory, not {type(memory).__name__}; "
            "for the path of a database pass MemoryConfig(db_path=...)"
        )
    return HierarchicalMemory(memory) if isinstance(memory, Engine) else memory


class using:  # noqa: N801 - used like a function: `with using(memory):`
    """Use this memory in a with block, which may be entered again later; None leaves the one in use."""

    __slots__ = ("_source", "_token")

    def __init__(self, source: HierarchicalMemory | MemoryConfig | None) -> None:
        self._source = source

    def __enter__(self) -> None:
        if self._source is not None:
            self._token = _in_use.set(self._source)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._source is not None:
            with suppress(ValueError):  # see `entered`
                _in_use.reset(self._token)


@contextmanager
def in_synchronous_function() -> Iterator[None]:
    """Have `current_memory()` give the synchronous face in a with block, even in an event loop's thread."""
    token = _synchronous_in.set(_running_task())
    try:
        yield
    finally:
        _synchronous_in.reset(token)


def current_memory() -> Any:
    """The memory of whom the running code works for, from the `memory=` of the middleware or of `@remember`.

    In asynchronous code its methods are awaited (`AsyncScopedMemory`), elsewhere they are not
    (`ScopedMemory`); a synchronous function under `@remember` gets the latter wherever it runs::

        await current_memory().search("python")     # in an async def
        current_memory().search("python")           # in a def, in a thread

    Without a `memory=`, it is the one that the process shares for memory.db, which wrapped clients use as
    well.
    """
    memory, task = LazyMemory(), _running_task()
    synchronous = ScopedMemory(lambda: memory.open().engine, current_scope)
    is_asynchronous = task is not None and task != _synchronous_in.get()
    return AsyncScopedMemory(lambda: memory, synchronous) if is_asynchronous else synchronous


def _running_task() -> int | None:
    try:
        return anyio.get_current_task().id
    except RuntimeError:  # no event loop runs in this thread
        return None
