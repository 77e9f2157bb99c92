"""The read models of the users who were active last, within a bound on the RAM they take."""

import threading

from cachetools import LRUCache

from headroom.memory import forking
from headroom.memory.config import MemoryConfig
from headroom.memory.stores.sqlite import reembedding
from headroom.memory.stores.sqlite.connections import ConnectionPool
from headroom.memory.stores.sqlite.indexing import Indexer
from headroom.memory.stores.sqlite.partition import STATE, Partition
from headroom.memory.stores.sqlite.read_model import ReadModel
from headroom.memory.stores.sqlite.reembedding import Embedder
from headroom.memory.stores.sqlite.snapshots import Snapshots


class Partitions:
    """Partitions by user id, each brought up to date when it is asked for.

    The one used last stays even if it takes more RAM than is allowed: reading it anew for each recall would
    take as much, and time.

    Args:
        pool: The database's connections.
        snapshots: Where indexes lie between two runs.
        config: How much RAM they may take together, and which of them are indexed how.
    """

    def __init__(self, pool: ConnectionPool, snapshots: Snapshots, config: MemoryConfig) -> None:
        self._pool = pool
        self._snapshots = snapshots
        self._config = config
        self._make()
        forking.register(self)

    def _make(self) -> None:
        capacity = self._config.partition_cache_bytes
        self._lock = threading.RLock()  # garbage collection may close the store within
        self._cache: LRUCache[str, Partition] = LRUCache(
            capacity, getsizeof=lambda partition: min(partition.nbytes, capacity)
        )
        self._indexer = Indexer(self._snapshots, self._config, self._refresh, self._weigh)

    def read(self, user_id: str, embedder: Embedder) -> ReadModel:
        """The user's memories, with all that was committed before this call.

        Raises:
            EmbedderMismatchError: another embedder made the stored vectors.
        """
        partition = self._partition(user_id)
        if self._refresh(partition):
            self._indexer.attend(partition)
        model = partition.model
        if model.embedder not in (None, embedder):
            raise reembedding.mismatch(model.embedder, embedder)
        return model

    def _refresh(self, partition: Partition) -> bool:
        """Read what was committed since it was last read; return whether anything was."""
        with self._pool.connection() as connection:
            state = connection.execute(STATE).fetchone()
        if partition.state == state:
            return False
        with partition.lock:
            if partition.state != state:  # another thread may have been faster
                with self._pool.reading() as connection:
                    partition.catch_up(connection, self._pool.path)
        self._weigh(partition)
        return True

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

    def close(self) -> None:
        """Stop building indexes, and save them."""
        with self._lock:
            partitions = list(self._cache.values())
        self._indexer.close(partitions)

    def before_fork(self) -> None:
        """See `ForkAware`: no graph is half changed, and no module half imported."""
        self._indexer.rest()

    def after_fork_in_parent(self) -> None:
        """See `ForkAware`."""
        self._indexer.go_on()

    def after_fork_in_child(self) -> None:
        """See `ForkAware`: start anew, for another thread may have been in the middle of a partition."""
        self._make()
