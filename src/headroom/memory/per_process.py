"""Values that a process makes for itself, and that its forked children make anew."""

from collections.abc import Callable
from threading import RLock
from typing import Final, Generic, TypeVar

from headroom.memory import forking

T = TypeVar("T")

_inherited: Final[list[object]] = []
"""What this process was born with: kept, not closed, for its threads and lock holders are the parent's."""


class PerProcess(Generic[T]):
    """A value made at its first use and shared by all threads of this process, but never with a forked child.

    Args:
        make: Makes the value. What it raises reaches the caller, and the next call tries again.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._value: T | None = None
        self._lock = RLock()
        forking.register(self)

    def get(self) -> T:
        """The value; at the first call, after making it."""
        if (value := self._value) is not None:
            return value
        with self._lock:
            if self._value is None:
                self._value = self._make()
            return self._value

    def take(self) -> T | None:
        """Give the value up: None if there is none; the next `get` makes another."""
        with self._lock:
            value, self._value = self._value, None
            return value

    def before_fork(self) -> None:
        """Wait for a value in the making: the child would wait for ever for a module half imported."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Start as if nothing had been made."""
        _inherited.append(self._value)
        self._value = None
        self._lock.release()
