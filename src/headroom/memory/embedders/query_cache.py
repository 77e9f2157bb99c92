"""The vectors of recent queries."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import TypeVar

from cachetools import LRUCache

from headroom.errors import EmbedderUnavailableError, OverloadedError
from headroom.memory import patience
from headroom.memory.embedders.base import Vectors

Q = TypeVar("Q", str, tuple[str, ...])


class QueryCache:
    """Keeps the vectors of the `max_size` queries asked for last; who asks for one being made waits for it.

    A query is a text, or several that are looked for together.
    """

    def __init__(self, max_size: int) -> None:
        self._vectors: LRUCache[str | tuple[str, ...], Vectors] = LRUCache(max_size)
        self._being_made: dict[str | tuple[str, ...], Future[Vectors | None]] = {}
        self._lock = Lock()

    def get(self, text: Q, make: Callable[[Q], Vectors]) -> Vectors:
        """The vector of `text`, made if need be; it is shared, and therefore read-only.

        Whatever `make` raises reaches everybody who waits for this text, and is not remembered. But who was
        interrupted, sent away, or could wait no longer, failed alone: the others try themselves.
        """
        while True:
            with self._lock:
                known = self._vectors.get(text)
                if known is not None:
                    return known
                others = self._being_made.get(text)
                if others is None:
                    mine = self._being_made[text] = Future()
            if others is None:
                return self._made(text, make, mine)
            try:
                made = others.result(patience.left())
            except TimeoutError:
                raise EmbedderUnavailableError("another call waits for the same embedding already") from None
            if made is not None:
                return made

    def _made(self, text: Q, make: Callable[[Q], Vectors], future: Future[Vectors | None]) -> Vectors:
        try:
            vector = make(text)
            vector.flags.writeable = False
        except BaseException as error:
            with self._lock:
                del self._being_made[text]
            if not isinstance(error, Exception) or isinstance(error, OverloadedError) or patience.is_over():
                future.set_result(None)
            else:
                future.set_exception(error)
            raise
        with self._lock:
            self._vectors[text] = vector
            del self._being_made[text]
        future.set_result(vector)
        return vector
