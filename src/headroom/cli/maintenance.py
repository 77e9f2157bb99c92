"""What an operator does with a database of memories: look into it, move it, re-embed it, tidy it up."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from headroom.memory import transfer
from headroom.memory.config import EmbedderBackend, MemoryConfig
from headroom.memory.engine import Engine
from headroom.memory.engine import Progress as Report

Database = Annotated[
    Path, typer.Option("--db", exists=True, dir_okay=False, help="The database.", show_default=True)
]
NewDatabase = Annotated[
    Path, typer.Option("--db", dir_okay=False, help="The database; made if it is not there.")
]
Backend = Annotated[EmbedderBackend, typer.Option(help="What embeds the texts.")]
Model = Annotated[str | None, typer.Option(help="Its model; by default the backend's usual one.")]
User = Annotated[str | None, typer.Option(help="Only this user's memories.")]

DEFAULT_DATABASE = Path(str(MemoryConfig().db_path))

_messages = Console(stderr=True, highlight=False)


def stats(db: Database = DEFAULT_DATABASE, user: User = None) -> None:
    """Show how much is remembered, in all or for one user."""
    with Engine(MemoryConfig(db_path=db)) as engine:
        figures = engine.overview() if user is None else engine.stats(user)
    whose = "" if user is None else f"{user} in "
    title = f"{whose}{db} ({decimal(figures['database_bytes'])})"
    table = Table("Category", Column("Memories", justify="right"), box=SIMPLE_HEAD, title=Text(title))
    for category, count in figures["categories"].items():
        table.add_row(category, f"{count:,}")
    table.add_section()
    table.add_row("all", f"{figures['total']:,}")
    table.add_row("earlier versions", f"{figures['superseded']:,}")
    if "users" in figures:
        table.add_row("users", f"{figures['users']:,}")
    console = Console(highlight=False)
    console.print(table)
    if "users" in figures and figures["embedder"]:
        console.print(Text(f"Embedded by {figures['embedder']} ({figures['dimension']} dimensions)."))


def export(
    target: Annotated[str, typer.Argument(help="The file to write, JSON lines; - for standard output.")],
    db: Database = DEFAULT_DATABASE,
    user: User = None,
) -> None:
    """Write all memories with their history to a file."""
    with Engine(MemoryConfig(db_path=db)) as engine, _messages.status("Exporting"):
        count = engine.export(_in_utf_8(sys.stdout) if target == "-" else target, user)
    _messages.print(f"Exported {_versions(count)}.")


def import_(
    source: Annotated[str, typer.Argument(help="The file that export wrote; - for standard input.")],
    db: NewDatabase = DEFAULT_DATABASE,
    backend: Backend = EmbedderBackend.LOCAL,
    model: Model = None,
) -> None:
    """Read memories from a file; those that are there already are left as they are."""
    config = MemoryConfig(db_path=db, embedder_backend=backend, embedder_model=model)
    # Before there is a database, so that none is left behind where nothing can be imported.
    with transfer.opened_for_reading(_in_utf_8(sys.stdin) if source == "-" else source) as file:
        dump = transfer.checked_copy(file)
    with Engine(config) as engine, _progress("Embedding") as report:
        count = engine.import_(dump, report)
    _messages.print(f"Imported {_versions(count)}.")


def reindex(
    db: Database = DEFAULT_DATABASE, backend: Backend = EmbedderBackend.LOCAL, model: Model = None
) -> None:
    """Embed all memories anew, after a change of the embedder; interrupted, it goes on at the next call."""
    config = MemoryConfig(db_path=db, embedder_backend=backend, embedder_model=model)
    with Engine(config) as engine, _progress("Embedding") as report:
        count = engine.reindex(report)
    _messages.print(f"Embedded {_versions(count)}.")


def vacuum(db: Database = DEFAULT_DATABASE) -> None:
    """Remove what has expired and give the space back."""
    with Engine(MemoryConfig(db_path=db)) as engine, _messages.status("Tidying up"):
        before = db.stat().st_size
        count = engine.vacuum()
    _messages.print(f"Removed {_versions(count)}; {decimal(before)} became {decimal(db.stat().st_size)}.")


def _in_utf_8(stream: TextIO) -> TextIO:
    """The stream as dumps are written and read, whatever the locale says of terminals."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(encoding="utf-8-sig" if stream.readable() else "utf-8")
    return stream


@contextmanager
def _progress(label: str) -> Iterator[Report]:
    """A progress bar, which appears with the first report."""
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_messages, transient=True, disable=not _messages.is_terminal) as progress:
        bar = progress.add_task(label, visible=False)
        yield lambda done, total: progress.update(bar, completed=done, total=total, visible=True)


def _versions(count: int) -> str:
    return "1 version of a memory" if count == 1 else f"{count:,} versions of memories"
