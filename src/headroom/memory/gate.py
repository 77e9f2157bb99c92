"""A gate that lets few in at once, in the order of their coming."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock

from headroom.errors import OverloadedError
from headroom.memory import patience


class Gate:
    """Lets `slots` threads in at once; up to `max_waiting` more wait, first come first served.

    More threads than cores compute no faster, only later: each slows all the others down.

    Args:
        slots: How many are let in at once.
        max_waiting: How many more may wait.
        purpose: What they wait for; for the message when they are too many.
    """

    def __init__(self, slots: int, max_waiting: int, purpose: str) -> None:
        self._free = slots
        self._max_waiting = max_waiting
        self._purpose = purpose
        self._waiting: deque[Event] = deque()
        self._lock = Lock()

    @contextmanager
    def passed(self, *, returning: bool = False) -> Iterator[None]:
        """Take a slot for a with block; for the argument and the error see `enter`."""
        self.enter(returning=returning)
        try:
            yield
        finally:
            self.leave()

    def enter(self, *, returning: bool = False) -> None:
        """Take a slot; whoever enters must `leave`.

        Args:
            returning: Whether this continues what was let in before: it waits its turn, but is not sent away.

        Raises:
            OverloadedError: Too many are waiting already, which is found at once; or the caller's patience
                was over before its turn came.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                return
            if not returning and len(self._waiting) >= self._max_waiting:
                raise OverloadedError(
                    f"{self._max_waiting} requests are waiting for {self._purpose} already; "
                    "try again later, or raise max_pending"
                )
            turn = Event()
            self._waiting.append(turn)
        self._wait_for(turn)

    def leave(self) -> None:
        """Hand the slot over to whoever has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()  # nobody can slip in between
            else:
                self._free += 1

    def _wait_for(self, turn: Event) -> None:
        came = False
        try:
            came = turn.wait(patience.left())
        finally:
            if not came:
                self._forgo(turn)
        if not came:
            raise OverloadedError(
                f"too many requests were before this one at {self._purpose}; try again later"
            )

    def _forgo(self, turn: Event) -> None:
        """Leave the queue, late or interrupted: nobody may be left holding the slot."""
        with self._lock:
            handed_over = turn.is_set()
            if not handed_over:
                self._waiting.remove(turn)
        if handed_over:
            self.leave()
