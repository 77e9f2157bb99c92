"""The embedded store: memories in one SQLite file."""

from headroom.memory.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
