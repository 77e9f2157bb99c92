"""What the README shows runs as written."""

import ast
import asyncio
import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

from headroom.testing import ScriptedServer, remembering

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [line for language, code in BLOCKS if language == "bash" for line in code.splitlines() if line]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The environment a reader would have: keys set, and an endpoint that answers."""
    monkeypatch.chdir(tmp_path)
    with ScriptedServer(remembering) as server:
        root = server.base_url.removesuffix("/v1")
        for name, value in {
            "OPENAI_API_KEY": "test",
            "OPENAI_BASE_URL": server.base_url,
            "GROQ_API_KEY": "test",
            "GROQ_BASE_URL": root,
            "AZURE_OPENAI_API_KEY": "test",
            "AZURE_OPENAI_ENDPOINT": root,
            "OPENAI_API_VERSION": "2024-10-21",
        }.items():
            monkeypatch.setenv(name, value)
        yield


def run(block: CodeType) -> None:
    """Run a block the way a script or, where it awaits, a notebook would."""
    result = eval(block, {"__name__": "readme"})  # noqa: S307 - our own README
    if inspect.iscoroutine(result):
        asyncio.run(result)


@pytest.mark.usefixtures("endpoint")
@pytest.mark.parametrize("code", PYTHON)
def test_python_block_runs(code: str) -> None:
    run(compile(code, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))


def test_there_are_python_blocks_to_run() -> None:
    assert len(PYTHON) >= 5


def test_headroom_commands_run_one_after_the_other(tmp_path: Path) -> None:
    commands = [shlex.split(line.rpartition("&&")[2], comments=True) for line in SHELL if "headroom " in line]
    assert len(commands) >= 2
    for command in commands:
        assert command[0] == "headroom"
        done = subprocess.run(
            [sys.executable, "-m", "headroom.cli", *command[1:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert not re.search(r"^ +all +0 *$", done.stdout, re.MULTILINE), command
