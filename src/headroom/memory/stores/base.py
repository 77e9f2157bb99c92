"""What a store does for the engine: keep memories with their vectors, and find candidates for a recall."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from headroom.memory.filters import MemoryFilter
from headroom.memory.model import Memory, MemoryCategory
from headroom.memory.ranking import CandidateEvidence
from headroom.scope import Scope

Vectors = NDArray[np.float32]
"""Unit vectors, one row per text: shape (n, dimension)."""

Vector = NDArray[np.float32]
"""Unit vector, shape (dimension,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallRequest:
    """What is looked for, and from where."""

    scope: Scope
    """Only what is visible from here (see `Memory.visible_from`)."""
    vector: Vector
    """The query's."""
    text: str
    now: datetime
    """What is true and unexpired at this time."""
    categories: frozenset[MemoryCategory] | None = None
    all_sessions: bool = False
    """Also what the user's other sessions, their agents and turns included, kept to themselves."""
    as_of: datetime | None = None
    """What was true then, rather than now; what has expired by now is not found either way."""
    top_k: int = 1
    """How many are wanted: no fewer are candidates, if there are as many."""


class Candidates(NamedTuple):
    """The memories worth ranking, with the evidence for each."""

    keys: NDArray[np.int64]
    """The store's own name of each candidate, shape (m,); `MemoryStore.load` takes them."""
    evidence: CandidateEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How much a store keeps, whoever's it is; what has expired does not count."""

    users: int
    """How many users have current memories."""
    by_category: Mapping[MemoryCategory, int]
    """How many current memories there are; categories without are missing."""
    superseded: int
    """How many earlier versions."""


class MemoryStore(Protocol):
    """Keeps memories. Safe for many threads and processes at once; each write is one transaction.

    A store is opened for one embedder: `SqliteStore(config, embedder_name)`. Where another one made the
    vectors that are stored, the texts can be read, removed and embedded anew, but not searched or added to.

    A memory is true at a time t if `valid_from <= t`, and `t < valid_until` where it has such an end. It has
    expired at t if `expires_at <= t`. For questions about now, what held when it was stored (`valid_from <=
    created_at`) has begun and ended the versions before it, whatever a clock says that was set back since.

    Raises:
        StorageError: from every method, when the database cannot be read or written.
        ClosedError: from every method, after `close`.
        EmbedderMismatchError: from `add`, `supersede`, `restore` and `candidates`, when another embedder made
            the stored vectors, or made them in another dimension.
        OverloadedError: from `candidates`, when too many wait for their turn already; from it and `load`,
            when the caller's patience is over before its turn comes.
    """

    def add(self, memories: Sequence[Memory], vectors: Vectors) -> list[Memory]:
        """Store memories that are not stored yet and return, for each, the one that is stored now.

        Where the very same scope already holds a current, unexpired memory with the same text (see
        `headroom.memory.lexical.normalised`) that does not hold only later, nothing is stored and that one is
        returned. It expires no earlier than the new one would have: who was told that something is remembered
        can rely on it.

        Raises:
            InvalidInputError: a memory has an id that is taken, or text that cannot be stored.
        """

    def supersede(self, memory_id: str, successor: Memory, vector: Vector) -> Memory:
        """Close the version `memory_id` at `successor.valid_from` and store `successor` in its place.

        Nothing else is compared: `successor` is stored whatever its text.

        Raises:
            InvalidInputError: `successor` belongs to another user, or cannot be stored.
            MemoryNotFoundError: there is no such memory.
            MemorySupersededError: it is not the current version.
        """

    def get(self, memory_id: str) -> Memory | None:
        """The version with this id, current or not, expired or not; None if there is none."""

    def query(self, where: MemoryFilter, now: datetime) -> list[Memory]:
        """The memories that meet every condition, in the order and within the limits asked for."""

    def count(self, where: MemoryFilter, now: datetime) -> int:
        """How many memories meet every condition, whatever its limits."""

    def count_by_category(self, where: MemoryFilter, now: datetime) -> Mapping[MemoryCategory, int]:
        """The same by category; categories without memories are missing."""

    def totals(self, now: datetime) -> Totals:
        """Figures about everybody's memories; they take a look at each of them."""

    def history(self, memory_id: str) -> list[Memory]:
        """All versions of the memory that `memory_id` is a version of, oldest first; empty for none."""

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

    def candidates_of_each(self, requests: Sequence[RecallRequest]) -> list[Candidates]:
        """`candidates` of requests of one user, at least one, all from the same state of the store."""

    def load(self, keys: Sequence[int]) -> Mapping[int, Memory]:
        """The memories behind candidates' keys; those removed meanwhile are missing."""

    def dump(self, user_id: str | None = None) -> Iterator[Memory]:
        """Every version of every memory (of one user), user by user, each user's in the order of storing.

        A user's memories are those of one moment, so chains are whole; the users may be of different moments.
        """

    def restore(self, memories: Sequence[Memory], vectors: Vectors) -> int:
        """Store dumped memories as they are, history included, in their order; return how many are new.

        Left out are ids that are taken, and versions that do not continue a chain here: whose predecessor is
        missing, of another scope, or was superseded by another one. So a chain has one current version and
        one scope, whatever is restored.
        """

    def embedder_name(self) -> tuple[str, int] | None:
        """The name and dimension of the embedder that made the vectors; None while there are none."""

    def count_unembedded(self, dimension: int) -> int:
        """How many vectors this store's embedder, of that dimension, has yet to make; 0 if none."""

    def unembedded(self, dimension: int, limit: int) -> list[tuple[int, str]]:
        """Key and content of up to `limit` memories whose vectors another embedder made, for `reembed`."""

    def reembed(self, keys: Sequence[int], vectors: Vectors, *, begun: bool = False) -> None:
        """Store new vectors for what `unembedded` returned, as one step of re-embedding the whole store.

        ::

            while batch := store.unembedded(embedder.dimension, 64):
                vectors = embedder.embed([content for _, content in batch])
                store.reembed([key for key, _ in batch], vectors)

        They lie beside the old ones, which stay in use (by whoever opened the store with the old embedder)
        until the last one is there: that call switches to the new ones, in its own transaction. Who is
        stopped half-way starts again with the same loop, and nothing is embedded twice.

        Args:
            keys: What was embedded.
            vectors: Its vectors.
            begun: Whether this is no first step: then it does not take the place of another embedder, which
                began later.

        Raises:
            StorageError: another embedder did begin since this one has.
        """

    def size(self) -> int:
        """How many bytes the database takes on the disk."""

    def vacuum(self, now: datetime) -> int:
        """Remove the memories whose current version has expired, and every trace of what was removed before.

        It may run at any time beside other threads and processes.

        Returns:
            How many versions went.
        """

    def close(self) -> None:
        """Release the files; closing twice is fine."""
