"""Values that a process makes for itself, and that its forked children make anew."""

import os
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")

_all: WeakSet["PerProcess[object]"] = WeakSet()
_inherited: list[object] = []
"""What this process was born with: kept, not closed, for its threads and lock holders are the parent's."""


class PerProcess(Generic[T]):
    """A value made at its first use and shared by all threads of this process, but never with a forked child.

    Args:
        make: Makes the value. What it raises reaches the caller, and the next call tries again.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._value: T | None = None
        self._lock = Lock()
        _all.add(self)  # type: ignore[arg-type]

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

    def forget_inherited(self) -> None:
        """Start as if nothing had been made; called in the child of a fork."""
        _inherited.append(self._value)
        self._value, self._lock = None, Lock()


def _forget_all_inherited() -> None:
    for each in list(_all):
        each.forget_inherited()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_forget_all_inherited)
