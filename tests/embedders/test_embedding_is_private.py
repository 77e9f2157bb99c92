"""Embedding with the bundled model leaves no trace outside: no file, no message to anybody."""

import os
import subprocess
import sys
from pathlib import Path

WATCHED = """
import socket, sys, time

def forbid(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        print(event, arguments, file=sys.stderr)

sys.addaudithook(forbid)
from headroom.memory.config import MemoryConfig
from headroom.memory.embedders import create_embedder
embeddings = create_embedder(MemoryConfig())
embeddings.embed(["a private fact"])
time.sleep(1)
"""


def test_nothing_is_written_to_the_home_directory_and_nobody_is_called(tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        env={**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
