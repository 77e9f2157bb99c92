"""A user's read model, and how it is brought up to date with the tables."""

import copy
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headroom.errors import StorageError
from headroom.memory.evidence import Columns
from headroom.memory.lexical import TermIndex
from headroom.memory.model import MemoryCategory
from headroom.memory.quantisation import QuantisedVectors
from headroom.memory.stores.sqlite import reembedding, rows
from headroom.memory.stores.sqlite.growing import GrowingArray
from headroom.memory.stores.sqlite.hnsw import HnswIndex
from headroom.memory.stores.sqlite.neighbourhood import Neighbourhood
from headroom.memory.stores.sqlite.read_model import ALWAYS, CATEGORIES, LONG_AGO, NONE, ReadModel
from headroom.memory.stores.sqlite.reembedding import Embedder
from headroom.memory.stores.sqlite.schema import key_range

_STORED: Final = f"""
    SELECT session_id, agent_id, turn_id, valid_until, expires_at, category, terms,
        key, valid_from, importance, subject, asks, dated, wording, {rows.HELD}, {rows.ENDED}
    FROM memories WHERE key BETWEEN ? AND ? ORDER BY key
"""
_VECTORS: Final = "SELECT vector FROM embeddings WHERE key BETWEEN ? AND ? ORDER BY key"
_CHANGED: Final = f"""
    SELECT DISTINCT changes.key, memories.key IS NOT NULL, valid_until, expires_at, {rows.ENDED}
    FROM changes LEFT JOIN memories USING (key) WHERE user = ? AND revision > ? AND changes.key <= ?
"""

_DTYPES: Final = {
    "keys": np.int64,
    "valid_from": np.int64,
    "importance": np.float32,
    "subjects": np.uint32,
    "asks": np.bool_,
    "dated": np.bool_,
    "wordings": np.int64,
    "held": np.bool_,
    "outdated": np.bool_,
    "guides": np.bool_,
    "sessions": np.int64,
    "agents": np.int64,
    "turns": np.int64,
    "levels": np.int8,
    "valid_until": np.int64,
    "expires_at": np.int64,
    "categories": np.int8,
    "said": np.float64,
    "steps": np.float32,
}
_EVIDENCE: Final = (
    "subjects", "asks", "dated", "wordings", "guides", "sessions", "said", "importance", "levels",
)  # fmt: skip
_GUIDES: Final = np.array(
    [
        category in (MemoryCategory.PREFERENCE, MemoryCategory.DECISION, MemoryCategory.INSIGHT)
        for category in CATEGORIES
    ]
)
"""For the number of each category, whether it guides a choice."""
STATE: Final = "SELECT schema_version, revision FROM pragma_schema_version, state"
"""How far a database has come. Its schema has another version once a backup was restored into it, and it goes
back where the backup was copied over it: then it is another database."""
_UNREAD: Final = (-1, -1)
_FIXED: Final = 8_000
"""How many bytes a partition without memories takes, as measured by tracemalloc."""
_REMOVED: Final = 1_000
"""How many removed rows a read model may carry along, beyond a quarter of all."""


class Partition:
    """One user's memories in RAM: a cache that can be thrown away at any time."""

    def __init__(self, user_id: str) -> None:
        self.user_id: Final = user_id
        self.lock: Final = threading.Lock()
        """Held while this is brought up to date."""
        self.state = _UNREAD
        """Up to which `STATE` of the database `model` is complete."""
        self.is_attended = False
        """Whether its index is being seen to."""
        self._user = 0
        self._embedder: Embedder | None = None
        self._index: HnswIndex | None = None
        self._origin = object()
        self._begin(0, None)
        self.model = self._published()

    @property
    def nbytes(self) -> int:
        """About how many bytes of RAM it takes."""
        arrays = sum(column.nbytes for column in self._columns.values())
        others = self._terms.nbytes + self._neighbourhood.nbytes
        if (index := self._index) is not None:  # read once: another thread may take it away
            others += index.nbytes
        return _FIXED + arrays + others + 100 * len(self._names)

    def catch_up(self, connection: sqlite3.Connection, path: str) -> None:
        """Read what is new since `state`; the caller holds the lock and a transaction.

        Raises:
            StorageError: the database at `path` is damaged.
        """
        state = connection.execute(STATE).fetchone()
        (horizon,) = connection.execute("SELECT horizon FROM state").fetchone()
        user = rows.find_user(connection, self.user_id) or 0
        embedder = reembedding.in_use(connection)
        try:
            is_other = (
                state[0] != self.state[0]
                or state[1] < self.state[1]
                or (user, embedder) != (self._user, self._embedder)
            )
            if is_other:
                self._index = None
                self._origin = object()
            if is_other or self.state[1] < horizon or self._is_sparse():
                self._begin(user, embedder)
                changed = True
            else:
                changed = self._apply_changes(connection)
            if self._append(connection, path) or changed:
                self.model = self._published()
            self.state = state
        except BaseException:
            self.state = _UNREAD
            self._begin(0, None)
            raise

    def install(self, index: HnswIndex, model: ReadModel) -> bool:
        """Use the index that was made from an earlier model, unless its vectors are no longer these."""
        with self.lock:
            if self._origin is not model.origin:
                return False
            self._index = index
            self.model = replace(self.model, index=index)
            return True

    def _begin(self, user: int, embedder: Embedder | None) -> None:
        """Start anew, with no rows."""
        self._user = user
        self._embedder = embedder
        columns = {name: GrowingArray(np.empty(0, dtype)) for name, dtype in _DTYPES.items()}
        dimension = 0 if embedder is None else embedder.dimension
        columns["codes"] = GrowingArray(np.empty((0, dimension), np.int8))
        self._columns = columns  # complete, because somebody else may be asking for `nbytes`
        self._terms = TermIndex(np.empty(0, np.int64), np.empty(0, np.uint32))
        self._neighbourhood = Neighbourhood()
        self._names: dict[str, int] = {}
        self._removed = 0

    def _is_sparse(self) -> bool:
        return self._removed > _REMOVED + len(self._columns["keys"].view) // 4

    def _apply_changes(self, connection: sqlite3.Connection) -> bool:
        """Close what was superseded and hide what was removed; return whether anything was."""
        keys = self._columns["keys"].view
        last = int(keys[-1]) if len(keys) else 0
        changed = connection.execute(_CHANGED, (self._user, self.state[1], last)).fetchall()
        if not changed:
            return False
        *columns, ended = zip(*changed, strict=True)
        changed_keys, kept, valid_until, expires_at = map(np.array, columns)
        places = np.searchsorted(keys, changed_keys)
        self._columns["valid_until"].replace(places, _ends(valid_until))
        self._columns["outdated"].replace(places, _outdated(connection, changed_keys, ended))
        self._columns["expires_at"].replace(places, np.where(kept, _ends(expires_at), LONG_AGO))
        if len(removed := places[kept == 0]):
            # Without a session, so that its neighbours become each other's.
            self._columns["sessions"].replace(removed, np.full(len(removed), NONE))
            self._neighbourhood.remove(removed, self._columns["sessions"].view, self._vectors)
            self._removed += len(removed)
        return True

    def _append(self, connection: sqlite3.Connection, path: str) -> bool:
        """Read what was stored since; return whether anything was."""
        if not self._user or self._embedder is None:
            return False
        low, high = key_range(self._user)
        known = self._columns["keys"].view
        if len(known):
            low = int(known[-1]) + 1
        stored = connection.execute(_STORED, (low, high)).fetchall()
        if not stored:
            return False
        packed = b"".join(chain.from_iterable(connection.execute(_VECTORS, (low, high))))
        if len(packed) != len(stored) * self._embedder.dimension * 4:
            raise StorageError(f"{path}: vectors are missing; it is damaged, restore it from a backup")
        sessions, agents, turns, valid_until, expires_at, categories, terms, *plain, ended = zip(
            *stored, strict=True
        )
        vectors = QuantisedVectors.of(np.frombuffer(packed, "<f4").reshape(-1, self._embedder.dimension))
        added: dict[str, Any] = {
            **dict(zip(_DTYPES, plain)),  # noqa: B905 - the first few, in the order of the statement
            "codes": vectors.codes,
            "steps": vectors.steps,
            "sessions": self._numbers(sessions),
            "agents": self._numbers(agents),
            "turns": self._numbers(turns),
            "valid_until": _ends(valid_until),
            "expires_at": _ends(expires_at),
            "categories": [CATEGORIES[category] for category in categories],
            "outdated": _outdated(connection, plain[0], ended),
        }
        added["guides"] = _GUIDES[added["categories"]]
        added["said"] = np.array(added["valid_from"]) / 1e6
        is_session, is_agent, is_turn = (added[name] != NONE for name in ("sessions", "agents", "turns"))
        added["levels"] = np.where(is_turn, 3, np.where(is_agent, 2, is_session))
        for name, column in self._columns.items():
            column.extend(np.asarray(added[name], column.view.dtype))
        counts = np.array([len(blob) // 4 for blob in terms])
        self._terms.extend(counts, np.frombuffer(b"".join(terms), "<u4"))
        self._neighbourhood.extend(self._columns["sessions"].view, self._vectors)
        return True

    @property
    def _vectors(self) -> QuantisedVectors:
        return QuantisedVectors(self._columns["codes"].view, self._columns["steps"].view)

    def _numbers(self, names: Iterable[str | None]) -> NDArray[np.int64]:
        known = self._names
        numbers = [NONE if name is None else known.setdefault(name, len(known)) for name in names]
        return np.array(numbers, np.int64)

    def _published(self) -> ReadModel:
        view = {name: column.view for name, column in self._columns.items()}
        terms = copy.copy(self._terms)  # adding to it replaces its arrays, so the copy stays as it is
        return ReadModel(
            origin=self._origin,
            user=self._user,
            embedder=self._embedder,
            index=self._index,
            columns=Columns(
                vectors=QuantisedVectors(view.pop("codes"), view.pop("steps")),
                **{name: view.pop(name) for name in _EVIDENCE},
                terms=terms,
                previous=self._neighbourhood.previous,
                following=self._neighbourhood.following,
                kinship=self._neighbourhood.kinship,
            ),
            removed=self._removed,
            names=self._names,
            **view,
        )


def _ends(times: Iterable[int | None]) -> NDArray[np.int64]:
    return np.array([ALWAYS if time is None else time for time in times], np.int64)


def _outdated(
    connection: sqlite3.Connection, keys: Iterable[int], ended: Sequence[int | None]
) -> NDArray[np.bool_]:
    """Which have a later version that held when it was stored; `ended`: chains of what was superseded."""
    last = rows.last_held(connection, {chain for chain in ended if chain is not None})
    if not last:
        return np.zeros(len(ended), np.bool_)
    return np.array([key < last.get(chain or 0, 0) for key, chain in zip(keys, ended, strict=True)])
