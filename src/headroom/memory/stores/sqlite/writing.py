"""What is written to the tables, each function within a transaction of its caller's."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from headroom.errors import InvalidInputError, MemoryNotFoundError, MemorySupersededError
from headroom.memory import lexical
from headroom.memory.model import Memory
from headroom.memory.stores.base import Vectors
from headroom.memory.stores.sqlite import rows
from headroom.memory.stores.sqlite.schema import NUMBER_BITS, key_range
from headroom.scope import Scope


class Draft(NamedTuple):
    """A memory made ready for storing, which needs no transaction yet."""

    memory: Memory
    row: tuple[Any, ...]
    vector: bytes


def drafts(memories: Sequence[Memory], vectors: Vectors) -> list[Draft]:
    """Analyse the texts and lay out the vectors, one per memory."""
    return [
        Draft(memory, rows.to_row(memory), vector.tobytes())
        for memory, vector in zip(memories, vectors.astype("<f4"), strict=True)
    ]


def add(connection: sqlite3.Connection, new: Iterable[Draft]) -> list[Memory]:
    """Store each, unless the same is there; return what is stored in the end."""
    stored: list[Memory] = []
    writer = _Writer(connection)
    for draft in new:
        twin = _twin(connection, draft)
        if twin is None:
            writer.insert(draft, chain=None)
            twin = draft.memory
        elif _ends_earlier(twin, draft.memory):
            writer.prolong(twin.id, draft.memory.expires_at)
            twin = replace(twin, expires_at=draft.memory.expires_at)
        stored.append(twin)
    return stored


def _twin(connection: sqlite3.Connection, draft: Draft) -> Memory | None:
    """The current, unexpired memory of the same scope that says the same, unless it holds only later."""
    user = rows.find_user(connection, draft.memory.user_id)
    fingerprint, now = draft.row[0], rows.microseconds(draft.memory.created_at)
    same = connection.execute(
        f"{rows.SELECT} WHERE key >> {NUMBER_BITS} = ? AND fingerprint = ? AND superseded_by IS NULL "
        "AND (expires_at IS NULL OR expires_at > ?) AND valid_from <= max(created_at, ?)",
        (user, fingerprint, now, rows.microseconds(draft.memory.valid_from)),
    )
    text = lexical.normalised(draft.memory.content)
    for memory in map(rows.to_memory, same.fetchall()):
        if memory.scope == draft.memory.scope and lexical.normalised(memory.content) == text:
            return memory
    return None


def _ends_earlier(one: Memory, other: Memory) -> bool:
    return one.expires_at is not None and (other.expires_at is None or one.expires_at < other.expires_at)


def supersede(connection: sqlite3.Connection, memory_id: str, successor: Draft) -> None:
    """Close the version `memory_id` and store its successor."""
    found = connection.execute(
        "SELECT key, chain, superseded_by, name FROM memories JOIN users ON user = key >> ? WHERE id = ?",
        (NUMBER_BITS, memory_id),
    ).fetchone()
    if found is None:
        raise MemoryNotFoundError(memory_id)
    key, chain, superseded_by, user_id = found
    first = chain or key
    if superseded_by is not None:
        (current,) = connection.execute(
            "SELECT id FROM memories WHERE key = :first OR chain = :first ORDER BY key DESC", {"first": first}
        ).fetchone()
        raise MemorySupersededError(memory_id, current)
    if successor.memory.user_id != user_id:
        raise InvalidInputError("a memory cannot be superseded by one of another user")
    writer = _Writer(connection)
    writer.close(key, first, successor)
    writer.insert(successor, chain=first)


def restore(connection: sqlite3.Connection, dumped: Iterable[Draft]) -> int:
    """Store each as it is, where it is new and continues what is here; return how many those were."""
    restored = 0
    writer = _Writer(connection)
    for draft in dumped:
        memory = draft.memory
        chain = None
        if _find(connection, memory.id) is not None:
            continue
        if memory.supersedes is not None:
            before = _find(connection, memory.supersedes)
            if before is None:
                continue
            key, before_chain, superseded_by = before
            if superseded_by not in (None, memory.id) or _scope(connection, key) != memory.scope:
                continue
            chain = before_chain or key
            writer.close(key, chain, draft)
        writer.insert(draft, chain)
        restored += 1
    return restored


def _find(connection: sqlite3.Connection, memory_id: str) -> tuple[int, int | None, str | None] | None:
    found: tuple[int, int | None, str | None] | None = connection.execute(
        "SELECT key, chain, superseded_by FROM memories WHERE id = ?", (memory_id,)
    ).fetchone()
    return found


def _scope(connection: sqlite3.Connection, key: int) -> Scope:
    return Scope(
        *connection.execute(
            "SELECT name, session_id, agent_id, turn_id FROM memories JOIN users ON user = key >> ? "
            "WHERE key = ?",
            (NUMBER_BITS, key),
        ).fetchone()
    )


def delete(connection: sqlite3.Connection, memory_ids: Iterable[str]) -> int:
    """Remove these memories with all their versions; return how many versions that were."""
    found = (_find(connection, memory_id) for memory_id in memory_ids)
    return remove_chains(connection, {chain or key for key, chain, _ in filter(None, found)})


def remove_chains(connection: sqlite3.Connection, firsts: Iterable[int]) -> int:
    """Remove the memories whose first versions have these keys, with all their versions; return how many."""
    writer = _Writer(connection)
    return sum(writer.remove("key = :first OR chain = :first", {"first": first}) for first in firsts)


def clear(
    connection: sqlite3.Connection,
    user: int,
    session_id: str | None = None,
    agent_id: str | None = None,
    turn_id: str | None = None,
) -> int:
    """Remove the user's memories that name each of the given parts; return how many versions that were."""
    parts = {"session_id": session_id, "agent_id": agent_id, "turn_id": turn_id}
    low, high = key_range(user)
    clauses = [
        "key BETWEEN :low AND :high",
        *(f"{part} = :{part}" for part in parts if parts[part] is not None),
    ]
    removed = _Writer(connection).remove(" AND ".join(clauses), {"low": low, "high": high, **parts})
    if not any(parts.values()):
        forget_user(connection, user)
    return removed


def forget_user(connection: sqlite3.Connection, user: int) -> None:
    """Remove what is left of a user without memories: the name too. Numbers are never given twice."""
    connection.execute("DELETE FROM changes WHERE user = ?", (user,))
    connection.execute("DELETE FROM users WHERE user = ?", (user,))


class _Writer:
    """Changes rows, under one new revision for all of them; none if nothing changes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._revised = False

    def _revise(self) -> None:
        if not self._revised:
            self._connection.execute("UPDATE state SET revision = revision + 1")
            self._revised = True

    def insert(self, draft: Draft, chain: int | None) -> None:
        self._revise()
        key = self._next_key(draft.memory.user_id)
        try:
            self._connection.execute(rows.INSERT, (key, chain, *draft.row))
        except sqlite3.IntegrityError as error:
            raise InvalidInputError(f"there is a memory with the id {draft.memory.id!r} already") from error
        self._connection.execute("INSERT INTO embeddings (key, vector) VALUES (?, ?)", (key, draft.vector))

    def _next_key(self, user_id: str) -> int:
        execute = self._connection.execute
        execute("INSERT OR IGNORE INTO users (name) VALUES (?)", (user_id,))
        execute("UPDATE users SET last = last + 1 WHERE name = ?", (user_id,))
        user, number = execute("SELECT user, last FROM users WHERE name = ?", (user_id,)).fetchone()
        return key_range(user)[0] + int(number)

    def close(self, key: int, first: int, successor: Draft) -> None:
        """Close the version; it is read anew with those before it that end with it only now."""
        self._revise()
        memory = successor.memory
        since = key
        if memory.valid_from <= memory.created_at:  # it ends the plans before it, too
            since = rows.last_held(self._connection, [first]).get(first, first)
        self._connection.execute(
            "UPDATE memories SET superseded_by = coalesce(superseded_by, :id), "
            "valid_until = coalesce(valid_until, :until) WHERE key >= :since AND key IN "
            "(SELECT :first UNION SELECT key FROM memories WHERE chain = :first AND key >= :since)",
            {
                "id": memory.id,
                "until": rows.microseconds(memory.valid_from),
                "since": since,
                "first": first,
            },
        )

    def prolong(self, memory_id: str, expires_at: datetime | None) -> None:
        self._revise()
        end = None if expires_at is None else rows.microseconds(expires_at)
        self._connection.execute("UPDATE memories SET expires_at = ? WHERE id = ?", (end, memory_id))

    def remove(self, condition: str, parameters: dict[str, Any]) -> int:
        self._revise()
        return self._connection.execute(f"DELETE FROM memories WHERE {condition}", parameters).rowcount
