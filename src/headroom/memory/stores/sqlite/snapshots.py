"""Graphs on the disk, beside the database, so that a new process need not build them.

A snapshot is a cache, and never trusted: before it is used, its file is compared with its checksum and the
vectors in it with those in the database; where anything differs, the graph is built anew.

What is deleted takes its user's snapshot along. A graph in use is saved without it when the store is closed.
"""

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from headroom.errors import StorageError
from headroom.memory.stores.sqlite.connections import ConnectionPool
from headroom.memory.stores.sqlite.hnsw import HnswIndex, Shape
from headroom.memory.stores.sqlite.schema import key_range

_FORMAT: Final = 1
_ABANDONED: Final = 3_600.0
"""From which age in seconds on a file that was never finished is removed: whoever wrote it is gone."""


class Snapshots:
    """The snapshots of one database, one for each of the users that have so many memories.

    A graph lies in `<user>.hnsw`; `<user>.json`, written after it, describes it.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._directory: Final = Path(f"{os.path.realpath(pool.path)}-hnsw")

    def load(self, user: int, shape: Shape, ef_search: int) -> HnswIndex | None:
        """The user's graph, if there is one that is as it was saved, and of this shape.

        hnswlib lets no other Python code run while it reads the file: 165 ms for 20,000 vectors of 384
        dimensions, once, when a large user is first used.
        """
        graph, description = self._files(user)
        try:
            described = json.loads(description.read_bytes())
            if described == _describe(graph, shape, described["last"], described["count"]):
                return HnswIndex(shape, ef_search, str(graph))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            pass  # damaged, in whichever way
        self.remove(user)
        return None

    def save(self, user: int, index: HnswIndex) -> None:
        """Write the user's graph.

        Raises:
            OSError, RuntimeError: it cannot be written; what was there before stays.
            StorageError: the database cannot be read.
        """
        graph, description = self._files(user)
        with self._replacing(graph) as part:
            last, count = index.save(str(part))
        described = _describe(graph, index.shape, last, count)
        with self._replacing(description) as part:
            part.write_text(json.dumps(described))
        # What was removed meanwhile, and its every trace wiped out, must not come back with this.
        self._check(user, described)

    def has(self, user: int) -> bool:
        """Whether there is a snapshot of the user's."""
        return all(file.exists() for file in self._files(user))

    def remove(self, user: int) -> None:
        """Remove the user's snapshot, if there is one.

        Raises:
            StorageError: it cannot be removed.
        """
        if not self._directory.exists():
            return
        for file in self._files(user):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(f"{file}: it cannot be removed ({error.strerror}); remove it") from error

    def remove_all(self) -> None:
        """Remove every snapshot."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def forget_removed(self) -> None:
        """Remove the snapshots with vectors of memories that are gone, and what was never finished."""
        for description in self._directory.glob("*.json"):
            if not description.stem.isdecimal():
                continue  # not ours
            user = int(description.stem)
            try:
                self._check(user, json.loads(description.read_bytes()))
            except (OSError, ValueError, KeyError, TypeError):
                self.remove(user)
        for part in self._directory.glob("*.part"):
            with suppress(FileNotFoundError):  # finished just now
                if time.time() - part.stat().st_mtime > _ABANDONED:
                    part.unlink()

    def _check(self, user: int, described: dict[str, Any]) -> None:
        """Remove a snapshot that has more vectors than the user has memories up to its last."""
        # Keys are not used twice: if there are as many, they are the same.
        with self._pool.connection() as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM memories WHERE key BETWEEN ? AND ?",
                (key_range(user)[0], described["last"]),
            ).fetchone()
        if count != described["count"]:
            self.remove(user)

    def _files(self, user: int) -> tuple[Path, Path]:
        return self._directory / f"{user}.hnsw", self._directory / f"{user}.json"

    @contextmanager
    def _replacing(self, path: Path) -> Iterator[Path]:
        """A file to write, readable by its owner only; it replaces `path` if the block ends well."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        part = self._directory / f"{secrets.token_hex(8)}.part"
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _describe(graph: Path, shape: Shape, last: int, count: int) -> dict[str, Any]:
    with graph.open("rb") as file:
        checksum = hashlib.file_digest(file, "blake2b").hexdigest()
    return {"format": _FORMAT, "shape": list(shape), "last": last, "count": count, "checksum": checksum}
