"""`milepost audit`: who took personal data out or in, looked at it or changed it, and why."""

from typing import Annotated

import typer

from service.cli.console import Json, show_json, show_table
from service.cli.opening import opened

app = typer.Typer()


@app.command()
def audit(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the newest.")] = 100,
    before: Annotated[int | None, typer.Option(help="Only entries before this number, to page on.")] = None,
    json: Json = False,
) -> None:
    """Show the audit log, newest first: every export, import, view and change of personal data, with its reason.

    Nobody who serves or commands can change or delete an entry. It names nobody but those who acted.
    """
    from service.store.audit import list_entries

    fields = ("id", "at", "actor", "act", "reason", "details")
    with opened() as container, container.transaction() as tx:
        rows = [
            {field: getattr(entry, field) for field in fields} for entry in list_entries(tx, limit=limit, before=before)
        ]
    if json:
        show_json(rows)
        return
    show_table(
        ("number", "at", "who", "did", "why", "of"),
        (
            (*list(row.values())[:-1], " ".join(f"{name}={value}" for name, value in row["details"].items()) or None)
            for row in rows
        ),
        empty="Nothing was noted yet.",
    )
