"""Which embedder made the vectors, and how another one replaces them all, in steps that may be interrupted.

The new vectors gather in `next_embeddings`; `embeddings` is what everybody uses until the last one is there.
Each function works within a transaction of its caller's.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from headroom.errors import EmbedderMismatchError, StorageError
from headroom.memory.stores.base import Vectors

_MISSING: Final = "memories LEFT JOIN next_embeddings USING (key) WHERE next_embeddings.key IS NULL"
"""What the embedder that is noted in `next_embedder` has not embedded yet."""

_BEYOND: Final = "memories WHERE key > (SELECT max(key) FROM next_embeddings)"
"""Of that, all but what was stored since; found without a scan."""


class Embedder(NamedTuple):
    """What the vectors of one kind have in common."""

    name: str
    dimension: int


def in_use(connection: sqlite3.Connection) -> Embedder | None:
    """The embedder that made the vectors; None while there are none."""
    name, dimension = _noted(connection, "embedder, dimension")
    if name is None or dimension is None or not _exist(connection, "embeddings"):
        return None
    return Embedder(name, dimension)


def require(connection: sqlite3.Connection, embedder: Embedder) -> None:
    """Make sure that the vectors to be stored can be compared with those that are.

    The first vectors of a store say which embedder it is of.

    Raises:
        EmbedderMismatchError: they cannot.
    """
    if _noted(connection, "embedder, dimension") != embedder:
        if (stored := in_use(connection)) is not None:
            raise mismatch(stored, embedder)
        connection.execute("UPDATE state SET embedder = ?, dimension = ?", embedder)


def mismatch(stored: Embedder, embedder: Embedder) -> EmbedderMismatchError:
    """The error for vectors that cannot be compared."""
    return EmbedderMismatchError(
        f"the memories were embedded with {stored.name!r} ({stored.dimension} dimensions), and this is "
        f"{embedder.name!r} ({embedder.dimension} dimensions): open them with that embedder, or run "
        "`headroom reindex` to embed them anew"
    )


def count_missing(connection: sqlite3.Connection, embedder: Embedder) -> int:
    """How many vectors this embedder has yet to make."""
    (count,) = connection.execute(f"SELECT count(*) FROM {_source(connection, embedder)}").fetchone()
    return int(count)


def missing(connection: sqlite3.Connection, embedder: Embedder, limit: int) -> list[tuple[int, str]]:
    """Key and content of up to `limit` memories that this embedder has yet to embed."""
    source = _source(connection, embedder)
    if source == _MISSING and _exist(connection, _BEYOND):
        source = _BEYOND
    return connection.execute(
        f"SELECT memories.key, content FROM {source} ORDER BY memories.key LIMIT ?", (limit,)
    ).fetchall()


def add(
    connection: sqlite3.Connection,
    embedder: Embedder,
    keys: Sequence[int],
    vectors: Vectors,
    *,
    begun: bool,
) -> bool:
    """Keep new vectors of memories that are still there; switch, and return True, if they were the last.

    Raises:
        StorageError: the caller had begun, and another embedder took its place.
    """
    if _noted(connection, "embedder, dimension") == embedder:
        return False  # another process was faster
    if _noted(connection, "next_embedder, next_dimension") != embedder:
        if begun:  # two who begin anew by turns would never end
            raise StorageError(
                f"another embedder than {embedder.name!r} began to embed the memories anew meanwhile, so "
                "this one gave up; decide for one of them, and run `headroom reindex` with it"
            )
        connection.execute("DELETE FROM next_embeddings")
        connection.execute("UPDATE state SET next_embedder = ?, next_dimension = ?", embedder)
    connection.executemany(
        "INSERT OR REPLACE INTO next_embeddings (key, vector) SELECT key, ? FROM memories WHERE key = ?",
        [(vector.tobytes(), key) for key, vector in zip(keys, vectors.astype("<f4"), strict=True)],
    )
    if _exist(connection, _BEYOND) or _exist(connection, _MISSING):
        return False
    _switch(connection)
    return True


def _switch(connection: sqlite3.Connection) -> None:
    (definition,) = connection.execute(
        "SELECT sql FROM sqlite_master WHERE name = 'next_embeddings'"
    ).fetchone()
    connection.execute("DROP TABLE embeddings")
    connection.execute("ALTER TABLE next_embeddings RENAME TO embeddings")
    connection.execute(definition)
    connection.execute(
        "UPDATE state SET revision = revision + 1, horizon = revision + 1, embedder = next_embedder, "
        "dimension = next_dimension, next_embedder = NULL, next_dimension = NULL"
    )


def _source(connection: sqlite3.Connection, embedder: Embedder) -> str:
    """Where the memories are that this embedder has yet to embed."""
    if _noted(connection, "embedder, dimension") == embedder:
        return "memories WHERE false"
    if _noted(connection, "next_embedder, next_dimension") == embedder:
        return _MISSING
    return "memories"


def _noted(connection: sqlite3.Connection, columns: str) -> tuple[str | None, int | None]:
    noted: tuple[str | None, int | None] = connection.execute(f"SELECT {columns} FROM state").fetchone()
    return noted


def _exist(connection: sqlite3.Connection, source: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {source} LIMIT 1").fetchone() is not None
