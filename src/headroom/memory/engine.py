"""The engine: checks what comes in, embeds it, and has the store keep it and the ranking order it.

Every operation is one transaction of the store's, so it happened whole or not at all; embedding, the slow
part, happens before and outside of it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from headroom.errors import (
    ClosedError,
    ConfigurationError,
    InvalidInputError,
    MemoryNotFoundError,
    MemorySupersededError,
)
from headroom.memory import drafts, patience, recall, transfer
from headroom.memory.config import MemoryConfig
from headroom.memory.drafts import NewMemory
from headroom.memory.embedders import create_embedder
from headroom.memory.filters import (
    MemoryFilter,
    MemoryOrder,
    as_categories,
    check_importance,
    check_time,
    check_whole,
)
from headroom.memory.model import Memory, MemoryCategory, ScopeLevel
from headroom.memory.statistics import DatabaseStats, MemoryStats
from headroom.memory.stores.base import RecallRequest, Vectors
from headroom.memory.stores.sqlite import SqliteStore
from headroom.memory.transfer import DumpFile
from headroom.scope import Scope, check_identifier
from headroom.turns import stored_for_turn

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are in all."""

_BATCH: Final = 64


class Engine:
    """Keeps memories in one SQLite file and finds them again; safe to share between threads and across forks.

    Close it when done, or use it in a `with` block. `HierarchicalMemory` is its asynchronous face.

    Raises:
        ConfigurationError: from the constructor, when the configuration cannot work.
        StorageError: from every method, when the database cannot be read or written.
        EmbedderMismatchError: from what adds or searches, when another embedder made the stored vectors;
            `reindex` makes them anew, and everything else works without.
        EmbedderError: from what adds or searches, when the embedder fails.
        OverloadedError: from what adds or searches, when too many wait for the embedder, or to search.
        ClosedError: from every method but `close`, after `close`.
    """

    def __init__(self, config: MemoryConfig | None = None) -> None:
        self.config = MemoryConfig() if config is None else config
        if not isinstance(self.config, MemoryConfig):
            raise ConfigurationError(f"pass a configuration, e.g. MemoryConfig(db_path={config!r})")
        self._closed = False
        self._embedder = create_embedder(self.config)
        self._store = SqliteStore(self.config, self._embedder.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def concurrency(self) -> int:
        """How many calls at once are worth while: as many as the embedder works on, and one beside them."""
        return self._embedder.concurrency + 1

    def close(self) -> None:
        """Release the database and the embedder; closing twice is fine."""
        self._closed = True
        try:
            self._store.close()
        finally:
            self._embedder.close()

    # Storing

    def add(
        self,
        content: str,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
        category: MemoryCategory | str = MemoryCategory.FACT,
        importance: float = 0.5,
        metadata: Mapping[str, Any] | None = None,
        entities: Iterable[str] = (),
        expires_at: datetime | None = None,
        valid_from: datetime | None = None,
    ) -> Memory:
        """Store one memory; when this returns, it is on the disk.

        Where the same scope already has the same text (case, white space and final punctuation aside),
        nothing is stored and the memory that is there is returned; it lasts as long as either would have.

        Args:
            content: What to remember; stripped, and kept in Unicode's composed form (NFC).
            user_id: Whose memory it is.
            session_id: The only session that sees it, if any; it may have a lifetime (see the config's
                `session_lifetime`).
            agent_id: The only agent that sees it, if any.
            turn_id: The only turn that sees it, if any; it goes with the turn, or at `expires_at`, or
                after an hour.
            category: A `MemoryCategory` or its name.
            importance: From 0 (trivial) to 1 (vital).
            metadata: The application's own JSON-compatible data.
            entities: Names of the people, projects and places that it is about.
            expires_at: From when on it is to be forgotten.
            valid_from: Since when it is true; None means now.

        Raises:
            InvalidInputError: something of this cannot be stored; the message says what.
        """
        memory = drafts.new_memory(
            content,
            user_id,
            session_id,
            agent_id,
            turn_id,
            category,
            importance,
            metadata,
            entities,
            expires_at,
            valid_from,
            now=_now(),
            max_content_length=self.config.max_content_length,
            session_lifetime=self.config.session_lifetime,
        )
        return self._add([memory])[0]

    def add_many(self, items: Iterable[NewMemory]) -> list[Memory]:
        """Store many memories at once, each given as a mapping of `add`'s arguments: all of them, or none.

        Returns:
            For each item the memory that is stored now, in the items' order.

        Raises:
            InvalidInputError: an item cannot be stored; the message gives its place (from 0).
        """
        memories = drafts.new_memories(
            items,
            now=_now(),
            max_content_length=self.config.max_content_length,
            session_lifetime=self.config.session_lifetime,
        )
        return self._add(memories) if memories else []

    def supersede(
        self,
        old_memory_id: str,
        new_content: str,
        *,
        category: MemoryCategory | str | None = None,
        importance: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        entities: Iterable[str] | None = None,
        expires_at: datetime | None = None,
        valid_from: datetime | None = None,
    ) -> Memory:
        """Put a new version in the place of a memory, which becomes history; the new version is returned.

        The scope stays, and what is None stays as it was; but for `valid_from`, the moment at which the one
        version ends and the other begins, None means now.

        Raises:
            InvalidInputError: something of this cannot be stored; the message says what.
            MemoryNotFoundError: there is no such memory.
            MemorySupersededError: it is history already; the error names the current version.
        """
        old = self._require(old_memory_id)
        memory = drafts.successor(
            old,
            new_content,
            category,
            importance,
            metadata,
            entities,
            expires_at,
            valid_from,
            now=_now(),
            max_content_length=self.config.max_content_length,
        )
        return self._store.supersede(old.id, memory, self._embed([memory.content])[0])

    def rollback(self, memory_id: str) -> Memory:
        """Make what an earlier version said current again, as a new version on top of the history.

        Scope and expiry stay those of the current version. Where the current version says the same already,
        nothing is stored and it is returned: so a repeated rollback does no harm.

        Raises:
            MemoryNotFoundError: there is no such memory.
        """
        while True:
            history = self.get_history(memory_id)
            current = history[-1]
            wanted = next(version for version in history if version.id == memory_id)
            if drafts.same_substance(current, wanted):
                return current
            try:
                return self.supersede(
                    current.id,
                    wanted.content,
                    category=wanted.category,
                    importance=wanted.importance,
                    metadata=wanted.metadata,
                    entities=wanted.entities,
                )
            except MemorySupersededError:
                continue  # somebody was faster: roll back on top of theirs

    # Reading

    def get(self, memory_id: str) -> Memory | None:
        """The version with this id, current or not; None where there is none, or it has expired."""
        memory = self._store.get(_check_id(memory_id))
        return None if memory is None or _has_expired(memory) else memory

    def get_history(self, memory_id: str) -> list[Memory]:
        """All versions of the memory that `memory_id` is a version of, oldest first.

        Raises:
            MemoryNotFoundError: there is no such memory.
        """
        history = self._store.history(_check_id(memory_id))
        if not history or _has_expired(history[-1]):
            raise MemoryNotFoundError(memory_id)
        return history

    def query(self, where: MemoryFilter) -> list[Memory]:
        """The memories that meet every condition of `where`, in its order."""
        if not isinstance(where, MemoryFilter):
            raise InvalidInputError(f"pass a filter, e.g. MemoryFilter(user_id={where!r})")
        return self._store.query(where, _now())

    def count(
        self,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
    ) -> int:
        """How many current memories name each of the given parts.

        Raises:
            InvalidScopeError: an identifier that cannot be.
        """
        where = MemoryFilter(user_id=user_id, session_id=session_id, agent_id=agent_id, turn_id=turn_id)
        return self._store.count(where, _now())

    def stats(self, user_id: str, session_id: str | None = None, agent_id: str | None = None) -> MemoryStats:
        """Figures about the memories that name each of the given parts.

        Raises:
            InvalidScopeError: an identifier that cannot be.
        """
        now = _now()

        def where(**conditions: Any) -> MemoryFilter:
            return MemoryFilter(user_id=user_id, session_id=session_id, agent_id=agent_id, **conditions)

        by_category = self._store.count_by_category(where(), now)
        total = sum(by_category.values())
        first = self._store.query(where(order=MemoryOrder.OLDEST, limit=1), now)
        last = self._store.query(where(order=MemoryOrder.NEWEST, limit=1), now)
        return {
            "total": total,
            "superseded": self._store.count(where(include_superseded=True), now) - total,
            "categories": {str(category): by_category.get(category, 0) for category in MemoryCategory},
            "levels": {str(level): self._store.count(where(levels=[level]), now) for level in ScopeLevel},
            "oldest": first[0].created_at if first else None,
            "newest": last[0].created_at if last else None,
            "database_bytes": self._store.size(),
        }

    def overview(self) -> DatabaseStats:
        """Figures about the whole database, for who runs it; they take a look at every memory."""
        totals = self._store.totals(_now())
        embedder, dimension = self._store.embedder_name() or (None, None)
        return {
            "users": totals.users,
            "total": sum(totals.by_category.values()),
            "superseded": totals.superseded,
            "categories": {str(category): totals.by_category.get(category, 0) for category in MemoryCategory},
            "database_bytes": self._store.size(),
            "embedder": embedder,
            "dimension": dimension,
        }

    def search(
        self,
        query: str,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
        *,
        top_k: int | None = None,
        min_score: float | None = None,
        categories: Collection[MemoryCategory | str] | None = None,
        all_sessions: bool = False,
        as_of: datetime | None = None,
    ) -> list[Memory]:
        """The memories that fit the query best, best first, each with its `score`; no statement twice.

        The score says how well a memory fits by itself, and is what `min_score` is compared with. The order
        also weighs what was said beside it, and when; so a later one may have a higher score.

        Args:
            query: Any text. Of a very long one, the last 1,000 characters count, and its first sentence.
            user_id: Whose memories.
            session_id: Also what this session keeps to itself.
            agent_id: Also what this agent keeps to itself.
            turn_id: Also what this turn keeps to itself.
            top_k: At most how many; None takes the config's.
            min_score: From which score on, 0 to 1; None takes the config's.
            categories: Only these.
            all_sessions: Also what the user's sessions, their agents and turns, keep to themselves: for
                archives, never for a prompt.
            as_of: What was current then, rather than now.

        Raises:
            InvalidInputError: a blank query, an impossible identifier, category, number or time.
        """
        texts = recall.check_query(query)
        count = self.config.top_k if top_k is None else check_whole(top_k, "top_k", 1)
        threshold = self.config.min_score if min_score is None else check_importance(min_score, "min_score")
        scope = Scope(check_identifier(user_id, "user_id"), session_id, agent_id, turn_id)
        wanted = None if categories is None else as_categories(categories)
        then = None if as_of is None else check_time(as_of, "as_of")
        vectors, now = self._embed_queries(texts), _now()
        requests = [
            RecallRequest(
                scope=scope,
                vector=vector,
                text=text,
                now=now,
                categories=wanted,
                all_sessions=all_sessions,
                as_of=then,
                top_k=count,
            )
            for text, vector in zip(texts, vectors, strict=True)
        ]
        return recall.recall(self._store, requests, threshold)

    # Removing

    def delete(self, memory_id: str) -> bool:
        """Remove a memory with all its versions; return whether there was one."""
        return self._store.delete([_check_id(memory_id)]) > 0

    def clear(
        self,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
    ) -> int:
        """Remove the memories that name each of the given parts; return how many versions that were.

        With the user alone, that is everything of this user's; with a turn, what the turn kept to itself.

        Raises:
            InvalidScopeError: an identifier that cannot be.
        """
        scope = MemoryFilter(user_id=user_id, session_id=session_id, agent_id=agent_id, turn_id=turn_id)
        return self._store.clear(scope.user_id, session_id, agent_id, turn_id)

    def vacuum(self) -> int:
        """Remove what has expired and give the space back; return how many versions went.

        It may run at any time beside other threads and processes; once a day is plenty.
        """
        return self._store.vacuum(_now())

    # Moving

    def export(self, target: DumpFile, user_id: str | None = None) -> int:
        """Write all memories (of one user), with their history, as JSON lines; return how many versions.

        A file at a path is replaced once the export is complete, and readable by its owner only; a device or
        a pipe is written to. The format is described in `headroom.memory.transfer`.

        Raises:
            InvalidInputError: it would take the place of the database.
            StorageError: it cannot be written there.
        """
        if (
            isinstance(target, str | PathLike)
            and Path(target).resolve() == Path(self.config.db_path).resolve()
        ):
            raise InvalidInputError(f"{target} is the database itself; name another file for the export")
        count = 0
        with transfer.opened_for_writing(target) as file:
            file.write(transfer.header_line(_now()))
            for memory in self._store.dump(user_id):
                file.write(transfer.memory_line(memory))
                count += 1
        return count

    def import_(self, source: DumpFile, progress: Progress | None = None) -> int:
        """Store what `export` wrote: all of it, or nothing; return how many versions are new.

        Ids that are there already are left as they are, so importing twice is importing once. The texts are
        embedded anew, by this engine's embedder.

        Raises:
            InvalidInputError: the file is no export, or a line cannot be stored; the message names the line.
            OSError: the file cannot be read.
        """
        with transfer.opened_for_reading(source) as file:
            memories = transfer.read_dump(file)
        new = [memory for memory in memories if self._store.get(memory.id) is None]
        if not new:
            return 0
        vectors = []
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            vectors.append(self._embed([memory.content for memory in batch]))
            if progress is not None:
                progress(start + len(batch), len(new))
        return self._store.restore(new, np.concatenate(vectors))

    def reindex(self, progress: Progress | None = None) -> int:
        """Make the vectors that another embedder made anew with this one; return how many.

        Until it is done, nothing changes for who uses the old embedder. Stopped half-way, it goes on there.

        Raises:
            StorageError: a third embedder began to do the same meanwhile, too.
        """
        dimension, done = self._embedder.dimension, 0
        total = self._store.count_unembedded(dimension)
        while batch := self._store.unembedded(dimension, _BATCH):
            vectors = self._embed([content for _, content in batch])
            self._store.reembed([key for key, _ in batch], vectors, begun=done > 0)
            done += len(batch)
            if progress is not None:
                progress(done, max(done, total))
        return done

    def _add(self, memories: Sequence[Memory]) -> list[Memory]:
        stored = self._store.add(memories, self._embed([memory.content for memory in memories]))
        for memory in stored:
            if memory.turn_id is not None:
                stored_for_turn(memory.turn_id, memory.user_id, self._clear_turn)
        return stored

    def _clear_turn(self, user_id: str, turn_id: str) -> None:
        """Clear up at the end of a turn; what a locked database keeps from that expires soon anyway."""
        with patience.lasting(patience.LITTLE):
            self.clear(user_id, turn_id=turn_id)

    def _require(self, memory_id: str) -> Memory:
        if (memory := self.get(memory_id)) is None:
            raise MemoryNotFoundError(memory_id)
        return memory

    def _embed(self, texts: Sequence[str]) -> Vectors:
        self._require_open()
        return self._embedder.embed(texts)

    def _embed_queries(self, texts: tuple[str, ...]) -> Vectors:
        self._require_open()
        return self._embedder.embed_queries(texts)

    def _require_open(self) -> None:
        """Fail early: the store would say the same, but only after the embedding."""
        if self._closed:
            raise ClosedError("the memory is closed; open another one")


def _check_id(memory_id: str) -> str:
    if not isinstance(memory_id, str):
        raise InvalidInputError(f"pass the id of a memory, not a {type(memory_id).__name__}; e.g. memory.id")
    return memory_id


def _now() -> datetime:
    return datetime.now(UTC)


def _has_expired(memory: Memory) -> bool:
    return memory.expires_at is not None and memory.expires_at <= _now()
