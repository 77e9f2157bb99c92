"""SQLite's failures, told as Headroom's errors with a remedy."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from headroom.errors import HeadroomError, InvalidInputError, StorageError

_LOCKED: Final = "another process has been writing to it for too long; try again, or stop that process"
_REMEDIES: Final = {
    sqlite3.SQLITE_FULL: "the disk is full, and nothing was stored; free some space",
    sqlite3.SQLITE_READONLY: "it cannot be written; make the file and its directory writable for this user",
    sqlite3.SQLITE_PERM: "it cannot be accessed; make the file and its directory writable for this user",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; make the file and its directory writable for this user",
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_NOTADB: "it is no SQLite database; choose another db_path (the file was left as it is)",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore it from a backup",
    sqlite3.SQLITE_IOERR: "the disk failed, and nothing was stored; check its free space and health",
}


def explain(error: sqlite3.Error, path: str) -> HeadroomError:
    """The error to raise in place of SQLite's, for the database at `path`."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary code
    remedy = _REMEDIES.get(code, "an unexpected failure; please report it")
    return StorageError(f"{path}: {remedy} (SQLite: {error})")


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Raise what SQLite and its binding raise within as errors of Headroom's."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"a text contains half of a surrogate pair at position {error.start}; remove it"
        ) from error
