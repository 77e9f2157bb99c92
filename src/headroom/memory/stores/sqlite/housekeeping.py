"""Giving back what is no longer needed, in steps short enough for others to work in between."""

from datetime import datetime
from typing import Final

from headroom.memory import patience
from headroom.memory.stores.sqlite import writing
from headroom.memory.stores.sqlite.connections import ConnectionPool
from headroom.memory.stores.sqlite.rows import microseconds
from headroom.memory.stores.sqlite.schema import NUMBER_BITS

_CHAINS: Final = 200
"""How many expired memories one transaction removes."""
_CHANGES: Final = 10_000
"""How many changes the log keeps, 200 kB of numbers, for read models that have not read them yet."""
_PAGES: Final = 500
"""How many pages of the text index are merged, or of the file given back, in one transaction."""


def remove_expired(pool: ConnectionPool, now: datetime) -> int:
    """Remove the memories whose current version has expired, with all their versions; return how many."""
    removed = 0
    while True:
        with pool.writing() as connection:
            expired = connection.execute(
                "SELECT coalesce(chain, key) FROM memories "
                "WHERE expires_at <= ? AND superseded_by IS NULL LIMIT ?",
                (microseconds(now), _CHAINS),
            ).fetchall()
            removed += writing.remove_chains(connection, [first for (first,) in expired])
        if len(expired) < _CHAINS:
            return removed


def forget_empty_users(pool: ConnectionPool) -> None:
    """Remove the names of users who have no memories."""
    with pool.writing() as connection:
        empty = connection.execute(
            "SELECT user FROM users WHERE NOT EXISTS (SELECT 1 FROM memories "
            f"WHERE key >= user << {NUMBER_BITS} AND key < (user + 1) << {NUMBER_BITS})"
        ).fetchall()
        for (user,) in empty:
            writing.forget_user(connection, user)


def forget_changes(pool: ConnectionPool) -> None:
    """Shorten the log of changes: read models that have not read yet what goes are read anew."""
    with pool.writing() as connection:
        last = connection.execute(
            "SELECT revision FROM changes ORDER BY revision DESC LIMIT 1 OFFSET ?", (_CHANGES,)
        ).fetchone()
        if last is not None:
            connection.execute("DELETE FROM changes WHERE revision <= ?", last)
            connection.execute("UPDATE state SET horizon = max(horizon, ?)", last)


def compact(pool: ConnectionPool) -> None:
    """Merge the text index, which is when it drops the words of removed memories, and shrink the file."""
    # https://www.sqlite.org/fts5.html#the_merge_command: a negative number begins a merge of everything.
    pages = -_PAGES
    while True:
        with pool.writing() as connection:
            before = connection.total_changes
            connection.execute("INSERT INTO memory_text (memory_text, rank) VALUES ('merge', ?)", (pages,))
            if connection.total_changes - before < 2:  # noqa: PLR2004 - documented: then there was nothing to do
                break
        pages = _PAGES
    with pool.connection() as connection:
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        for _ in range(0, free, _PAGES):
            # As a script, because `execute` stops at its first row, which is its first page.
            connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")
    # Nobody can write while this waits for readers, so it waits but a moment: where one of them keeps the log
    # in use, the next vacuum, or the last close, truncates it.
    with patience.lasting(0), pool.connection() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
