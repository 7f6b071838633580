"""`milepost privacy export`: everything held about one person, for them."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.cli.console import Json, note, say
from service.cli.opening import opened_to_act, operator_name

app = typer.Typer(help="What people may ask about their data.", no_args_is_help=True)


@app.command()
def export(
    address: Annotated[str, typer.Argument(help="The person's address.", show_default=False)],
    reason: Annotated[
        str, typer.Option(help="Why; it stands in the audit log, without addresses.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The directory for the two files.", file_okay=False)] = Path(),
    operator: Annotated[str | None, typer.Option(help="Who answers. Default: your name on this machine.")] = None,
    json: Json = False,
) -> None:
    """Write everything held about one person: as JSON, and as a ZIP of CSV files. Answers their request.

    Leaves an entry in the audit log. With --json the document is printed and no file is written.
    """
    from service.usecases.answering import answer_access
    from service.usecases.holding import get_held, render_csv, render_json

    with opened_to_act() as container, container.transaction() as tx:
        answer = answer_access(tx, address, actor=operator or operator_name(), reason=reason)
        held = get_held(tx, container.keys, answer.subscriber_id)
        assert held is not None
        document = render_json(held, container.publisher, container.processors, tx.now)
        if json:
            sys.stdout.write(document.decode())
            return
        sheets = render_csv(held, container.processors)
        for name, content in ((f"held-{answer.number}.json", document), (f"held-{answer.number}.zip", sheets)):
            path = out / name
            _write(path, content)
            say(str(path))
    note("Give both to the person and to nobody else, then delete them: they are full of personal data.")


def _write(path: Path, content: bytes) -> None:
    """Readable by this user only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
