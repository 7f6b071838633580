"""The command tree and what becomes of refusals: one line for people, one JSON object for scripts, an exit code."""

import sys
from collections.abc import Sequence

import typer

from service.cli import (
    access,
    audit,
    campaigns,
    consent,
    content,
    demo,
    digests,
    dkim,
    doctor,
    forms,
    imports,
    installing,
    privacy,
    relay_probe,
    serving,
    signups,
    status,
)
from service.cli.console import note, show_json
from service.cli.refusals import explain

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
for top_level in (demo, serving, installing, doctor, status, audit):
    app.add_typer(top_level.app)
app.add_typer(serving.worker_app, name="worker")
for name, group in (
    ("content", content),
    ("digest", digests),
    ("campaign", campaigns),
    ("form", forms),
    ("import", imports),
    ("signups", signups),
    ("consent", consent),
    ("privacy", privacy),
    ("dkim", dkim),
    ("probe", relay_probe),
    ("token", access),
):
    app.add_typer(group.app, name=name)


@app.callback()
def _top() -> None:
    """Keeps the tree a tree while it has one command only."""


def main(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code. Raises what nobody expected."""
    try:
        return int(app(args=list(argv), prog_name="milepost", standalone_mode=False) or 0)
    except Exception as error:
        refusal = explain(error)
        if refusal is None:
            raise
        if "--json" in argv:
            show_json(refusal.document())
        else:
            note(refusal.message)
        return refusal.exit_code


def run() -> None:
    sys.exit(main(sys.argv[1:]))
