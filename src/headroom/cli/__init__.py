"""The `headroom` command: a demonstration, and what an operator needs for a database of memories."""

import sys
from importlib.util import find_spec
from io import TextIOWrapper

from headroom.errors import HeadroomError, MissingDependencyError


def main() -> None:
    """Run the command line. It exits with 1 for what went wrong, with 2 for how the command was used."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal cannot show is no reason to stop
    try:
        for package in ("typer", "rich"):
            if find_spec(package) is None:
                raise MissingDependencyError(package, "cli")
        from headroom.cli.app import app  # noqa: PLC0415 - only here is it known that its imports are installed

        app(prog_name="headroom")
    except (HeadroomError, OSError) as error:
        sys.exit(f"headroom: {error}")
