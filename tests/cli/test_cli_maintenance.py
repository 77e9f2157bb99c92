"""What an operator does with a database: stats, export, import, reindex, vacuum."""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from headroom.memory import Engine, MemoryConfig, MemoryFilter

Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.usefixtures("database")


def contents(path: Path, user: str = "bob") -> set[str]:
    with Engine(MemoryConfig(db_path=path)) as engine:
        return {
            memory.content for memory in engine.query(MemoryFilter(user_id=user, include_superseded=True))
        }


def test_stats_count_a_users_memories(call: Run) -> None:
    done = call("stats", "--user", "bob")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    figures = {" ".join(row[:-1]): row[-1] for row in rows if row}
    assert figures["preference"] == "1"
    assert figures["context"] == "1"
    assert figures["fact"] == "1"
    assert figures["all"] == "3"
    assert figures["earlier versions"] == "1"


def test_stats_without_a_user_are_about_the_whole_database(call: Run) -> None:
    done = call("stats")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    figures = {" ".join(row[:-1]): row[-1] for row in rows if row}
    assert figures["preference"] == figures["context"] == "1"
    assert figures["fact"] == "2"
    assert figures["all"] == "4"
    assert figures["earlier versions"] == "1"
    assert figures["users"] == "2"
    assert "Embedded by all-MiniLM-L6-v2-int8 (384 dimensions)" in done.stdout


def test_stats_of_a_database_without_memories_are_zeros(call: Run, tmp_path: Path) -> None:
    with Engine(MemoryConfig(db_path=tmp_path / "empty.db")):
        pass
    done = call("stats", "--db", "empty.db")
    assert done.returncode == 0, done.stderr
    assert ["users", "0"] in [line.split() for line in done.stdout.splitlines()]
    assert "Embedded" not in done.stdout


def test_an_export_is_imported_elsewhere_with_its_history(call: Run, database: Path, tmp_path: Path) -> None:
    exported = call("export", "memories.jsonl")
    assert exported.returncode == 0, exported.stderr
    assert "5 versions of memories" in exported.stderr
    imported = call("import", "memories.jsonl", "--db", "copy.db")
    assert imported.returncode == 0, imported.stderr
    assert "5 versions of memories" in imported.stderr
    assert contents(tmp_path / "copy.db") == contents(database)
    assert contents(tmp_path / "copy.db", "alice") == {"Likes the sea"}


def test_importing_twice_is_importing_once(call: Run) -> None:
    call("export", "memories.jsonl")
    assert "0 versions of memories" in call("import", "memories.jsonl").stderr


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"garbage\n",
        b"SQLite format 3\0\xff\xfe",
        b'{"format": "headroom-memory", "version": 1}\n{',
    ],
)
def test_an_import_that_cannot_be_leaves_no_database(
    call: Run, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "dump").write_bytes(content)
    done = call("import", "dump", "--db", "fresh.db")
    assert done.returncode == 1
    assert done.stderr.startswith("headroom: ")
    assert list(tmp_path.glob("fresh.db*")) == []


def test_one_users_export_holds_nothing_of_others(call: Run, tmp_path: Path) -> None:
    assert "Exported 1 version of a memory." in call("export", "alice.jsonl", "--user", "alice").stderr
    assert "Bob" not in (tmp_path / "alice.jsonl").read_text()


def test_export_and_import_work_in_a_pipe(run: Run, database: Path, tmp_path: Path) -> None:
    exported = run("export", "-")
    header, *lines = [json.loads(line) for line in exported.stdout.splitlines()]
    assert header["format"] == "headroom-memory"
    assert len(lines) == 5
    imported = run("import", "-", "--db", "copy.db", stdin=exported.stdout)
    assert imported.returncode == 0, imported.stderr
    assert contents(tmp_path / "copy.db") == contents(database)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_goes_through_a_pipe_is_utf_8_whatever_the_locale(
    run: Run, database: Path, tmp_path: Path, encoding: str
) -> None:
    with Engine(MemoryConfig(db_path=database)) as engine:
        engine.add("Łukasz liebt Käse und 寿司", "łukasz")
    exported = run("export", "-", PYTHONIOENCODING=encoding)
    assert exported.returncode == 0, exported.stderr

    dump = "\ufeff" + exported.stdout  # as Windows' tools begin a file
    imported = run("import", "-", "--db", "copy.db", stdin=dump, PYTHONIOENCODING=encoding)

    assert imported.returncode == 0, imported.stderr
    assert contents(tmp_path / "copy.db", "łukasz") == {"Łukasz liebt Käse und 寿司"}


def test_what_a_terminal_cannot_show_stops_nothing(run: Run) -> None:
    done = run("stats", "--user", "łukasz", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "?ukasz in memory.db" in done.stdout


def test_vacuum_removes_what_has_expired(call: Run, database: Path) -> None:
    now = datetime.now(UTC)
    with Engine(MemoryConfig(db_path=database)) as engine:
        for number in range(3):
            past = {"valid_from": now - timedelta(days=2), "expires_at": now - timedelta(days=1)}
            engine.add(f"Parked on level {number}", "bob", **past)
    done = call("vacuum")
    assert done.returncode == 0, done.stderr
    assert "Removed 3 versions of memories" in done.stderr
    assert len(contents(database)) == 4


class OtherEmbedder:
    name = "another"
    dimension = 8

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        return np.eye(8, dtype=np.float32)[[len(text) % 8 for text in texts]]


def test_reindex_makes_another_models_database_searchable_again(call: Run, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with Engine(MemoryConfig(db_path=path, embedder=OtherEmbedder())) as engine:
        engine.add("Prefers Go for performance-critical code", "bob")
    done = call("reindex", "--db", "other.db")
    assert done.returncode == 0, done.stderr
    assert "1 version of a memory" in done.stderr
    with Engine(MemoryConfig(db_path=path)) as engine:
        assert engine.search("Which language is preferred?", "bob")
    assert "0 versions of memories" in call("reindex", "--db", "other.db").stderr


@pytest.mark.parametrize(
    "command", [["stats"], ["stats", "--user", "bob"], ["export", "-"], ["reindex"], ["vacuum"]]
)
def test_a_database_that_is_not_there_is_not_made(call: Run, tmp_path: Path, command: list[str]) -> None:
    done = call(*command, "--db", "elsewhere.db")
    assert done.returncode == 2
    assert "elsewhere.db" in done.stderr
    assert not (tmp_path / "elsewhere.db").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["import", "memory.db"], "nothing was imported"),
        (["import", "missing.jsonl"], "missing.jsonl"),
        (["export", "no/such/folder.jsonl"], "no/such/folder.jsonl: its directory does not exist"),
        (["export", "."], "it is a directory"),
        (["stats", "--db", "text.db"], "text.db"),
        (["stats", "--user", "bob", "--db", "text.db"], "text.db"),
        (["reindex", "--backend", "ollama"], "ollama"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(
    call: Run, tmp_path: Path, command: list[str], message: str
) -> None:
    (tmp_path / "text.db").write_text(
        "This is no database, but a text that is long enough to be mistaken for one.\n" * 20
    )
    done = call(*command)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("headroom: ")
    assert message in done.stderr
