"""The database's tables, and how an older database becomes a current one."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Final

from headroom.errors import SchemaVersionError, StorageError
from headroom.memory import lexical

APPLICATION_ID: Final = 0x48454144
"""What tells our files from other applications': "HEAD"."""

NUMBER_BITS: Final = 32
"""A memory's key is its user's number, shifted by this, plus a running number.

So a user's rows lie side by side in every table and in the text index: reading all of them is one range scan,
and no query touches another user's pages."""


def key_range(user: int) -> tuple[int, int]:
    """The smallest and the largest key that a memory of this user can have."""
    return user << NUMBER_BITS, ((user + 1) << NUMBER_BITS) - 1


# `terms`, `subject`, `asks`, `dated` and, from version 2 on, `wording` are what `analyse` of
# headroom.memory.lexical makes of content and entities: whoever changes that adds `_analyse_anew` once more.
_VERSION_1: Final = (
    # One row. `revision` grows with each commit that changes a memory; a read model older than `horizon`
    # cannot be brought up to date from `changes` and is read anew.
    """CREATE TABLE state (
        revision INTEGER NOT NULL,
        horizon INTEGER NOT NULL,
        embedder TEXT,
        dimension INTEGER,
        next_embedder TEXT,
        next_dimension INTEGER
    )""",
    "INSERT INTO state (revision, horizon) VALUES (0, 0)",
    """CREATE TABLE users (
        user INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        last INTEGER NOT NULL DEFAULT 0
    )""",
    # `chain` is the key of the memory's first version; NULL in the first version itself, so that the many
    # memories that never change take no place in an index. Times are microseconds since 1970 UTC.
    """CREATE TABLE memories (
        key INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        session_id TEXT,
        agent_id TEXT,
        turn_id TEXT,
        category TEXT NOT NULL,
        importance REAL NOT NULL,
        content TEXT NOT NULL,
        entities TEXT,
        metadata TEXT,
        created_at INTEGER NOT NULL,
        valid_from INTEGER NOT NULL,
        valid_until INTEGER,
        expires_at INTEGER,
        supersedes TEXT,
        superseded_by TEXT,
        chain INTEGER,
        fingerprint INTEGER NOT NULL,
        terms BLOB NOT NULL,
        subject INTEGER NOT NULL,
        asks INTEGER NOT NULL,
        dated INTEGER NOT NULL
    )""",
    # By user first, as everything is: an index in the order of random numbers is read and written all over.
    f"""CREATE INDEX current_by_fingerprint ON memories (key >> {NUMBER_BITS}, fingerprint)
        WHERE superseded_by IS NULL""",
    "CREATE INDEX versions ON memories (chain) WHERE chain IS NOT NULL",
    "CREATE INDEX expiring ON memories (expires_at) WHERE expires_at IS NOT NULL AND superseded_by IS NULL",
    """CREATE TABLE embeddings (
        key INTEGER PRIMARY KEY REFERENCES memories (key) ON DELETE CASCADE,
        vector BLOB NOT NULL
    )""",
    """CREATE TABLE next_embeddings (
        key INTEGER PRIMARY KEY REFERENCES memories (key) ON DELETE CASCADE,
        vector BLOB NOT NULL
    )""",
    # What was closed or removed after it was stored. What is new has larger keys than all before.
    """CREATE TABLE changes (
        user INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        key INTEGER NOT NULL,
        PRIMARY KEY (user, revision, key)
    ) WITHOUT ROWID""",
    """CREATE VIRTUAL TABLE memory_text USING fts5 (
        content, content = 'memories', content_rowid = 'key', columnsize = 0,
        tokenize = 'porter unicode61 remove_diacritics 2'
    )""",
    # Triggers, so that no statement can change a memory and forget its index entry or its readers.
    """CREATE TRIGGER memory_stored AFTER INSERT ON memories BEGIN
        INSERT INTO memory_text (rowid, content) VALUES (new.key, new.content);
    END""",
    f"""CREATE TRIGGER memory_closed AFTER UPDATE ON memories BEGIN
        INSERT OR IGNORE INTO changes SELECT old.key >> {NUMBER_BITS}, revision, old.key FROM state;
    END""",
    f"""CREATE TRIGGER memory_removed AFTER DELETE ON memories BEGIN
        INSERT INTO memory_text (memory_text, rowid, content) VALUES ('delete', old.key, old.content);
        INSERT OR IGNORE INTO changes SELECT old.key >> {NUMBER_BITS}, revision, old.key FROM state;
    END""",
)


def _create(connection: sqlite3.Connection) -> None:
    for statement in _VERSION_1:
        connection.execute(statement)


def _add_wordings(connection: sqlite3.Connection) -> None:
    # 0 stands for the unknown: a process that began with version 1 goes on writing rows without one.
    connection.execute("ALTER TABLE memories ADD COLUMN wording INTEGER NOT NULL DEFAULT 0")


def _analyse_anew(connection: sqlite3.Connection) -> None:
    """Analyse all texts anew.

    In version 2, only letters and digits counted in a wording; in version 3, marks were no part of a word.
    """
    # Nothing is closed here: noted as changed, every memory would be read anew by all readers, one by one.
    (trigger,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'memory_closed'").fetchone()
    connection.execute("DROP TRIGGER memory_closed")
    stored = connection.execute(
        "SELECT key, content, entities, terms, subject, asks, dated, wording FROM memories"
    )
    for key, content, entities, *before in stored:
        after = analysed(content, _names(entities))
        if after != tuple(before):
            connection.execute(
                "UPDATE memories SET terms = ?, subject = ?, asks = ?, dated = ?, wording = ? WHERE key = ?",
                (*after, key),
            )
    connection.execute(trigger)


def _names(entities: str | None) -> list[str]:
    """The entities in a row; none where somebody edited them into what cannot be read."""
    try:
        return [name for name in json.loads(entities or "[]") if isinstance(name, str)]
    except (TypeError, ValueError):
        return []


def analysed(content: str, entities: Iterable[str]) -> tuple[bytes, int, bool, bool, int]:
    """What the columns `terms`, `subject`, `asks`, `dated` and `wording` hold of a memory."""
    lexemes = lexical.analyse(content, entities)
    terms = lexemes.terms.astype("<u4").tobytes()
    return terms, lexemes.subject, lexemes.asks, lexemes.dated, lexemes.wording


MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (
    _create,
    _add_wordings,
    _analyse_anew,
    _analyse_anew,
)
"""The n-th brings a database from version n to n + 1; of those that are the same, the last does for all."""


def prepare(connection: sqlite3.Connection, path: str, timeout: float) -> None:
    """Make a new or older database a current one, in one transaction.

    Raises:
        SchemaVersionError: a newer Headroom wrote it.
        StorageError: another application did.
    """
    connection.execute("BEGIN")  # one look, since others may be making the same database at this moment
    try:
        version = _check(connection, path)
    finally:
        connection.rollback()
    if version == 0:
        # Pages that become free can be given back bit by bit, if this is said before there are any.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _write_ahead(connection, timeout)
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        missing = MIGRATIONS[_check(connection, path) :]  # another process may have been faster
        for number, migrate in enumerate(missing, 1):
            if migrate not in missing[number:]:
                migrate(connection)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _check(connection: sqlite3.Connection, path: str) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application, version, tables) != (0, 0, 0):
        raise StorageError(f"{path} is the database of another application; choose another db_path")
    if version > len(MIGRATIONS):
        raise SchemaVersionError(
            f"{path} has schema version {version}, but this Headroom knows only {len(MIGRATIONS)}; "
            "upgrade headroom-memory"
        )
    return int(version)


def _write_ahead(connection: sqlite3.Connection, timeout: float) -> None:
    """Turn on the write-ahead log; while another process does so, SQLite refuses without waiting."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return
