"""The command as a user starts it, and a database with something in it."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from headroom.cli import main
from headroom.memory import Engine, MemoryConfig

Completed = subprocess.CompletedProcess
Run = Callable[..., Completed[str]]


@pytest.fixture(scope="session")
def run_in() -> Run:
    """Run the command in a folder, without a key."""

    def running(folder: Path, *arguments: str, stdin: str = "", **environment: str) -> Completed[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "headroom.cli", *arguments],
            cwd=folder,
            env={**kept, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    return running


@pytest.fixture
def run(run_in: Run, tmp_path: Path) -> Run:
    """Run the command in an empty folder, without a key."""
    return partial(run_in, tmp_path)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in an empty folder, without a process of its own: faster."""
    monkeypatch.chdir(tmp_path)

    def calling(*arguments: str) -> Completed[str]:
        monkeypatch.setattr(sys, "argv", ["headroom", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        output, errors = capsys.readouterr()
        if isinstance(ended.value.code, str):  # what the interpreter does with it
            return Completed(arguments, 1, output, f"{errors}{ended.value.code}\n")
        return Completed(arguments, ended.value.code or 0, output, errors)

    return calling


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Three memories of Bob's, one of them with an earlier version, and one of Alice's."""
    path = tmp_path / "memory.db"
    with Engine(MemoryConfig(db_path=path)) as engine:
        engine.add("Prefers Go for performance-critical code", "bob", category="preference")
        engine.add("Is migrating the billing service", "bob", "morning", category="context")
        job = engine.add("Works at Initech", "bob")
        engine.supersede(job.id, "Works at Globex")
        engine.add("Likes the sea", "alice")
    return path
