"""The embedded store: one SQLite file, and read models of the active users in RAM."""

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from headroom.errors import StorageError
from headroom.memory.config import MemoryConfig
from headroom.memory.cores import available_cores
from headroom.memory.filters import MemoryFilter
from headroom.memory.gate import Gate
from headroom.memory.model import Memory, MemoryCategory
from headroom.memory.per_process import PerProcess
from headroom.memory.stores.base import Candidates, RecallRequest, Totals, Vector, Vectors
from headroom.memory.stores.sqlite import filtering, housekeeping, reembedding, rows, writing
from headroom.memory.stores.sqlite.connections import ConnectionPool
from headroom.memory.stores.sqlite.partitions import Partitions
from headroom.memory.stores.sqlite.reembedding import Embedder
from headroom.memory.stores.sqlite.schema import NUMBER_BITS, key_range
from headroom.memory.stores.sqlite.snapshots import Snapshots


class SqliteStore:
    """A `MemoryStore` in one file, for any number of threads and processes; see the protocol for its methods.

    Close it when done: until then the write-ahead log lies beside the file.

    Raises:
        StorageError: the file cannot be opened, or is not ours.
        SchemaVersionError: a newer Headroom wrote it.
    """

    def __init__(self, config: MemoryConfig, embedder_name: str) -> None:
        self._closed = True  # until there is something to close
        self._embedder_name: Final = embedder_name
        self._pool: Final = ConnectionPool(os.fspath(config.db_path), config.durability)
        self._snapshots: Final = Snapshots(self._pool)
        self._partitions: Final = Partitions(self._pool, self._snapshots, config)
        # Searching is Python and numpy in small steps, and after each, threads fight over who takes the next:
        # 16 threads that embed and recall get 500 recalls done in a second without this, 730 with it.
        self._gate: Final = PerProcess(lambda: Gate(available_cores(), config.max_pending, "the memory"))
        self._closed = False

    def close(self) -> None:
        """Let go of the file; closing twice is fine."""
        if not self._closed:
            self._closed = True
            try:
                self._partitions.close()
            finally:
                self._pool.close()

    def __del__(self) -> None:
        if not self._closed:
            warnings.warn(f"unclosed memory in {self._pool.path}", ResourceWarning, stacklevel=2, source=self)
            self.close()

    # Writing

    def add(self, memories: Sequence[Memory], vectors: Vectors) -> list[Memory]:
        """See `MemoryStore.add`."""
        drafts = writing.drafts(memories, vectors)
        with self._pool.writing() as connection:
            reembedding.require(connection, self._embedder(vectors))
            return writing.add(connection, drafts)

    def supersede(self, memory_id: str, successor: Memory, vector: Vector) -> Memory:
        """See `MemoryStore.supersede`."""
        successor = replace(successor, supersedes=memory_id)
        [draft] = writing.drafts([successor], vector[None])
        with self._pool.writing() as connection:
            reembedding.require(connection, self._embedder(vector))
            writing.supersede(connection, memory_id, draft)
        return successor

    def restore(self, memories: Sequence[Memory], vectors: Vectors) -> int:
        """See `MemoryStore.restore`."""
        drafts = writing.drafts(memories, vectors)
        with self._pool.writing() as connection:
            reembedding.require(connection, self._embedder(vectors))
            return writing.restore(connection, drafts)

    def delete(self, memory_ids: Sequence[str]) -> int:
        """See `MemoryStore.delete`."""
        with self._pool.writing() as connection:
            users = {
                key >> NUMBER_BITS
                for memory_id in memory_ids
                for (key,) in connection.execute("SELECT key FROM memories WHERE id = ?", (memory_id,))
            }
            removed = writing.delete(connection, memory_ids)
        for user in users:
            self._snapshots.remove(user)  # the vectors are in it
        return removed

    def clear(
        self,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        turn_id: str | None = None,
    ) -> int:
        """See `MemoryStore.clear`."""
        with self._pool.writing() as connection:
            user = rows.find_user(connection, user_id)
            if user is None:
                return 0
            removed = writing.clear(connection, user, session_id, agent_id, turn_id)
        if removed:
            self._snapshots.remove(user)
        return removed

    # Reading

    def get(self, memory_id: str) -> Memory | None:
        """See `MemoryStore.get`."""
        with self._pool.connection() as connection:
            row = connection.execute(f"{rows.SELECT} WHERE id = ?", (memory_id,)).fetchone()
        return None if row is None else rows.to_memory(row)

    def query(self, where: MemoryFilter, now: datetime) -> list[Memory]:
        """See `MemoryStore.query`."""
        with self._pool.reading() as connection:
            user = rows.find_user(connection, where.user_id)
            if user is None:
                return []
            condition, values = filtering.condition(where, user, now)
            order, limits = filtering.order(where)
            found = connection.execute(f"{rows.SELECT} WHERE {condition} {order}", values + limits).fetchall()
        return list(map(rows.to_memory, found))

    def count(self, where: MemoryFilter, now: datetime) -> int:
        """See `MemoryStore.count`."""
        return sum(self.count_by_category(where, now).values())

    def count_by_category(self, where: MemoryFilter, now: datetime) -> Mapping[MemoryCategory, int]:
        """See `MemoryStore.count_by_category`."""
        with self._pool.reading() as connection:
            user = rows.find_user(connection, where.user_id)
            if user is None:
                return {}
            condition, values = filtering.condition(where, user, now)
            counts = connection.execute(
                f"SELECT category, count(*) FROM memories WHERE {condition} GROUP BY category", values
            ).fetchall()
        return {MemoryCategory(category): count for category, count in counts}

    def totals(self, now: datetime) -> Totals:
        """See `MemoryStore.totals`."""
        unexpired = "FROM memories WHERE (expires_at IS NULL OR expires_at > ?)"
        current = f"{unexpired} AND superseded_by IS NULL"
        values = (rows.microseconds(now),)
        with self._pool.reading() as connection:
            (users,) = connection.execute(
                f"SELECT count(DISTINCT key >> {NUMBER_BITS}) {current}", values
            ).fetchone()
            counts = connection.execute(
                f"SELECT category, count(*) {current} GROUP BY category", values
            ).fetchall()
            (superseded,) = connection.execute(
                f"SELECT count(*) {unexpired} AND superseded_by IS NOT NULL", values
            ).fetchone()
        by_category = {MemoryCategory(category): count for category, count in counts}
        return Totals(users=users, by_category=by_category, superseded=superseded)

    def history(self, memory_id: str) -> list[Memory]:
        """See `MemoryStore.history`."""
        with self._pool.connection() as connection:
            first = "(SELECT coalesce(chain, key) FROM memories WHERE id = :id)"
            found = connection.execute(
                f"{rows.SELECT} WHERE key = {first} OR chain = {first} ORDER BY key", {"id": memory_id}
            ).fetchall()
        return list(map(rows.to_memory, found))

    def candidates(self, request: RecallRequest) -> Candidates:
        """See `MemoryStore.candidates`."""
        return self.candidates_of_each([request])[0]

    def candidates_of_each(self, requests: Sequence[RecallRequest]) -> list[Candidates]:
        """See `MemoryStore.candidates_of_each`."""
        first = requests[0]
        model = self._partitions.read(first.scope.require_user(), self._embedder(first.vector))
        with self._gate.get().passed():
            return list(map(model.candidates, requests))

    def load(self, keys: Sequence[int]) -> dict[int, Memory]:
        """See `MemoryStore.load`."""
        wanted = (json.dumps([int(key) for key in keys]),)
        with self._gate.get().passed(returning=True), self._pool.connection() as connection:
            found = connection.execute(rows.SELECT_BY_KEYS, wanted).fetchall()
            return {key: rows.to_memory(row) for key, *row in found}

    def dump(self, user_id: str | None = None) -> Iterator[Memory]:
        """See `MemoryStore.dump`. Between two users no transaction is open, so the dump may take its time."""
        with self._pool.connection() as connection:
            users = connection.execute(
                "SELECT user FROM users WHERE name = ? OR ? IS NULL ORDER BY user", (user_id, user_id)
            ).fetchall()
        for (user,) in users:
            with self._pool.connection() as connection:
                found = connection.execute(
                    f"{rows.SELECT} WHERE key BETWEEN ? AND ? ORDER BY key", key_range(user)
                ).fetchall()
            yield from map(rows.to_memory, found)

    # The embedder

    def embedder_name(self) -> tuple[str, int] | None:
        """See `MemoryStore.embedder_name`."""
        with self._pool.reading() as connection:
            return reembedding.in_use(connection)

    def count_unembedded(self, dimension: int) -> int:
        """See `MemoryStore.count_unembedded`."""
        with self._pool.reading() as connection:
            return reembedding.count_missing(connection, Embedder(self._embedder_name, dimension))

    def unembedded(self, dimension: int, limit: int) -> list[tuple[int, str]]:
        """See `MemoryStore.unembedded`."""
        with self._pool.reading() as connection:
            return reembedding.missing(connection, Embedder(self._embedder_name, dimension), limit)

    def reembed(self, keys: Sequence[int], vectors: Vectors, *, begun: bool = False) -> None:
        """See `MemoryStore.reembed`."""
        with self._pool.writing() as connection:
            switched = reembedding.add(connection, self._embedder(vectors), keys, vectors, begun=begun)
        if switched:
            self._snapshots.remove_all()

    def _embedder(self, vectors: Vector | Vectors) -> Embedder:
        return Embedder(self._embedder_name, vectors.shape[-1])

    # Housekeeping

    def size(self) -> int:
        """See `MemoryStore.size`; the write-ahead log counts."""
        path = os.path.realpath(self._pool.path)  # the log lies where a link leads
        try:
            with self._pool.connection():
                return sum(Path(path + suffix).stat().st_size for suffix in ("", "-wal"))
        except OSError as error:
            raise StorageError(
                f"{error.filename}: it was moved or removed while in use ({error.strerror}); "
                "close the memory, and open it again"
            ) from error

    def vacuum(self, now: datetime) -> int:
        """See `MemoryStore.vacuum`."""
        removed = housekeeping.remove_expired(self._pool, now)
        housekeeping.forget_empty_users(self._pool)
        housekeeping.forget_changes(self._pool)
        self._snapshots.forget_removed()
        housekeeping.compact(self._pool)
        return removed
