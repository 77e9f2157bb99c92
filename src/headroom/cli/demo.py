"""`headroom demo`: two sessions of one user, and what the memory did in each call."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from headroom.cli.narration import Narration
from headroom.clients import with_memory
from headroom.errors import MissingDependencyError
from headroom.testing import ScriptedServer, remembering

if TYPE_CHECKING:
    from headroom.exchange import ExchangeTrace

USER: Final = "bob"

SESSIONS: Final = {
    "morning": (
        "I prefer Go for performance-critical services, and I work at Initech as a backend engineer.",
        "Today I'm migrating our billing service to Kubernetes.",
    ),
    "afternoon": (
        "What language should I use for my new performance-critical service?",
        "By the way: I now work at Globex as a backend engineer.",
        "Where do I work?",
    ),
}
"""What the user says."""


def demo(
    db: Annotated[
        Path | None, typer.Option(dir_okay=False, help="A database to keep; by default a temporary one.")
    ] = None,
    model: Annotated[str, typer.Option(envvar="OPENAI_MODEL", help="The model to talk to.")] = "gpt-4o-mini",
) -> None:
    """Watch a memory at work, over two sessions of one user.

    With OPENAI_API_KEY set (and OPENAI_BASE_URL) it talks to that endpoint; without, to a scripted stand-in.
    """
    try:
        from openai import OpenAI, OpenAIError  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise MissingDependencyError("openai", "cli") from None

    narration = Narration(Console(highlight=False))
    with ExitStack() as stack:
        if "OPENAI_API_KEY" in os.environ:
            narration.introduce(model, os.environ.get("OPENAI_BASE_URL", "the OpenAI API"))
            openai = stack.enter_context(OpenAI())
        else:
            server = stack.enter_context(ScriptedServer(remembering))
            narration.introduce(None, server.base_url)
            openai = stack.enter_context(OpenAI(base_url=server.base_url, api_key="not needed"))
        path = db or Path(stack.enter_context(TemporaryDirectory(prefix="headroom-"))) / "memory.db"
        narration.name_database(path, kept=db is not None)
        traces: list[ExchangeTrace] = []
        try:
            for session, messages in SESSIONS.items():
                client = with_memory(
                    openai, user_id=USER, session_id=session, db_path=path, on_exchange=traces.append
                )
                narration.begin_session(session)
                for message in messages:
                    completion = client.chat.completions.create(
                        model=model, messages=[{"role": "user", "content": message}]
                    )
                    narration.explain(message, completion.choices[0].message.content or "", traces[-1])
        except OpenAIError as error:
            sys.exit(f"headroom: the model did not answer: {error}")
        narration.conclude(client.memory)
