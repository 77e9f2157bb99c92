"""A gate that lets few in at once, in the order of their coming."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock

from headroom.errors import OverloadedError


class Gate:
    """Lets `slots` threads in at once; up to `max_waiting` more wait, first come first served.

    More threads than cores embed no faster, only later: each slows all the others down.
    """

    def __init__(self, slots: int, max_waiting: int) -> None:
        self._free = slots
        self._max_waiting = max_waiting
        self._waiting: deque[Event] = deque()
        self._lock = Lock()

    @contextmanager
    def entered(self, *, returning: bool = False) -> Iterator[None]:
        """Hold a slot for the length of the block.

        Args:
            returning: Whether this continues what was let in before: it waits its turn, but is not sent away.

        Raises:
            OverloadedError: Too many are waiting already. It is raised at once.
        """
        turn: Event | None = None
        with self._lock:
            if self._free:
                self._free -= 1
            elif returning or len(self._waiting) < self._max_waiting:
                turn = Event()
                self._waiting.append(turn)
            else:
                raise OverloadedError(
                    f"{self._max_waiting} requests are waiting for the embedder already; "
                    "try again later, or raise max_pending"
                )
        if turn:
            self._wait_for(turn)
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()  # the slot is handed over: nobody can slip in between
            else:
                self._free += 1

    def _wait_for(self, turn: Event) -> None:
        try:
            turn.wait()
        except BaseException:  # interrupted: nobody may be left holding the slot
            with self._lock:
                handed_over = turn.is_set()
                if not handed_over:
                    self._waiting.remove(turn)
            if handed_over:
                self._leave()
            raise
