"""`milepost privacy export`: everything held about one person, for them."""

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
    from service.cli.private_files import require_free, reserved
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
        out.mkdir(parents=True, exist_ok=True)
        # Before the commit: what cannot be written leaves no entry in the audit log.
        with reserved(out, 2) as rooms:
            for room, suffix, content in zip(rooms, (".json", ".zip"), (document, sheets), strict=True):
                path = out / f"held-{answer.number}{suffix}"
                require_free(path, replace=False)
                room.write(path, content, replace=False)
                say(str(path))
    note("Give both to the person and to nobody else, then delete them: they are full of personal data.")
