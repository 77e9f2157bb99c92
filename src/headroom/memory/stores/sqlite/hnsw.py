"""Approximate nearest neighbours in a navigable small-world graph (Malkov & Yashunin 2018), by hnswlib."""

import threading
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headroom.memory.quantisation import QuantisedVectors
from headroom.memory.ranking import Flags, Floats, Rows
from headroom.memory.stores.sqlite.growing import GrowingArray

Keys = NDArray[np.int64]
"""The keys of all rows, ascending, shape (n,)."""

_FEW: Final = 2_000
"""Up to how many visible rows comparing the query with each is about as fast as the graph."""
_MANY: Final = 1_000
"""From how many rows to be named on the graph is slower than comparing."""
_ADDED: Final = 4
"""How many vectors are added at a time: a recall may have to wait for them, about 1 ms."""
_COMPARED: Final = 100
"""How many vectors are read back at a time: other Python code has to wait for that, about 2 ms."""
_REMOVED: Final = 1_000
"""How many removed vectors a graph may carry along, beyond a quarter of all."""


class Shape(NamedTuple):
    """What a graph is made with; see hnswlib."""

    dimension: int
    m: int
    ef_construction: int


class HnswIndex:
    """A graph of most of a user's vectors; with the newest, a recall compares its query itself.

    hnswlib must not search a graph while it changes it, so both take turns.

    Args:
        shape: What it is made with, or the file was: that is not checked.
        ef_search: How thoroughly it is searched.
        path: A file written by `save`; None begins an empty graph.

    Raises:
        RuntimeError: the file is cut off, or something else.
        ImportError: hnswlib is not installed.
    """

    def __init__(self, shape: Shape, ef_search: int, path: str | None = None) -> None:
        import hnswlib  # noqa: PLC0415 - optional, and only large partitions need it

        self.shape: Final = shape
        self._lock = threading.Lock()
        self._graph: Any = hnswlib.Index("ip", shape.dimension)
        if path is None:
            self._graph.init_index(1_000, M=shape.m, ef_construction=shape.ef_construction)
        else:
            self._graph.load_index(path)
        self._graph.set_ef(ef_search)
        self._keys = GrowingArray(np.sort(np.array(self._graph.get_ids_list(), np.int64)))
        self._removed = 0
        self.unsaved = 0
        """How many vectors were added or removed since it was begun, loaded or saved."""

    def __len__(self) -> int:
        return len(self._keys.view)

    @property
    def nbytes(self) -> int:
        """How many bytes of RAM it takes."""
        links, label = 8 * self.shape.m, 20  # about 2 m links of 4 bytes
        return int(self._graph.get_max_elements()) * (4 * self.shape.dimension + links + label)

    @property
    def last(self) -> int:
        """The largest key in it, -1 if it is empty: all smaller ones are in it too."""
        keys = self._keys.view
        return int(keys[-1]) if len(keys) else -1

    @property
    def is_worn(self) -> bool:
        """Whether so much was removed that a new one is better."""
        return _are_many(self._removed, len(self))

    def nearest(
        self, query: Floats, keys: Keys, vectors: QuantisedVectors, visible: Flags, count: int
    ) -> Rows | None:
        """The visible rows nearest to a query, or None where comparing it with all of them is best.

        Args:
            query: Unit vector, shape (d,).
            keys: All rows' keys.
            vectors: All rows' vectors.
            visible: Which rows may be named, shape (n,).
            count: How many rows are wanted.
        """
        seen = int(np.count_nonzero(visible))
        # Invisible rows take places among those that the graph names: so many more are asked for.
        named = self._named(query, count * -(-len(keys) // max(seen, 1))) if seen > _FEW else None
        if named is not None:
            near, last = named
            newest = int(np.searchsorted(keys, last, side="right"))
            rows = np.minimum(np.searchsorted(keys, near), len(keys) - 1)
            rows = rows[(keys[rows] == near) & visible[rows] & (rows < newest)]
            if len(rows) >= min(count, int(np.count_nonzero(visible[:newest]))):
                rows = np.concatenate((rows, newest + np.flatnonzero(visible[newest:])))
                return _nearest_of(rows, query, vectors, count)
        # Picking out rows costs about three times as much as comparing the query with them.
        return _nearest_of(np.flatnonzero(visible), query, vectors, count) if 3 * seen < len(keys) else None

    def _named(self, query: Floats, count: int) -> tuple[Keys, int] | None:
        """The keys that the graph finds nearest, and its last; None if that is slow, or it reaches fewer."""
        if count > _MANY:
            return None
        try:
            with self._lock:
                labels, _ = self._graph.knn_query(query, k=min(count, len(self)), num_threads=1)
                last = self.last  # now: what joins the graph after this is not among the named
        except RuntimeError:
            return None
        return labels[0].astype(np.int64), last

    def agrees(self, keys: Keys, vectors: QuantisedVectors, present: Flags) -> bool:
        """Whether it has the same vectors of all that is present up to its last key, and not many more."""
        known = np.flatnonzero(present & (keys <= self.last))
        if not np.isin(keys[known], self._keys.view).all():
            return False
        if _are_many(len(self) - len(known), len(known)):  # loaded, it also counts what it only carries along
            return False
        for start in range(0, len(known), _COMPARED):
            rows = known[start : start + _COMPARED]
            try:
                held = self._graph.get_items(keys[rows], return_type="numpy")
            except RuntimeError:  # it was removed here, but not there
                return False
            if not np.array_equal(held, vectors[rows].restored()):
                return False
        return True

    def catch_up(self, keys: Keys, vectors: QuantisedVectors, present: Flags) -> Iterator[None]:
        """Make it hold exactly what is present, in steps between which the caller may pause, or give up."""
        yield from self.forget(self.gone(keys[present]))
        new = np.flatnonzero(present & (keys > self.last))
        for start in range(0, len(new), _ADDED):
            rows = new[start : start + _ADDED]
            self._add(keys[rows], vectors[rows].restored())
            yield

    def gone(self, keys: Keys) -> Keys:
        """What it holds that is not among these."""
        return np.setdiff1d(self._keys.view, keys)

    def forget(self, keys: Keys) -> Iterator[None]:
        """Remove these, each in a step of several milliseconds; nothing of their vectors stays."""
        for key in keys.tolist():
            self._remove(key)
            yield

    def _add(self, keys: Keys, vectors: Floats) -> None:
        with self._lock:
            room = self._graph.get_max_elements()
            if self._graph.get_current_count() + len(keys) > room:
                self._graph.resize_index(room + room // 2)
            self._graph.add_items(vectors, keys, num_threads=1)
            self._keys.extend(keys)
            self.unsaved += len(keys)

    def _remove(self, key: int) -> None:
        with self._lock:
            if self._is_there(key):
                # hnswlib only marks it: so that nothing of the vector stays, it is overwritten first.
                nothing = np.zeros((1, self.shape.dimension), np.float32)
                self._graph.add_items(nothing, [key], num_threads=1)
                self._graph.mark_deleted(key)
                self.unsaved += 1
            self._keys = GrowingArray(self._keys.view[self._keys.view != key])
            self._removed += 1

    def _is_there(self, key: int) -> bool:
        try:
            self._graph.get_items([key])
        except RuntimeError:
            return False
        return True

    def save(self, path: str) -> tuple[int, int]:
        """Write it to the file at `path`, and return its last key and how many it holds."""
        with self._lock:
            self._graph.save_index(path)
            self.unsaved = 0
            return self.last, len(self)


def _are_many(removed: int, kept: int) -> bool:
    return removed > _REMOVED + kept // 4


def _nearest_of(rows: Rows, query: Floats, vectors: QuantisedVectors, count: int) -> Rows:
    """Of these rows the nearest."""
    if len(rows) <= count:
        return rows
    return rows[np.argpartition(vectors[rows].cosines(query), -count)[-count:]]
