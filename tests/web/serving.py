"""Starts servers as their users do, in processes of their own on loopback, and ends them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 60
"""Seconds to wait for a server to come up or go down."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(command: Sequence[str], port: int, folder: Path, **environment: str) -> Iterator[str]:
    """Run `command`, which serves on `port`, in `folder`; give its URL, and end it afterwards.

    It must end when it is asked to, and not fail.
    """
    log = folder / "server.log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *command],
            cwd=folder,
            env=inherited | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            _wait_for(port, process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                ended = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    assert ended in {0, -signal.SIGTERM}, log.read_text()
    assert "Traceback" not in log.read_text(), log.read_text()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, f"nothing listens: {log.read_text()}"
            time.sleep(0.05)
        else:
            return
