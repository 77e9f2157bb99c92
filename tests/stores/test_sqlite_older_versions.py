"""Databases of older versions: their texts are analysed anew, once, whatever happens meanwhile."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from store_material import add, memory, open_sqlite, request
from store_process import check_file

from headroom.memory.stores.sqlite import schema

ANALYSED = "SELECT key, terms, subject, asks, dated, wording FROM memories ORDER BY key"
SCRIPT = Path(__file__).with_name("store_process.py")
DYING = """
import os, signal, sqlite3, sys
from headroom.memory.stores.sqlite import schema

def watch(statement):
    global left
    left -= statement.startswith("UPDATE memories")
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

path, left = sys.argv[1], int(sys.argv[2])
connection = sqlite3.connect(path, isolation_level=None)
connection.execute("PRAGMA cache_size = 1")  # so that unfinished pages reach the file
connection.set_trace_callback(watch)
schema.prepare(connection, path, 10)
"""


def rows_of(db_path: Path) -> list[Any]:
    with closing(sqlite3.connect(db_path)) as connection:
        return connection.execute(ANALYSED).fetchall()


def version_of(db_path: Path) -> int:
    with closing(sqlite3.connect(db_path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def make_older(db_path: Path, version: int) -> list[Any]:
    """Fill a file, and leave it as a version that analysed nothing well; return what is right."""
    store = open_sqlite(db_path)
    add(
        store,
        memory("हिन्दी सीखता है?"),
        memory("It was green yesterday", entities=("Ada's bicycle", "हिन्दी")),
        memory("", session_id="s"),
        *(memory(f"Number {number} says {'much ' * 50}") for number in range(100)),
    )
    store.close()
    right = rows_of(db_path)
    with closing(sqlite3.connect(db_path)) as connection:
        connection.execute(
            "UPDATE memories SET terms = x'01020304', subject = 1, asks = NOT asks, dated = 1, wording = 1"
        )
        if version == 1:
            connection.execute("ALTER TABLE memories DROP COLUMN wording")
        connection.execute("DELETE FROM changes")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
    return right


@pytest.mark.parametrize("version", [1, 2, 3])
def test_what_an_older_version_stored_is_as_if_it_were_stored_now(db_path: Path, version: int) -> None:
    right = make_older(db_path, version)

    store = open_sqlite(db_path)
    found = store.candidates(request("हिन्दी")).evidence.coverage.tolist()
    check_file(str(db_path), store)
    store.close()

    assert sum(share > 0 for share in found) == 2
    assert rows_of(db_path) == right
    assert version_of(db_path) == len(schema.MIGRATIONS)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_each_text_is_written_once_at_most(db_path: Path, version: int) -> None:
    right = make_older(db_path, version)
    asked: list[str] = []

    with closing(sqlite3.connect(db_path, isolation_level=None)) as connection:
        connection.execute("UPDATE memories SET terms = ? WHERE key = ?", (right[0][1], right[0][0]))
        connection.set_trace_callback(asked.append)
        schema.prepare(connection, str(db_path), 10)

    assert sum(each.startswith("UPDATE memories") for each in asked) == len(right)


@pytest.mark.parametrize("entities", ["[broken", "5"])
def test_entities_that_somebody_garbled_stop_nobody(db_path: Path, entities: str) -> None:
    make_older(db_path, 2)
    with closing(sqlite3.connect(db_path)) as connection:
        connection.execute("UPDATE memories SET entities = ? WHERE entities IS NOT NULL", (entities,))
        connection.commit()

    store = open_sqlite(db_path)
    add(store, memory("Goes on"))
    store.close()

    assert version_of(db_path) == len(schema.MIGRATIONS)


def test_what_is_right_already_is_not_written(db_path: Path) -> None:
    make_older(db_path, 3)
    open_sqlite(db_path).close()
    asked: list[str] = []

    with closing(sqlite3.connect(db_path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 3")
        connection.set_trace_callback(asked.append)
        schema.prepare(connection, str(db_path), 10)

    assert not any(each.startswith("UPDATE memories") for each in asked)


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("written", [1, 50, 103])
def test_who_is_killed_half_way_leaves_the_older_version(db_path: Path, version: int, written: int) -> None:
    right = make_older(db_path, version)

    died = subprocess.run([sys.executable, "-c", DYING, db_path, str(written)], check=False)
    assert died.returncode == -signal.SIGKILL
    assert version_of(db_path) == version

    open_sqlite(db_path).close()
    assert rows_of(db_path) == right


def test_many_processes_may_open_it_at_once(db_path: Path) -> None:
    right = make_older(db_path, 1)
    command = [sys.executable, SCRIPT, "add_many", db_path]
    processes = [
        subprocess.Popen([*command, f"process {number}", "20"], stdin=subprocess.PIPE, text=True)
        for number in range(4)
    ]
    for process in processes:
        process.communicate("go\n", timeout=300)

    assert [process.returncode for process in processes] == [0] * 4
    store = open_sqlite(db_path)
    assert rows_of(db_path)[: len(right)] == right
    assert sum(1 for _ in store.dump()) == len(right) + 4 * 20
    check_file(str(db_path), store)
    store.close()
