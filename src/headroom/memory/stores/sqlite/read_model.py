"""One user's memories as arrays, as of one moment: what a recall reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

# np.unique would import this at its first call: a fork in the middle of that leaves a child with half of it.
import numpy.ma
from numpy.typing import NDArray

from headroom.memory import evidence
from headroom.memory.evidence import Columns, Query
from headroom.memory.model import MemoryCategory
from headroom.memory.ranking import Flags, Rows
from headroom.memory.stores.base import Candidates, RecallRequest
from headroom.memory.stores.sqlite.hnsw import HnswIndex
from headroom.memory.stores.sqlite.reembedding import Embedder
from headroom.memory.stores.sqlite.rows import microseconds

ALWAYS: Final = np.iinfo(np.int64).max
"""The end of what has no end."""
LONG_AGO: Final = np.iinfo(np.int64).min
"""When a removed memory expired: before anything that is asked for."""
NONE: Final = -1
"""In place of a session, agent or turn, where a memory names none."""

CATEGORIES: Final[Mapping[str, int]] = {category: number for number, category in enumerate(MemoryCategory)}


@dataclass(frozen=True, kw_only=True)
class ReadModel:
    """Arrays with one row per version of a memory, in the order of storing; nothing in them ever changes.

    Names of sessions, agents and turns are numbers here, and times are microseconds since 1970 UTC.
    """

    origin: object
    """What it shares with earlier models whose keys mean the same: of one user, embedder and database."""
    user: int
    """The user's number; 0 where there are no memories of the user's."""
    embedder: Embedder | None
    """What made the vectors; None while there are none, whoever's."""
    index: HnswIndex | None
    """None where each query is compared with all vectors, which is the fastest up to tens of thousands."""
    keys: NDArray[np.int64]
    columns: Columns
    agents: NDArray[np.int64]
    turns: NDArray[np.int64]
    categories: NDArray[np.int8]
    valid_from: NDArray[np.int64]
    valid_until: NDArray[np.int64]
    expires_at: NDArray[np.int64]
    held: NDArray[np.bool_]
    """Which held when they were stored."""
    outdated: NDArray[np.bool_]
    """Which have a later version that held when it was stored."""
    removed: int
    """How many rows are of memories that were removed since."""
    names: Mapping[str, int]
    """The number of each name."""

    def candidates(self, request: RecallRequest) -> Candidates:
        """What may answer the request, and what speaks for each."""
        query = Query.of(request.text, request.vector, request.now)
        columns, visible = self.columns, self.visible(request)
        seeds = max(evidence.SEEDS, request.top_k)
        nearest = None
        if self.index is not None:
            nearest = self.index.nearest(request.vector, self.keys, columns.vectors, visible, seeds)
        rows, found = evidence.gather(query, columns, visible, nearest, seeds)
        return Candidates(self.keys[rows], found)

    def visible(self, request: RecallRequest) -> Flags:
        """What was true at the request's time, has not expired, may be seen from its scope and is asked for.

        What has expired by now is gone for questions about the past too: housekeeping may have removed it,
        and no answer should depend on whether it did. A clock that was set back hides nothing that was stored
        since, and brings up nothing that was superseded.
        """
        now = microseconds(request.now)
        then = now if request.as_of is None else microseconds(request.as_of)
        visible = self._for_all.copy()
        if len(rows := self._others):
            visible[rows] = self._may_be_seen(rows, then, max(now, then), request)
        if then < (self._latest_planned if request.as_of is None else self._latest):
            begun = self.valid_from <= then
            visible &= begun | self.held if request.as_of is None else begun
        if request.categories is not None:
            visible &= np.isin(self.categories, [CATEGORIES[category] for category in request.categories])
        return visible

    def _may_be_seen(self, rows: Rows, then: int, unexpired: int, request: RecallRequest) -> Flags:
        """Which of the rows have neither ended nor expired, and may be seen from the request's scope."""
        seen: Flags = (self.valid_until[rows] > then) & (self.expires_at[rows] > unexpired)
        if request.as_of is None:
            seen &= ~self.outdated[rows]
        if not request.all_sessions:
            scope = request.scope
            for column, name in (
                (self.columns.sessions, scope.session_id),
                (self.agents, scope.agent_id),
                (self.turns, scope.turn_id),
            ):
                own = NONE if name is None else self.names.get(name, NONE)
                seen &= (column[rows] == NONE) | (column[rows] == own)
        return seen

    @cached_property
    def _for_all(self) -> Flags:
        """Which rows every scope sees, from their beginning on and without end: most rows of most users."""
        no_scope = (self.columns.sessions == NONE) & (self.agents == NONE) & (self.turns == NONE)
        for_all: Flags = no_scope & (self.valid_until == ALWAYS) & (self.expires_at == ALWAYS)
        return for_all

    @cached_property
    def _others(self) -> Rows:
        return np.flatnonzero(~self._for_all)

    @cached_property
    def _latest(self) -> int:
        """When the last of them began to be true."""
        return int(self.valid_from.max(initial=LONG_AGO))

    @cached_property
    def _latest_planned(self) -> int:
        """The same of those that the clock has to begin."""
        return int(self.valid_from.max(initial=LONG_AGO, where=~self.held))
