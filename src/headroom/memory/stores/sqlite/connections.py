"""The connections of one process to one database file.

SQLite must not have a file open across a fork, even if the child never touches the inherited connection.
Within a process it keeps account of the locks it holds on each file; the child inherits the account, not the
locks, and a new connection in the child then trusts locks that nobody holds. (The parent's next close removes
the write-ahead log under the child, and what the child acknowledged is lost.) So connections are closed
before a fork, once those in use are back, and opened again on demand on both sides.
"""

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from headroom.errors import ClosedError, StorageError
from headroom.memory import forking, patience
from headroom.memory.config import Durability
from headroom.memory.stores.sqlite import filtering, schema
from headroom.memory.stores.sqlite.failures import explained

BUSY_SECONDS: Final = 30.0
"""How long a write waits for those of other threads and processes, if there is no hurry (see `patience`)."""

_KEPT: Final = 8
"""How many idle connections stay open."""


class _Connection(sqlite3.Connection):
    busy_timeout = -1
    """The last that it was told, in milliseconds."""


class ConnectionPool:
    """Connections that any thread may borrow; the one used last is lent first, for its cache is warm.

    Raises:
        StorageError: the file cannot be opened, or is not ours.
        SchemaVersionError: a newer Headroom wrote it.
    """

    def __init__(self, path: str, durability: Durability) -> None:
        if path == ":memory:":
            raise StorageError('a memory needs a file of its own, not ":memory:"; pass e.g. a temporary file')
        # An absolute path survives a change of directory, and SQLite does not take it for a URI.
        self.path: Final = os.path.abspath(path)  # noqa: PTH100 - a Path would not keep "//" and the like as given
        self._durability = durability
        self._idle: list[_Connection] = []
        self._closed = False
        self._file: tuple[int, int] | None = None
        self._make_locks()
        forking.register(self)
        _create_private(self.path)
        try:
            with self.connection() as connection:
                schema.prepare(connection, self.path, patience.at_most(BUSY_SECONDS))
            self._file = _identity(self.path)
        except BaseException:
            self.close()
            raise

    def _make_locks(self) -> None:
        self._busy = 0
        self._returned = threading.Condition()
        self._write = threading.Lock()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for statements that are each their own transaction."""
        with explained(self.path):
            connection = self._take()
            try:
                milliseconds = round(1_000 * patience.at_most(BUSY_SECONDS))
                if milliseconds != connection.busy_timeout:
                    connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
                    connection.busy_timeout = milliseconds
                yield connection
            finally:
                self._give_back(connection)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection whose statements all see the database as it is at one moment."""
        with self.connection() as connection, _transaction(connection, "BEGIN"):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction that is committed if the block ends well, and undone otherwise."""
        # Threads of one process queue here: SQLite's own queue is polling, and unfair.
        if not self._write.acquire(timeout=patience.at_most(BUSY_SECONDS)):
            raise StorageError(f"{self.path}: another thread has been writing to it for too long; try again")
        try:
            with self.connection() as connection, _transaction(connection, "BEGIN IMMEDIATE"):
                yield connection
        finally:
            self._write.release()

    def close(self) -> None:
        """Close what is idle now, and what is in use when it comes back."""
        with self._returned:
            self._closed = True
            self._close_idle()

    def _take(self) -> _Connection:
        with self._returned:
            if self._closed:
                raise ClosedError(f"the memory in {self.path} was closed; open a new one")
            # Idle connections still have the old file, new ones would have another: what they know of one is
            # not true of the other, and what is written to the old one is lost.
            if self._file not in (None, _identity(self.path)):
                raise StorageError(
                    f"{self.path}: it was moved, removed or replaced while in use; close the memory, "
                    "put it back, and open it again"
                )
            self._busy += 1
            if self._idle:
                return self._idle.pop()
        try:
            return self._open()
        except BaseException:
            self._give_back(None)
            raise

    def _give_back(self, connection: _Connection | None) -> None:
        with self._returned:
            self._busy -= 1
            if connection is not None:
                if connection.in_transaction:  # it could not be ended; closing undoes it
                    connection.close()
                else:
                    self._idle.append(connection)
            if self._closed:
                self._close_idle()
            elif len(self._idle) > _KEPT:
                self._idle.pop(0).close()
            self._returned.notify_all()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _open(self) -> _Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=patience.at_most(BUSY_SECONDS),
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=_Connection,
        )
        try:
            connection.execute(f"PRAGMA synchronous = {self._durability.value}")
            connection.execute("PRAGMA foreign_keys = ON")
            # What a user had removed does not linger in free pages.
            connection.execute("PRAGMA secure_delete = ON")
            filtering.register_functions(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def before_fork(self) -> None:
        """See `ForkAware`: wait until no connection is in use, and close them."""
        self._returned.acquire()
        self._returned.wait_for(lambda: not self._busy, timeout=2 * BUSY_SECONDS)
        self._close_idle()

    def after_fork_in_parent(self) -> None:
        """See `ForkAware`."""
        self._returned.release()

    def after_fork_in_child(self) -> None:
        """See `ForkAware`."""
        self._make_locks()


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _identity(path: str) -> tuple[int, int]:
    """What tells the file that is there from every other; none has (0, 0)."""
    try:
        found = os.stat(path)  # noqa: PTH116 - see `path`
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _create_private(path: str) -> None:
    """Make the file, if there is none, readable by its owner only; SQLite's side files take after it."""
    try:
        # Never a file that is there: to close any handle of it drops every lock that SQLite holds on it in
        # this process, for this or another pool; other processes then remove the write-ahead log under it.
        with forking.postponed():
            os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        _require_writable(path)
    except FileNotFoundError as error:
        raise StorageError(f"{path}: its directory does not exist; make it first") from error
    except OSError as error:
        raise StorageError(
            f"{path}: it cannot be opened for writing ({error.strerror}); choose another db_path"
        ) from error


def _require_writable(path: str) -> None:
    """Refuse a file that is there and cannot be written; it is not opened for that."""
    if os.path.isdir(path):  # noqa: PTH112 - see `path`
        reason, remedy = errno.EISDIR, "name a file in it"
    elif os.access(path, os.R_OK | os.W_OK):
        return
    elif hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY:
        reason, remedy = errno.EROFS, "copy it, with any -wal file beside it, and open the copy"
    else:
        reason, remedy = errno.EACCES, "make the file and its directory writable for this user"
    raise StorageError(f"{path}: it cannot be opened for writing ({os.strerror(reason)}); {remedy}") from None
