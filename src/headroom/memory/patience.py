"""How long a call waits for the database while others have it locked: the usual time, or less in a hurry."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

LITTLE: Final = 5.0
"""For how many seconds a locked database may hold up a request, its answer, or the end of a turn."""
_LEAST: Final = 0.1
"""Seconds that even those wait whose time is over: what was late for another reason has its chance."""

_over: ContextVar[float | None] = ContextVar("headroom_patience_over", default=None)


@contextmanager
def lasting(seconds: float) -> Iterator[None]:
    """Have all that is called within, together, wait for the database no longer than `seconds` from now.

    Worker threads have the same patience: it runs out while work waits for its turn there, too.
    """
    token = _over.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _over.reset(token)


def at_most(usual: float) -> float:
    """How many seconds to wait from now on, where `usual` are waited without a hurry."""
    over = _over.get()
    return usual if over is None else min(usual, max(over - time.monotonic(), _LEAST))
