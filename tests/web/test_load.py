"""Many requests of many users at once, on real servers with four processes and one database file.

`benchmarks/stress.py` makes them, ten times as many where it is run by itself, and says what went wrong.
"""

import subprocess
import sys

import pytest
from serving import ROOT


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_nothing_ever_runs_in_the_scope_of_somebody_elses_request_and_nothing_is_lost(server: str) -> None:
    stress = [ROOT / "benchmarks" / "stress.py", "--server", server, "--requests", "1000", "--users", "100"]
    done = subprocess.run([sys.executable, *stress], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 wrong" in done.stdout
