"""The vectors of recent queries."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock

from cachetools import LRUCache

from headroom.errors import EmbedderError, EmbedderUnavailableError
from headroom.memory import patience
from headroom.memory.embedders.base import Vector


class QueryCache:
    """Keeps the vectors of the `max_size` texts asked for last; who asks for one being made waits for it."""

    def __init__(self, max_size: int) -> None:
        self._vectors: LRUCache[str, Vector] = LRUCache(max_size)
        self._being_made: dict[str, Future[Vector]] = {}
        self._lock = Lock()

    def get(self, text: str, make: Callable[[str], Vector]) -> Vector:
        """The vector of `text`, made if need be; it is shared, and therefore read-only.

        Whatever `make` raises reaches everybody who waits for this text, and is not remembered.
        """
        with self._lock:
            known = self._vectors.get(text)
            if known is not None:
                return known
            future = self._being_made.get(text)
            if future is None:
                mine = self._being_made[text] = Future()
        if future is not None:
            try:
                return future.result(patience.left())
            except TimeoutError:
                raise EmbedderUnavailableError("another call waits for the same embedding already") from None
        try:
            vector = make(text)
            vector.flags.writeable = False
        except BaseException as error:
            with self._lock:
                del self._being_made[text]
            # Who was interrupted was interrupted alone.
            shared = (
                error
                if isinstance(error, Exception)
                else EmbedderError("the embedding was interrupted; try again")
            )
            mine.set_exception(shared)
            raise
        with self._lock:
            self._vectors[text] = vector
            del self._being_made[text]
        mine.set_result(vector)
        return vector
