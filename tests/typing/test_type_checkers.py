"""Type checkers see a wrapped client as its own type, with a memory."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

Found = dict[int, set[str]]
"""The kinds of errors by line."""


def run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def mypy(path: Path) -> Found:
    output = run(
        sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", str(path)
    )
    errors = re.findall(rf"{path.name}:(\d+): error: .*\[([\w-]+)\]$", output, re.MULTILINE)
    assert output.count("error:") == len(errors), output
    return {int(line): {kind} for line, kind in errors}


def pyright(path: Path) -> Found:
    # Based on pyright, and without a download when it is run first.
    output = json.loads(
        run(
            sys.executable,
            "-m",
            "basedpyright",
            "--outputjson",
            "--level",
            "error",
            "--pythonpath",
            sys.executable,
            str(path),
        )
    )
    found: Found = {}
    for error in output["generalDiagnostics"]:
        found.setdefault(error["range"]["start"]["line"] + 1, set()).add(error["rule"])
    return found


@pytest.mark.parametrize("check", [mypy, pyright])
def test_correct_use_is_accepted(check: Callable[[Path], Found]) -> None:
    assert check(HERE / "usage.py") == {}


@pytest.mark.parametrize("check", [mypy, pyright])
def test_misuse_is_refused(check: Callable[[Path], Found]) -> None:
    path = HERE / "misuse.py"
    expected: Found = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if comment := re.search(r"# (\S+) / (\S+)$", line):
            expected[number] = {comment[1 if check is mypy else 2]}
    found = check(path)
    assert found.keys() == expected.keys()
    assert all(kinds & found[line] for line, kinds in expected.items())
