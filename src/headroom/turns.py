"""Turns: what is remembered for a single turn ends with it."""

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Final, TypeAlias
from uuid import uuid4

import anyio

from headroom.errors import HeadroomError
from headroom.scope import Scope, current_scope, entered
from headroom.threads import in_thread

_log: Final = logging.getLogger(__name__)

Clear: TypeAlias = Callable[[str, str], object]
"""Clears up what an engine keeps of a user for a turn, given their ids."""

_open: Final[dict[str, set[tuple[Clear, str]]]] = {}
"""For each turn that is under way in this process: what clears it up when it ends, and for which user."""


def stored_for_turn(turn_id: str, user_id: str, clear: Clear) -> None:
    """Have the turn cleared for this user when it ends, if it is one of this process."""
    if (kept := _open.get(turn_id)) is not None:
        kept.add((clear, user_id))


class kept_turn:  # noqa: N801 - used like a function: `with kept_turn(turn_id):`
    """Keep what is stored for a turn until the end of a with block; the scope is left as it is."""

    def __init__(self, turn_id: str) -> None:
        self._id = turn_id

    def __enter__(self) -> None:
        _open[self._id] = set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear(_open.pop(self._id))

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kept := _open.pop(self._id):
            with anyio.CancelScope(shield=True):
                await in_thread(self._clear, kept)

    def _clear(self, kept: set[tuple[Clear, str]]) -> None:
        for clear, user_id in kept:
            try:
                clear(user_id, self._id)
            except HeadroomError:
                _log.warning(
                    "a turn that ended could not be cleared; its memories expire soon", exc_info=True
                )


class turn:  # noqa: N801 - used like a function: `with turn():`
    """One turn of a conversation: a with block with a turn id of its own; the turn's memories end with it.

    ::

        async for question in websocket.iter_text():
            async with turn():
                ...

    In asynchronous code write `async with`, so that the event loop does not wait for the database. Where
    nothing was stored for the turn, its end does not touch the database.
    """

    def __init__(self) -> None:
        turn_id = uuid4().hex
        self._kept = kept_turn(turn_id)
        self._scope = entered(current_scope().narrow(turn_id=turn_id))

    def __enter__(self) -> Scope:
        self._kept.__enter__()
        self._scope.__enter__()
        return current_scope()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scope.__exit__(kind, error, trace)
        self._kept.__exit__(kind, error, trace)

    async def __aenter__(self) -> Scope:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scope.__exit__(kind, error, trace)
        await self._kept.__aexit__(kind, error, trace)
