"""`milepost status` and `worker lost`: what the installation holds, and a host that will not come back."""

from typing import Annotated
from uuid import UUID

import typer

from service.cli.console import Json, say, show_json
from service.cli.opening import opened, operator_name
from service.cli.serving import worker_app

app = typer.Typer()


@app.command()
def status(json: Json = False) -> None:
    """Show counts of readers, sign-ups, consent events and deliveries. Names nobody."""
    from service.store.reports import get_overview

    with opened() as container, container.transaction() as tx:
        overview = get_overview(tx)
    if json:
        show_json(overview)
        return
    for name, value in overview.items():
        said = ", ".join(f"{number} {word}" for word, number in value.items()) if isinstance(value, dict) else value
        say(f"{name.replace('_', ' '):<16} {said or 'none'}")


@worker_app.command()
def lost(
    worker_id: Annotated[UUID, typer.Argument(metavar="ID", help="As `milepost doctor` shows it.", show_default=False)],
    json: Json = False,
) -> None:
    """Declare that a worker's host is gone for good: what it had claimed becomes uncertain, for a person to decide."""
    from service.usecases.dispatching import declare_lost

    with opened() as container, container.transaction() as tx:
        uncertain = declare_lost(tx, worker_id, by=operator_name())
    if json:
        show_json({"worker_id": str(worker_id), "uncertain": uncertain})
    else:
        say(f"{uncertain} deliveries are uncertain now; `milepost campaign list` shows where.")
