"""Vectors in a quarter of their RAM, and a quarter of the time to compare a query with them.

Scalar quantisation: each vector's numbers become whole ones, the largest of them 127 or -127. A cosine of two
vectors so kept is off by .0004 at the median and .003 at most (100,000 vectors of 384 dimensions); the 8-bit
weights of the bundled model alone move it by .01. The database keeps the vectors as they were.
"""

from dataclasses import dataclass
from typing import Final, Self

import numkong
import numpy as np
from numpy.typing import NDArray

from headroom.memory.ranking import Floats, Rows

_LARGEST: Final = 127


@dataclass(frozen=True, slots=True)
class QuantisedVectors:
    """n vectors of d dimensions."""

    codes: NDArray[np.int8]
    """Shape (n, d)."""
    steps: Floats
    """What a code of 1 stands for in each vector, so that its length is one; shape (n,)."""

    @classmethod
    def of(cls, vectors: Floats) -> Self:
        """Quantise vectors, shape (n, d). Only their directions are kept; a vector of zeros stays one."""
        largest = np.abs(vectors).max(axis=1, initial=1e-9, keepdims=True)
        codes = np.rint(vectors * (_LARGEST / largest))
        lengths = np.sqrt(np.vecdot(codes, codes))
        return cls(codes.astype(np.int8), 1 / np.maximum(lengths, 1))

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, rows: Rows | slice) -> Self:
        return type(self)(self.codes[rows], self.steps[rows])

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return int(self.codes.shape[1])

    def cosines(self, query: Floats) -> Floats:
        """With a query's unit vector of shape (d,); shape (n,)."""
        if not len(self):  # no vector has said yet how long they are
            return np.zeros(0, np.float32)
        asked = self.of(query[np.newaxis])
        # Not numpy, which has no fast product of whole numbers; nor BLAS, which waits for all its threads:
        # where other work holds a core (a web worker's neighbours, say), that takes 8 ms for 10,000 rows.
        products = numkong.cdist(asked.codes, self.codes, metric="dot", out_dtype="float32")
        cosines: Floats = np.asarray(products)[0]
        cosines *= self.steps
        cosines *= asked.steps
        return cosines

    def restored(self) -> Floats:
        """The vectors, nearly as they were, shape (n, d)."""
        return self.codes * self.steps[:, np.newaxis]
