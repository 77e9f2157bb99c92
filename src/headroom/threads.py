"""Worker threads of our own: all the usual ones may be busy with the application's requests."""

from collections.abc import Callable
from typing import Final, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")

_AT_ONCE: Final = 40

_limiter: Final[RunVar[CapacityLimiter]] = RunVar("headroom_threads")


async def in_own_thread(function: Callable[..., T], *args: object) -> T:
    """Call a function in one of these threads, in the caller's context."""
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = CapacityLimiter(_AT_ONCE)
        _limiter.set(limiter)
    return await to_thread.run_sync(function, *args, limiter=limiter)
