"""`python -m headroom.cli` is the `headroom` command."""

from headroom.cli import main

main()
