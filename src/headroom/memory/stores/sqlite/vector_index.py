"""Naming the memories whose vectors are nearest to a query's: one interface, and its exact form."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from headroom.memory.quantisation import QuantisedVectors
from headroom.memory.ranking import Flags, Floats, Rows

Keys = NDArray[np.int64]
"""The keys of all rows, ascending, shape (n,)."""


class VectorIndex(Protocol):
    """Knows which of a user's vectors are near to one another."""

    @property
    def nbytes(self) -> int:
        """How many bytes of RAM it takes."""

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


@dataclass(frozen=True, slots=True)
class ExactIndex:
    """Knows nothing: each query is compared with all vectors. The fastest up to tens of thousands."""

    nbytes: int = 0

    def nearest(
        self,
        query: Floats,  # noqa: ARG002 - of the interface, all of them
        keys: Keys,  # noqa: ARG002
        vectors: QuantisedVectors,  # noqa: ARG002
        visible: Flags,  # noqa: ARG002
        count: int,  # noqa: ARG002
    ) -> Rows | None:
        """See `VectorIndex`."""
        return None
