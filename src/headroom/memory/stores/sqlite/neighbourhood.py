"""Which rows stand next to each other in their sessions, kept up to date as rows come and go."""

import numpy as np
from numpy.typing import NDArray

from headroom.memory import evidence
from headroom.memory.quantisation import QuantisedVectors
from headroom.memory.ranking import Floats, Rows
from headroom.memory.stores.sqlite.growing import GrowingArray


class Neighbourhood:
    """The columns `previous`, `following` and `kinship` of `evidence.Columns`.

    Rows are joined to what is there: finding all neighbours anew takes 6 ms for 100,000 rows.
    """

    def __init__(self) -> None:
        self._previous = GrowingArray(np.empty(0, np.intp))
        self._following = GrowingArray(np.empty(0, np.intp))
        self.kinship: Floats = np.empty((2, 0), np.float32)

    @property
    def previous(self) -> Rows:
        """See `evidence.Columns`."""
        return self._previous.view

    @property
    def following(self) -> Rows:
        """See `evidence.Columns`."""
        return self._following.view

    @property
    def nbytes(self) -> int:
        """How many bytes it takes."""
        return self._previous.nbytes + self._following.nbytes + self.kinship.nbytes

    def extend(self, sessions: NDArray[np.int64], vectors: QuantisedVectors) -> None:
        """Join the rows that are new to those before them in their sessions; both columns are of all rows."""
        size = len(self.previous)
        ends = np.flatnonzero((self.following < 0) & (sessions[:size] >= 0))
        goes_on = np.zeros(int(sessions.max()) + 2, np.bool_)  # the last one stands for the -1 of no session
        goes_on[sessions[size:]] = True
        ends = ends[goes_on[sessions[ends]]]
        rows = np.concatenate((ends, np.arange(size, len(sessions))))
        previous, following = (
            np.where(places < 0, -1, rows[places]) for places in evidence.neighbours(sessions[rows])
        )
        if len(ends):
            self._following.replace(ends, following[: len(ends)])
        self._previous.extend(previous[len(ends) :])
        self._following.extend(following[len(ends) :])
        self._measure(vectors)

    def remove(self, removed: Rows, sessions: NDArray[np.int64], vectors: QuantisedVectors) -> None:
        """Let the neighbours of rows that belong to no session any more stand next to each other."""
        previous, following = evidence.neighbours(sessions)
        self._previous, self._following = GrowingArray(previous), GrowingArray(following)
        self.kinship = self.kinship[:, : removed.min()]  # who came before is as it was
        self._measure(vectors)

    def _measure(self, vectors: QuantisedVectors) -> None:
        new = evidence.kinship(vectors, self.previous, start=self.kinship.shape[1])
        self.kinship = np.concatenate((self.kinship, new), axis=1)
