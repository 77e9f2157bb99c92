"""A wrapped client's `.memory`: the memory of whom it remembers for, and what its calls did with it."""

from typing import Any

from headroom.clients.core import ClientCore
from headroom.exchange import ExchangeTrace
from headroom.face import AsyncScopedMemory, ScopedMemory
from headroom.memory.engine import Engine


class _Record:
    """What the calls of a client did with its memory."""

    _core: ClientCore

    @property
    def last_exchange(self) -> ExchangeTrace | None:
        """What the memory did in the last call made in this context (task, thread).

        None before the first, and wherever the last was not made for whom the code runs now: it was another
        user's, or nobody's, or the code has left the scope that named the user.
        """
        return self._core.last_exchange

    @property
    def failures(self) -> int:
        """How often the memory failed while a call went on without it."""
        return self._core.failures


class ClientMemory(ScopedMemory, _Record):
    """The memory behind a synchronous client; opened when it is first used.

    See `ScopedMemory` for `search`, `add`, `get_all`, `clear`, `stats`, `supersede`, `history` and `delete`.
    """

    def __init__(self, core: ClientCore) -> None:  # its engine is not there yet
        self._core = core
        self._scope = core.scope

    @property
    def _engine(self) -> Engine:  # type: ignore[override]  # nobody sets it, as they could there
        return self._core.memory().open().engine


class AsyncClientMemory(AsyncScopedMemory, _Record):
    """`ClientMemory` for an asynchronous client: the same methods, awaited."""

    def __init__(self, core: ClientCore) -> None:
        self._core = core
        self.synchronous = ClientMemory(core)

    @property
    def memory(self) -> Any:  # type: ignore[override]  # nobody sets it, as they could there
        """The memory that a call made now uses."""
        return self._core.memory()
