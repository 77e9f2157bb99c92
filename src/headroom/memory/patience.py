"""How long a call waits for a locked database or for the embedder: the usual time, or less in a hurry."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from threading import Thread
from typing import Final, TypeVar

T = TypeVar("T")

LITTLE: Final = 5.0
"""For how many seconds these may hold up a request, its answer, or the end of a turn."""
_LEAST: Final = 0.1
"""Seconds that even those wait once whose time is over: what was late for another reason has its chance."""


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        self._over = time.monotonic() + self._seconds
        self._extended = False

    def left(self) -> float:
        now = time.monotonic()
        if now > self._over and not self._extended:
            self._over, self._extended = now + _LEAST, True
        return max(self._over - now, 0.0)

    def is_over(self) -> bool:
        return time.monotonic() >= self._over


_deadline: ContextVar[_Deadline | None] = ContextVar("headroom_patience", default=None)


@contextmanager
def lasting(seconds: float) -> Iterator[None]:
    """Have all that is called within, together, wait no longer than `seconds` from now.

    Worker threads have the same patience: it runs out while work waits for its turn there, too.
    """
    token = _deadline.set(_Deadline(seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def renew() -> None:
    """Begin to wait anew, after a wait that was nobody's fault; without a hurry it changes nothing."""
    if (deadline := _deadline.get()) is not None:
        deadline.renew()


def left() -> float | None:
    """How many seconds to wait from now on; None without a hurry."""
    deadline = _deadline.get()
    return None if deadline is None else deadline.left()


def is_over() -> bool:
    """Whether there is nothing left to wait, so that what failed may have done so for that alone."""
    deadline = _deadline.get()
    return deadline is not None and deadline.is_over()


def at_most(usual: float) -> float:
    """How many seconds to wait from now on, where `usual` are waited without a hurry."""
    seconds = left()
    return usual if seconds is None else min(usual, seconds)


def bounded(work: Callable[[], T]) -> T:
    """Do what may take longer than the caller can wait: in a hurry it then goes on without the caller.

    Raises:
        TimeoutError: The caller's patience is over. Otherwise what `work` raises.
    """
    if (seconds := left()) is None:
        return work()
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            done.set_exception(error)

    try:
        # No end of the process waits for what nobody waits for.
        Thread(target=copy_context().run, args=(run,), name="headroom-bounded", daemon=True).start()
    except RuntimeError:  # there are too many threads already, or the process is ending
        return work()
    return done.result(seconds)
