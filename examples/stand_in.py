"""What the examples share: a model to talk to where there is no key, and the port to listen on."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

from headroom.testing import ScriptedServer, remembering

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")


@contextmanager
def model_server() -> Iterator[None]:
    """With OPENAI_API_KEY set, OpenAI's or OPENAI_BASE_URL's; without, a scripted stand-in on loopback."""
    if "OPENAI_API_KEY" in os.environ:
        yield
        return
    with ScriptedServer(remembering) as server:
        os.environ |= {"OPENAI_API_KEY": "not needed", "OPENAI_BASE_URL": server.base_url}
        print("No OPENAI_API_KEY is set: a scripted stand-in for a model answers.")
        yield


def port_to_serve() -> int:
    """The argument `--port`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000, help="where to listen on 127.0.0.1")
    port: int = parser.parse_args().port
    return port
