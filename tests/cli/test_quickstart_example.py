"""examples/quickstart.py, as a newcomer starts it."""

import os
import subprocess
import sys
from pathlib import Path

from headroom.testing import ScriptedServer, remembering

EXAMPLE = Path(__file__).parents[2] / "examples" / "quickstart.py"


def quickstart(folder: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(folder.iterdir()) == []
    return done.stdout


def test_it_runs_without_a_key(tmp_path: Path) -> None:
    shown = quickstart(tmp_path)
    assert "a scripted stand-in answers" in shown
    assert "assistant: I would go with Python, since you prefer Python for backend work." in shown
    assert "remembered: ['Prefers Python for backend work']" in shown


def test_it_talks_to_an_endpoint_with_a_key(tmp_path: Path) -> None:
    with ScriptedServer(remembering) as server:
        shown = quickstart(tmp_path, OPENAI_API_KEY="not-a-key", OPENAI_BASE_URL=server.base_url)
    assert "stand-in" not in shown
    assert len(server.requests) == 2
