"""Between a memory and its row."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from headroom.errors import StorageError
from headroom.memory import lexical
from headroom.memory.model import Memory, MemoryCategory
from headroom.memory.stores.sqlite.schema import NUMBER_BITS, analysed

_CATEGORIES: Final = {category.value: category for category in MemoryCategory}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_FIELDS: Final = (
    "id",
    "content",
    "session_id",
    "agent_id",
    "turn_id",
    "category",
    "importance",
    "entities",
    "metadata",
    "created_at",
    "valid_from",
    "valid_until",
    "expires_at",
    "supersedes",
    "superseded_by",
)

_READ: Final = f"users.name, {', '.join(_FIELDS)} FROM memories JOIN users ON user = key >> {NUMBER_BITS}"

SELECT: Final = f"SELECT {_READ}"
"""Reads what `to_memory` takes; a condition and an order may follow."""

SELECT_BY_KEYS: Final = f"SELECT key, {_READ} WHERE key IN (SELECT value FROM json_each(?))"
"""Reads key, and what `to_memory` takes, of the memories whose keys are in a JSON array."""

HELD: Final = "valid_from <= created_at"
"""Whether a version held when it was stored: so it has begun, even if the clock was set back since."""

ENDED: Final = "CASE WHEN superseded_by IS NOT NULL THEN coalesce(chain, memories.key) END"
"""The chain of a version that was superseded; of others NULL."""

_COLUMNS: Final = ("key", "chain", "fingerprint", "terms", "subject", "asks", "dated", "wording", *_FIELDS)

INSERT: Final = f"INSERT INTO memories ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
"""Stores what `key` and `chain` followed by `to_row` give."""


def microseconds(time: datetime) -> int:
    """`time` as the database keeps it: microseconds since 1970 UTC, which is lossless."""
    return (time - _EPOCH) // _MICROSECOND


def _optional_microseconds(time: datetime | None) -> int | None:
    return None if time is None else microseconds(time)


def _time(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def to_memory(row: Sequence[Any]) -> Memory:
    """The memory that a row of `SELECT` holds.

    Raises:
        StorageError: somebody edited the row into what is no memory.
    """
    (
        user_id, id_, content, session_id, agent_id, turn_id, category, importance, entities, metadata,
        created_at, valid_from, valid_until, expires_at, supersedes, superseded_by,
    ) = row  # fmt: skip
    try:
        created = _time(created_at)
        return Memory(
            id=id_,
            content=content,
            user_id=user_id,
            session_id=session_id,
            agent_id=agent_id,
            turn_id=turn_id,
            category=_CATEGORIES[category],
            importance=importance,
            entities=() if entities is None else tuple(json.loads(entities)),
            metadata={} if metadata is None else json.loads(metadata),
            created_at=created,
            valid_from=created if valid_from == created_at else _time(valid_from),
            valid_until=None if valid_until is None else _time(valid_until),
            expires_at=None if expires_at is None else _time(expires_at),
            supersedes=supersedes,
            superseded_by=superseded_by,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StorageError(
            f"the memory {id_!r} cannot be read ({type(error).__name__}), for somebody edited it: "
            "correct its row, or delete it"
        ) from error


def to_row(memory: Memory) -> tuple[Any, ...]:
    """What `INSERT` stores of the memory, after its key and its chain."""
    return (
        fingerprint(memory),
        *analysed(memory.content, memory.entities),
        memory.id,
        memory.content,
        memory.session_id,
        memory.agent_id,
        memory.turn_id,
        memory.category.value,
        memory.importance,
        _json(memory.entities),
        _json(memory.metadata),
        microseconds(memory.created_at),
        microseconds(memory.valid_from),
        _optional_microseconds(memory.valid_until),
        _optional_microseconds(memory.expires_at),
        memory.supersedes,
        memory.superseded_by,
    )


def _json(value: object) -> str | None:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if value else None


def fingerprint(memory: Memory) -> int:
    """64 bits that two memories share if they have the same scope and the same text but for its spelling."""
    parts = (memory.user_id, memory.session_id, memory.agent_id, memory.turn_id)
    # Identifiers are printable, so the separator is in none of them.
    return lexical.hashed("\0".join([*(part or "" for part in parts), lexical.normalised(memory.content)]))


def find_user(connection: sqlite3.Connection, user_id: str) -> int | None:
    """The number of the user with this id, if there is one."""
    found = connection.execute("SELECT user FROM users WHERE name = ?", (user_id,)).fetchone()
    return None if found is None else int(found[0])


def last_held(connection: sqlite3.Connection, chains: Iterable[int]) -> dict[int, int]:
    """The key of each chain's last version but the first that held when it was stored, where there is one.

    All before it have ended with its beginning, even if the clock was set back since.
    """
    # Once a chain: looked for from each version of many plans, it would take the square of the time.
    found = connection.execute(
        f"SELECT value, (SELECT max(key) FROM memories WHERE chain = value AND {HELD}) FROM json_each(?)",
        (json.dumps(list(chains)),),
    )
    return {chain: key for chain, key in found if key is not None}
