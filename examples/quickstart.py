"""The Quick Start: python examples/quickstart.py.

With OPENAI_API_KEY set it talks to OpenAI or OPENAI_BASE_URL; without, to a scripted stand-in on loopback.
"""

import os
from contextlib import ExitStack, chdir
from tempfile import TemporaryDirectory

from openai import OpenAI

from headroom import with_memory
from headroom.testing import ScriptedServer, remembering

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")


def quick_start() -> None:
    # One line: that's it
    client = with_memory(OpenAI(), user_id="alice")

    # Use it exactly like normal
    response = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "I prefer Python for backend work"}],
    )
    print("assistant:", response.choices[0].message.content)

    # Later, in a new conversation...
    response = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "What language should I use?"}],
    )
    print("assistant:", response.choices[0].message.content)

    print("remembered:", [memory.content for memory in client.memory.get_all()])


if __name__ == "__main__":
    with ExitStack() as stack:
        if "OPENAI_API_KEY" not in os.environ:
            server = stack.enter_context(ScriptedServer(remembering))
            os.environ |= {"OPENAI_API_KEY": "not needed", "OPENAI_BASE_URL": server.base_url}
            print(f"No OPENAI_API_KEY is set: a scripted stand-in answers, on {server.base_url}.")
        stack.enter_context(chdir(stack.enter_context(TemporaryDirectory())))  # memory.db is made here
        quick_start()
