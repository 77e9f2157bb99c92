"""What the demonstration prints: who says what, and what the memory did about it."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headroom.exchange import ExchangeTrace
from headroom.face import ScopedMemory
from headroom.memory.model import Memory

_LABEL_WIDTH: Final = 8

_INTRODUCTION: Final = """\
Each call goes through the openai SDK, wrapped by headroom: what is remembered and fits is
put before the message (injected); the model notes what is worth knowing; its notes are
taken out of the answer and stored (noted).""".replace("\n", " ")

_FIRST_RECALL: Final = " (recall loaded the embedding model)"
_STAND_IN: Final = "no OPENAI_API_KEY is set: a scripted stand-in answers, on"
_ALL_ELSE_IS_REAL: Final = "All else is real: the SDK, HTTP, the embedding of texts, the database."


class Narration:
    """Prints the demonstration, for a terminal of any width or a pipe.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._first = True

    def introduce(self, model: str | None, endpoint: str) -> None:
        """Say what is about to happen, and what answers; the model None is the scripted stand-in."""
        self._heading("Two sessions of one user, and a memory between them")
        self._console.print(_INTRODUCTION)
        self._console.print()
        who = f"{_STAND_IN} {endpoint}\n{_ALL_ELSE_IS_REAL}" if model is None else f"{model} at {endpoint}"
        self._rows([("model", Text(who))])

    def name_database(self, path: Path, *, kept: bool) -> None:
        """Say where the memories are."""
        until = "kept" if kept else "removed at the end; --db keeps one"
        self._rows([("database", Text(f"{path} ({until})"))])

    def begin_session(self, session: str) -> None:
        """A new conversation begins."""
        self._heading(f"{session.capitalize()} (session_id={session!r})")

    def explain(self, message: str, answer: str, trace: ExchangeTrace) -> None:
        """One call: what was said, and what the memory did."""
        self._console.print()
        self._rows(
            [
                ("you", Text(message, style="bold")),
                ("injected", _dim(trace.injected_text or "nothing: no memory fits")),
                ("model", Text(answer, style="green")),
                ("noted", _noted(trace)),
                ("time", _dim(_times(trace) + _FIRST_RECALL * self._first)),
            ]
        )
        self._first = False

    def conclude(self, client_memory: ScopedMemory) -> None:
        """What is stored in the end, and how it came about."""
        self._heading("What is stored now")
        memories = client_memory.get_all()
        stored = _table("Category", "Scope", "Content", "Since")
        for memory in memories:
            scope = "user" if memory.session_id is None else f"session {memory.session_id!r}"
            since = f"{memory.valid_from.astimezone():%Y-%m-%d %H:%M}"
            stored.add_row(memory.category, scope, Text(memory.content), since)
        self._console.print(stored)
        for changed in (memory for memory in memories if memory.supersedes is not None):
            self._heading("A fact that changed, and its history")
            history = _table("Content", "Since", "Until")
            for version in client_memory.history(changed.id):
                until = "now" if version.valid_until is None else _precise(version.valid_until)
                history.add_row(Text(version.content), _precise(version.valid_from), until)
            self._console.print(history)

    def _heading(self, text: str) -> None:
        self._console.print()
        self._console.rule(Text(text, style="bold"), align="left")

    def _rows(self, rows: Sequence[tuple[str, Text]]) -> None:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(min_width=_LABEL_WIDTH, style="cyan", no_wrap=True)
        grid.add_column(overflow="fold")
        for label, text in rows:
            grid.add_row(label, text)
        self._console.print(grid)


def _dim(text: str) -> Text:
    return Text(text, style="dim")


def _noted(trace: ExchangeTrace) -> Text:
    lines = [Text.assemble("+ ", memory.content, (f"  ({_kind(memory)})", "dim")) for memory in trace.stored]
    lines += [
        Text.assemble("~ ", new.content, (f"  ({_kind(new)}; it was: {old.content})", "dim"))
        for old, new in trace.superseded
    ]
    lines += [Text.assemble("- ", memory.content, ("  (forgotten)", "dim")) for memory in trace.forgotten]
    lines += [
        Text.assemble("! ", refusal.what, (f"  ({refusal.reason})", "dim")) for refusal in trace.refused
    ]
    lines += [Text(f"! {failure.step} failed: {failure.error}", style="red") for failure in trace.failures]
    return Text("\n").join(lines) if lines else _dim("nothing new")


def _kind(memory: Memory) -> str:
    return f"{memory.category}, for the {memory.level}"


def _times(trace: ExchangeTrace) -> str:
    steps = {"recall": trace.recall_time, "model": trace.model_time, "storing": trace.store_time}
    times = [f"{step} {1000 * seconds:.1f} ms" for step, seconds in steps.items() if seconds is not None]
    return " · ".join([*times, f"{trace.injected_tokens} tokens injected"])


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in {"Since", "Until"})
    return table


def _precise(time: datetime) -> str:
    return time.astimezone().isoformat(" ", "milliseconds")[:-6]
