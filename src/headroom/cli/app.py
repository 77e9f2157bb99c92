"""The commands, put together."""

from importlib.metadata import version
from typing import Annotated

import typer

from headroom.cli import maintenance
from headroom.cli.demo import demo

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(demo)
app.command()(maintenance.stats)
app.command()(maintenance.export)
app.command("import")(maintenance.import_)
app.command()(maintenance.reindex)
app.command()(maintenance.vacuum)


def _print_version(wanted: bool | None) -> None:  # noqa: FBT001 - typer's signature
    if wanted:
        typer.echo(version("headroom-memory"))
        raise typer.Exit


@app.callback()
def headroom(
    _version: Annotated[
        bool | None,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = None,
) -> None:
    """Persistent memory for LLM applications."""
