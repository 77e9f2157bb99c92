"""The command itself: help, version, and what it says when it cannot work."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points, version

import pytest
from typer.testing import CliRunner

from headroom.cli import main
from headroom.cli.app import app

Run = Callable[..., subprocess.CompletedProcess[str]]

COMMANDS = ["demo", "stats", "export", "import", "reindex", "vacuum"]


def test_headroom_is_the_installed_command() -> None:
    (script,) = entry_points(group="console_scripts", name="headroom")
    assert script.load() is main


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in shown.output


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert "--db" in shown.output


def test_the_version_is_the_distributions() -> None:
    assert CliRunner().invoke(app, ["--version"]).output.strip() == version("headroom-memory")


def test_a_wrong_use_exits_with_2(call: Run) -> None:
    done = call("remember", "everything")
    assert done.returncode == 2
    assert "remember" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("package", ["rich", "typer"])
def test_a_missing_package_is_named_with_the_remedy(package: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; from headroom.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f'headroom: {package} is not installed; run: pip install "headroom-memory[cli]"\n'


def test_a_missing_openai_is_named_when_the_demonstration_needs_it() -> None:
    program = "import sys; sys.modules['openai'] = None; from headroom.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "demo"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == 'headroom: openai is not installed; run: pip install "headroom-memory[cli]"\n'
