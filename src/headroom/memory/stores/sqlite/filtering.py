"""From a MemoryFilter to the SQL that finds what it asks for."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from headroom.memory import lexical
from headroom.memory.filters import MemoryFilter, MemoryOrder
from headroom.memory.model import ScopeLevel
from headroom.memory.stores.sqlite.rows import microseconds
from headroom.memory.stores.sqlite.schema import key_range

_LARGEST: Final = 2**63 - 1

_LEVELS: Final = {
    ScopeLevel.TURN: "turn_id IS NOT NULL",
    ScopeLevel.AGENT: "turn_id IS NULL AND agent_id IS NOT NULL",
    ScopeLevel.SESSION: "turn_id IS NULL AND agent_id IS NULL AND session_id IS NOT NULL",
    ScopeLevel.USER: "turn_id IS NULL AND agent_id IS NULL AND session_id IS NULL",
}

_ORDERS: Final = {
    MemoryOrder.OLDEST: "created_at, key",
    MemoryOrder.NEWEST: "created_at DESC, key",
    MemoryOrder.IMPORTANCE: "importance DESC, created_at, key",
}

_LISTED: Final = "(SELECT value FROM json_each(?))"

Clause = tuple[str, tuple[Any, ...]]
"""A condition in SQL, and what its question marks stand for."""


def condition(where: MemoryFilter, user: int, now: datetime) -> tuple[str, list[Any]]:
    """The WHERE clause for the memories of `user` that the filter asks for, and its parameters."""
    clauses = [
        ("key BETWEEN ? AND ?", key_range(user)),
        *_scope(where),
        *_time(where, now),
        *_kind(where),
        *_text(where, user),
    ]
    return " AND ".join(clause for clause, _ in clauses), [value for _, values in clauses for value in values]


def order(where: MemoryFilter) -> tuple[str, list[Any]]:
    """The ORDER BY and LIMIT clauses, and their parameters."""
    limit = _LARGEST if where.limit is None else min(where.limit, _LARGEST)
    return f"ORDER BY {_ORDERS[where.order]} LIMIT ? OFFSET ?", [limit, min(where.offset, _LARGEST)]


def _scope(where: MemoryFilter) -> Iterator[Clause]:
    for column in ("session_id", "agent_id", "turn_id"):
        if (identifier := getattr(where, column)) is not None:
            yield f"{column} = ?", (identifier,)
    if where.levels is not None:
        levels = [f"({_LEVELS[ScopeLevel(level)]})" for level in where.levels]
        yield f"({' OR '.join(levels) or 'false'})", ()


def _time(where: MemoryFilter, now: datetime) -> Iterator[Clause]:
    if where.as_of is not None:
        then = microseconds(where.as_of)
        yield "valid_from <= ? AND (valid_until IS NULL OR valid_until > ?)", (then, then)
    elif not where.include_superseded:
        yield "superseded_by IS NULL", ()
    if not where.include_expired:
        # What has expired by now is gone for questions about the past too: housekeeping may have removed it.
        yield "(expires_at IS NULL OR expires_at > ?)", (microseconds(max(now, where.as_of or now)),)
    if where.created_after is not None:
        yield "created_at >= ?", (microseconds(where.created_after),)
    if where.created_before is not None:
        yield "created_at < ?", (microseconds(where.created_before),)


def _kind(where: MemoryFilter) -> Iterator[Clause]:
    if where.categories is not None:
        yield f"category IN {_LISTED}", (json.dumps(list(where.categories)),)
    if where.min_importance is not None:
        yield "importance >= ?", (where.min_importance,)
    if where.max_importance is not None:
        yield "importance <= ?", (where.max_importance,)
    if where.entities:
        names = json.dumps([name.casefold() for name in where.entities])
        yield f"EXISTS (SELECT 1 FROM json_each(entities) WHERE casefold(value) IN {_LISTED})", (names,)
    if where.metadata:
        yield "contains_items(metadata, ?)", (json.dumps(dict(where.metadata)),)


def _text(where: MemoryFilter, user: int) -> Iterator[Clause]:
    # Without a letter or digit there is no word to look for.
    if where.text is not None and any(map(str.isalnum, where.text)):
        quoted, parts = [], []
        for word in where.text.replace("\0", " ").split():
            if found := lexical.unspaced(word):
                parts += found
            else:  # a quoted string, so that nothing in it is FTS5's syntax
                quoted.append('"' + word.replace('"', '""') + '"')
        if quoted:
            yield (
                "key IN (SELECT rowid FROM memory_text WHERE memory_text MATCH ? AND rowid BETWEEN ? AND ?)",
                (" ".join(quoted), *key_range(user)),
            )
        if parts:  # to the full-text index, a run without spaces is one word
            yield "contains_parts(content, ?)", (json.dumps(parts),)


def _contains_parts(content: str, parts: str) -> bool:
    return lexical.contains(content, json.loads(parts))


def _contains_items(metadata: str | None, wanted: str) -> bool:
    """Whether the JSON object has all of `wanted`'s items, compared as JSON: 1 is 1.0, but not true."""
    held = json.loads(metadata or "{}")
    return all(name in held and _same(held[name], value) for name, value in json.loads(wanted).items())


def _same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def register_functions(connection: sqlite3.Connection) -> None:
    """Give the connection the functions that `condition` calls."""
    connection.create_function("casefold", 1, str.casefold, deterministic=True)
    connection.create_function("contains_parts", 2, _contains_parts, deterministic=True)
    connection.create_function("contains_items", 2, _contains_items, deterministic=True)
