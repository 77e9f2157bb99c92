"""The read models of the users who were active last, within a bound on the RAM they take."""

import threading

from cachetools import LRUCache

from headroom.memory import forking
from headroom.memory.stores.sqlite import reembedding
from headroom.memory.stores.sqlite.connections import ConnectionPool
from headroom.memory.stores.sqlite.partition import Partition
from headroom.memory.stores.sqlite.read_model import ReadModel
from headroom.memory.stores.sqlite.reembedding import Embedder


class Partitions:
    """Partitions by user id, each brought up to date when it is asked for.

    Args:
        pool: The database's connections.
        capacity: How many bytes of RAM they may take together. The one used last stays even if it takes more:
            reading it anew at each recall would cost the same RAM, and time.
    """

    def __init__(self, pool: ConnectionPool, capacity: int) -> None:
        self._pool = pool
        self._capacity = capacity
        self._make()
        forking.register(self)

    def _make(self) -> None:
        self._lock = threading.Lock()
        self._cache: LRUCache[str, Partition] = LRUCache(
            self._capacity, getsizeof=lambda partition: min(partition.nbytes, self._capacity)
        )

    def read(self, user_id: str, embedder: Embedder) -> ReadModel:
        """The user's memories, with all that was committed before this call.

        Raises:
            EmbedderMismatchError: another embedder made the stored vectors.
        """
        with self._pool.connection() as connection:
            (revision,) = connection.execute("SELECT revision FROM state").fetchone()
        partition = self._partition(user_id)
        if partition.revision < revision:
            with partition.lock:
                if partition.revision < revision:  # another thread may have been faster
                    with self._pool.reading() as connection:
                        partition.catch_up(connection, self._pool.path)
            self._weigh(partition)
        model = partition.model
        if model.embedder not in (None, embedder):
            raise reembedding.mismatch(model.embedder, embedder)
        return model

    def _partition(self, user_id: str) -> Partition:
        with self._lock:
            partition = self._cache.get(user_id)
            if partition is None:
                partition = self._cache[user_id] = Partition(user_id)
            return partition

    def _weigh(self, partition: Partition) -> None:
        """Account for what the partition takes now, dropping those used longest ago if it is too much."""
        with self._lock:
            if self._cache.get(partition.user_id) is partition:
                del self._cache[partition.user_id]
                self._cache[partition.user_id] = partition

    def before_fork(self) -> None:
        """See `ForkAware`."""

    def after_fork_in_parent(self) -> None:
        """See `ForkAware`."""

    def after_fork_in_child(self) -> None:
        """See `ForkAware`: start anew, for another thread may have been in the middle of changing one."""
        self._make()
