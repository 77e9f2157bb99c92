"""Bringing locks, files and threads to rest while this process is copied by fork()."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakSet


class ForkAware(Protocol):
    """What has locks, threads or files that a fork would tear."""

    def before_fork(self) -> None:
        """Come to rest, and stay so until one of the others is called."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Go on as if newly made: no other thread exists here, and no lock is held by anybody."""


_registered: WeakSet[ForkAware] = WeakSet()
_resting: list[ForkAware] = []
_lock = threading.Lock()


def register(resource: ForkAware) -> None:
    """Tell `resource` about every fork from now on, for as long as it lives."""
    with _lock:
        _registered.add(resource)


@contextmanager
def postponed() -> Iterator[None]:
    """Have no fork happen within a with block, nor another such block in this process."""
    with _lock:
        yield


def _before() -> None:
    _lock.acquire()
    _resting.extend(_registered)
    for resource in _resting:
        resource.before_fork()


def _after_in_parent() -> None:
    for resource in _resting:
        resource.after_fork_in_parent()
    _resting.clear()
    _lock.release()


def _after_in_child() -> None:
    for resource in _resting:
        resource.after_fork_in_child()
    _resting.clear()
    _lock.release()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
