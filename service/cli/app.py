"""The command tree and what becomes of refusals: one line for people, one JSON object for scripts, an exit code."""

import sys
from collections.abc import Sequence

import typer

from service.cli import demo

EPILOG = (
    "Exit codes: 0 done; 1 refused (nothing was changed); 2 wrong usage; 3 a setting or server is missing; "
    "4 not finished or not healthy."
)

app = typer.Typer(
    name="milepost",
    help="Training newsletters that people asked for, to nobody else, never twice.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
# A sub-application without a name puts its commands at the top level.
app.add_typer(demo.app)


@app.callback()
def _top() -> None:
    pass


def main(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    return int(app(args=list(argv), prog_name="milepost", standalone_mode=False) or 0)


def run() -> None:
    sys.exit(main(sys.argv[1:]))
