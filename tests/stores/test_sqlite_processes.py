"""Several processes on one file: nothing is lost, nothing is locked, and everything is seen at once."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from store_material import NOW, add, memory, recalled
from store_process import check_file

from headroom.memory import MemoryFilter
from headroom.memory.stores.sqlite import SqliteStore

SCRIPT = Path(__file__).with_name("store_process.py")


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, SCRIPT, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output


def test_what_one_process_stores_the_others_next_recall_finds(
    db_path: Path, open_file: Callable[..., SqliteStore]
) -> None:
    store = open_file()
    other = start("converse", db_path)
    assert other.stdin is not None
    assert other.stdout is not None

    def ask(line: str) -> str:
        print(line, file=other.stdin, flush=True)
        return other.stdout.readline().rstrip("\n")  # type: ignore[union-attr]

    for number in range(50):
        add(store, memory(f"Ours {number}"))
        assert f"Ours {number}" in ask(f"recall Ours {number}").split("|")
        assert ask(f"add Theirs {number}") == "added"
        assert f"Theirs {number}" in recalled(store, f"Theirs {number}")

    finish(other)


def test_eight_processes_that_begin_a_file_and_add_at_once_lose_nothing(
    db_path: Path, open_file: Callable[..., SqliteStore]
) -> None:
    processes = [start("add_many", db_path, f"process {number}", 200) for number in range(8)]
    for process in processes:
        assert process.stdin is not None
        print("go", file=process.stdin, flush=True)
    for process in processes:
        finish(process)

    store = open_file()
    users = [f"user {number}" for number in range(3)]
    assert sum(store.count(MemoryFilter(user_id=user), NOW) for user in users) == 1_600
    check_file(str(db_path), store)


@pytest.mark.parametrize("command", ["fork_while_open", "fork_while_busy", "fork_while_indexing"])
def test_a_store_made_before_a_fork_serves_both_sides(db_path: Path, command: str) -> None:
    assert finish(start(command, db_path)) == "done\n"


def test_what_was_acknowledged_survives_a_hundred_kills(db_path: Path) -> None:
    output = finish(start("kill_writers", db_path, 100))

    assert int(output.removeprefix("stored ")) > 100


def test_a_full_disk_is_an_error_with_a_remedy_and_costs_nothing_but_that(db_path: Path) -> None:
    output = finish(start("limited", db_path, 1_500_000))

    message, stored = output.splitlines()
    assert "nothing was stored" in message
    assert int(stored.removeprefix("stored ")) > 10
