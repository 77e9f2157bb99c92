"""A wrapped client's `.memory`: the memory of whom it remembers for, and what its calls did with it."""

from headroom.clients.core import ClientCore
from headroom.exchange import ExchangeTrace
from headroom.face import AsyncScopedMemory, ScopedMemory


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

    def __init__(self, core: ClientCore) -> None:
        super().__init__(lambda: core.memory().open().engine, core.scope)
        self._core = core


class AsyncClientMemory(AsyncScopedMemory, _Record):
    """`ClientMemory` for an asynchronous client: the same methods, awaited."""

    def __init__(self, core: ClientCore) -> None:
        super().__init__(core.memory, ClientMemory(core))
        self._core = core
