"""What a store does for the engine: keep memories with their vectors, and find candidates for a recall."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from headroom.memory.filters import MemoryFilter
from headroom.memory.model import Memory, MemoryCategory
from headroom.memory.ranking import CandidateEvidence
from headroom.scope import Scope

Vectors = NDArray[np.float32]
"""Unit vectors, one row per text: shape (n, dimension)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallRequest:
    """What is looked for, and from where."""

    scope: Scope
    """Only what is visible from here (see `Memory.visible_from`)."""
    vector: Vectors
    """The query's unit vector, shape (dimension,)."""
    text: str
    now: datetime
    """What is current and unexpired at this time."""
    categories: frozenset[MemoryCategory] | None = None
    all_sessions: bool = False
    """Also what the user's other sessions, their agents and turns included, kept to themselves."""
    as_of: datetime | None = None
    """What was current then, rather than now."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The memories worth ranking, with the evidence for each."""

    keys: NDArray[np.int64]
    """The store's own name of each candidate, shape (m,); `MemoryStore.load` takes them."""
    evidence: CandidateEvidence
    vectors: Vectors
    """Their unit vectors, shape (m, dimension)."""


class MemoryStore(Protocol):
    """Keeps memories. Safe for many threads and processes at once; each call is one transaction.

    Raises:
        StorageError: from every method, when the database cannot be read or written.
        ClosedError: from every method, after `close`.
    """

    def add(self, memories: Sequence[Memory], vectors: Vectors) -> list[Memory]:
        """Store memories that are not stored yet and return, for each, the one that is stored now.

        Where the very same scope already holds a current memory with the same text (case, white space and final
        punctuation aside), nothing is stored and that one is returned.
        """

    def supersede(self, memory_id: str, successor: Memory, vector: Vectors) -> Memory:
        """Close the version `memory_id` at `successor.valid_from` and store `successor` in its place.

        Raises:
            MemoryNotFoundError: there is no such memory.
            MemorySupersededError: it is not the current version.
        """

    def get(self, memory_id: str) -> Memory | None: ...

    def query(self, where: MemoryFilter, now: datetime) -> list[Memory]: ...

    def count(self, where: MemoryFilter, now: datetime) -> int: ...

    def count_by_category(self, where: MemoryFilter, now: datetime) -> Mapping[MemoryCategory, int]: ...

    def history(self, memory_id: str) -> list[Memory]:
        """All versions of the memory that `memory_id` is a version of, oldest first; empty if there is none."""

    def delete(self, memory_ids: Sequence[str]) -> int:
        """Remove these memories with all their versions; return how many versions that were."""

    def clear(
        self,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
    ) -> int:
        """Remove the memories (all versions) that name each of the given parts; return how many."""

    def candidates(self, request: RecallRequest) -> Candidates:
        """What may answer the request: everything worth ranking, nothing outside its scope and time."""

    def load(self, keys: Sequence[int]) -> list[Memory]:
        """The memories behind candidates' keys, in that order; those removed meanwhile are left out."""

    def dump(self, user_id: str | None = None) -> Iterator[tuple[Memory, Vectors]]:
        """Every version of every memory (of one user), in the order of storing, each with its vector."""

    def restore(self, memories: Sequence[Memory], vectors: Vectors) -> int:
        """Store dumped memories as they are, history included; skip ids that are there. Return how many are new."""

    def embedder_name(self) -> tuple[str, int] | None:
        """The name and dimension of the embedder that made the vectors; None while there are none."""

    def reembed(self, embedder_name: str, memory_ids: Sequence[str], vectors: Vectors) -> None:
        """Replace vectors, as one step of re-embedding the whole store; see the store's documentation."""

    def vacuum(self, now: datetime) -> int:
        """Remove what has expired, give the space back, and return how many memories went."""

    def close(self) -> None: ...
