"""Building graphs of large partitions, in a thread of its own, so that no recall waits for it."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final
from weakref import ref

import numpy as np

from headroom.memory.config import MemoryConfig
from headroom.memory.ranking import Flags
from headroom.memory.stores.sqlite.hnsw import HnswIndex, Shape
from headroom.memory.stores.sqlite.partition import Partition
from headroom.memory.stores.sqlite.read_model import LONG_AGO, ReadModel
from headroom.memory.stores.sqlite.snapshots import Snapshots

_DRIFT: Final = 1_000
"""How many memories a graph may not know yet before it catches up, and how many changes are not saved."""
_GONE: Final = 100
"""How many removed memories a graph may still know: no more than it can forget in a second."""
_PAUSE: Final = 0.001
"""Seconds between two steps of a graph that is in use: time for a recall that waits to get hold of it."""

_DONE: Final = object()

_logger: Final = logging.getLogger(__name__)


class Indexer:
    """Gives large partitions a graph, and keeps it up to date.

    Args:
        snapshots: Where graphs lie between two runs.
        config: The threshold, and what graphs are made with.
        refresh: Brings a partition up to date.
        installed: Called with each partition that was given a graph.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        config: MemoryConfig,
        refresh: Callable[[Partition], object],
        installed: Callable[[Partition], None],
    ) -> None:
        self._snapshots = snapshots
        self._config = config
        self._refresh = refresh
        self._installed = installed
        self._lock = threading.RLock()  # garbage collection may close the store within
        # By user, and weakly: who makes room for others meanwhile takes no more RAM, and need not be indexed.
        self._waiting: dict[str, ref[Partition]] = {}
        self._worker: threading.Thread | None = None
        self._at_work = threading.Lock()
        self._closed = False
        self._available = True

    def attend(self, partition: Partition) -> None:
        """See to it, some time soon, that the partition has the index it needs."""
        if not self._available or not self._is_due(partition.model):
            return
        with self._lock:
            if self._closed or partition.is_attended:
                return
            if self._worker is None:
                worker = threading.Thread(target=self._work, name="headroom-index")
                try:
                    worker.start()  # it waits for the lock
                except RuntimeError:  # there are too many threads already: the next change tries again
                    return
                self._worker = worker
            partition.is_attended = True
            self._waiting[partition.user_id] = ref(partition)

    def _is_due(self, model: ReadModel) -> bool:
        if model.index is None:
            return len(model.keys) >= self._config.index_threshold
        old = int(np.searchsorted(model.keys, model.index.last, side="right"))
        new, gone = len(model.keys) - old, len(model.index) - (old - model.removed)
        return new >= _DRIFT or gone >= _GONE

    def close(self, partitions: Iterable[Partition]) -> None:
        """Give up what is being built, and save graphs that changed much, or whose snapshots are gone.

        Then nothing runs any more.
        """
        with self._lock:
            self._closed = True
            self._waiting.clear()
            worker = self._worker
        if worker is threading.current_thread():
            return  # garbage collection, in the middle of a step
        if worker is not None:
            worker.join()
        for partition in partitions:
            model = partition.model
            if model.index is not None and (
                model.index.unsaved >= _DRIFT or not self._snapshots.has(model.user)
            ):
                with _logged("could not save an index; it will be built anew"):
                    self._save(model.index, model, partition)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._worker = None
                    return
                partition = self._waiting.pop(next(iter(self._waiting)))()
            if partition is not None:
                origin = partition.model.origin
                with _logged("could not index a large partition; it is searched exactly"):
                    self._index(partition)
                partition.is_attended = False
                if partition.model.origin is not origin:  # the index is of what was there before
                    self.attend(partition)

    def _index(self, partition: Partition) -> None:
        model = partition.model
        try:
            with self._at_work:
                index = self._begun(model)
        except ImportError:
            self._available = False
            _logger.info(
                "a user has more than %d memories; hnswlib would make searching them faster: "
                'pip install "headroom-memory[hnsw]"',
                self._config.index_threshold,
            )
            return
        finished = self._catch_up(index, model)
        if finished and partition.install(index, model):
            self._installed(partition)
        if index.unsaved >= max(_DRIFT, len(index) // 4 if finished else 0):
            self._save(index, model, partition)

    def _save(self, index: HnswIndex, model: ReadModel, partition: Partition) -> None:
        """Save the graph that was made from an earlier model, without what was removed since."""
        self._refresh(partition)
        current = partition.model
        if current.origin is not model.origin:
            return
        gone = index.gone(current.keys[_present(current)])
        if len(gone) <= _GONE:
            for _ in self._one_by_one(index.forget(gone)):
                pass
            self._snapshots.save(model.user, index)

    def _begun(self, model: ReadModel) -> HnswIndex:
        """The graph to bring up to date: the one in use, or that of an earlier run, or a new one."""
        config, vectors = self._config, model.columns.vectors
        shape = Shape(vectors.dimension, config.hnsw_m, config.hnsw_ef_construction)
        if model.index is not None:
            # What was saved of a worn one is worn too.
            return HnswIndex(shape, config.hnsw_ef_search) if model.index.is_worn else model.index
        saved = self._snapshots.load(model.user, shape, config.hnsw_ef_search)
        if saved is not None and saved.agrees(model.keys, vectors, _present(model)):
            return saved
        return HnswIndex(shape, config.hnsw_ef_search)

    def _catch_up(self, index: HnswIndex, model: ReadModel) -> bool:
        """Bring the graph up to date, and return whether there was time to."""
        for _ in self._one_by_one(index.catch_up(model.keys, model.columns.vectors, _present(model))):
            if self._closed or not threading.main_thread().is_alive():
                return False
            if index is model.index:
                time.sleep(_PAUSE)
        return True

    def _one_by_one(self, steps: Iterator[None]) -> Iterator[None]:
        """Take steps, and none of them during a fork."""
        while True:
            with self._at_work:
                if next(steps, _DONE) is _DONE:
                    return
            yield

    def rest(self) -> None:
        """Finish the step that is being taken, and take no other until `go_on`: a fork may come."""
        self._at_work.acquire()

    def go_on(self) -> None:
        """Take further steps."""
        self._at_work.release()


def _present(model: ReadModel) -> Flags:
    """Which rows are of memories that were not removed."""
    present: Flags = model.expires_at != LONG_AGO
    return present


@contextmanager
def _logged(message: str) -> Iterator[None]:
    """Log what fails within: an index is a convenience, and nobody is waiting for it."""
    try:
        yield
    except Exception:
        _logger.warning(message, exc_info=True)
