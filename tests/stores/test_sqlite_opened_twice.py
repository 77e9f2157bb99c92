"""One file opened more than once in a process, beside other processes: all see what any of them wrote."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from headroom.memory import Engine, MemoryConfig

ANOTHER_PROCESS = """
import sys
from headroom.memory import Engine, MemoryConfig, MemoryFilter
with Engine(MemoryConfig(db_path=sys.argv[1])) as engine:
    for content in sys.argv[2:]:
        engine.add(content, "alice")
    print([memory.content for memory in engine.query(MemoryFilter(user_id="alice"))])
"""

OPENING_AT_ONCE = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from headroom.memory import Engine, MemoryConfig

def open_it(number):
    together.wait()
    with Engine(MemoryConfig(db_path=sys.argv[1])) as engine:
        return engine.count("alice")

together = threading.Barrier(4)
input()
with ThreadPoolExecutor(4) as threads:
    assert list(threads.map(open_it, range(4))) == [0] * 4
"""


def another_process(path: Path, *contents: str) -> str:
    command = [sys.executable, "-c", ANOTHER_PROCESS, str(path), *contents]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_opening_a_file_again_does_not_cut_the_first_one_off_from_other_processes(tmp_path: Path) -> None:
    config = MemoryConfig(db_path=tmp_path / "memory.db")
    with Engine(config) as first:
        first.add("One", "alice")
        with Engine(config) as second:
            another_process(tmp_path / "memory.db", "Two")
            first.add("Three", "alice")
            second.add("Four", "alice")
            everything = "['One', 'Two', 'Three', 'Four']"
            assert another_process(tmp_path / "memory.db") == everything
        assert first.count("alice") == 4
    assert another_process(tmp_path / "memory.db") == everything


def test_threads_and_processes_may_all_make_the_file_at_once(tmp_path: Path) -> None:
    for number in range(5):
        command = [sys.executable, "-c", OPENING_AT_ONCE, str(tmp_path / f"{number}.db")]
        pipe = subprocess.PIPE
        processes = [subprocess.Popen(command, stdin=pipe, stderr=pipe, text=True) for _ in range(3)]
        barrier = threading.Barrier(len(processes))

        def start(process: subprocess.Popen[str], barrier: threading.Barrier = barrier) -> tuple[int, str]:
            barrier.wait()
            _, error = process.communicate("go\n")
            return process.returncode, error

        with ThreadPoolExecutor(len(processes)) as threads:
            assert list(threads.map(start, processes)) == [(0, "")] * len(processes)


def test_the_file_may_be_made_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    with Engine(MemoryConfig(db_path=tmp_path / "link.db")) as engine:
        engine.add("One", "alice")
    assert (tmp_path / "real.db").stat().st_mode & 0o777 == 0o600
