"""`milepost status`, `worker alive` and `worker lost`: what the installation holds, and who works on it."""

import socket
from typing import Annotated
from uuid import UUID

import typer

from service.cli.console import ExitCode, Json, note, say, show_json, show_table
from service.cli.opening import opened, operator_name
from service.cli.serving import worker_app
from service.domain.deliveries import PRESUMED_DEAD
from service.domain.relay_watch import explain, remedy
from service.domain.words import Lane, SignupState

app = typer.Typer()


@app.command()
def status(json: Json = False) -> None:
    """Show counts of readers, sign-ups, consent events and deliveries, the workers, and what is in trouble.

    Names no reader. A relay that is not answering is shown within 20 seconds.
    """
    from service.store.health import list_open_worker_processes
    from service.store.reports import get_overview
    from service.store.watches import list_relays_down, list_tripped

    fields = ("id", "lane", "host", "pid", "started_at", "beat_at")
    with opened() as container, container.transaction() as tx:
        overview = get_overview(tx)
        workers = [{field: getattr(w, field) for field in fields} for w in list_open_worker_processes(tx)]
        down, tripped = list_relays_down(tx), list_tripped(tx)
    if json:
        show_json({**overview, "workers": workers, "relays_not_answering": down, "paused_by_milepost": tripped})
        return
    for name, value in overview.items():
        said = ", ".join(f"{number} {word}" for word, number in value.items()) if isinstance(value, dict) else value
        say(f"{name.replace('_', ' '):<16} {said or 'none'}")
    if number := overview["signups"].get(SignupState.HELD):
        note(f"{number} sign-ups are held: far more than usual came. `milepost signups held` shows them.")
    for relay in down:
        what = explain(relay.kind, relay.relay, relay.phase, relay.code, relay.text)
        say(f"relay not answering since {relay.since:%Y-%m-%d %H:%M:%SZ}: {what}; seen on {', '.join(relay.hosts)}")
        note(f"{remedy(relay.kind)}.")
    for campaign in tripped:
        say(f"campaign {campaign.campaign_id} ({campaign.name}) was paused by milepost: {campaign.cause}")
        note(f"`milepost campaign show {campaign.campaign_id}` says why and what to do.")
    say()
    show_table(
        ("worker", "lane", "host", "process", "started", "last beat"),
        (tuple(worker.values()) for worker in workers),
        empty="No worker is running.",
    )


@worker_app.command()
def alive(
    lane: Annotated[Lane, typer.Option(help="The lane that a worker of this host should be serving.")],
    json: Json = False,
) -> None:
    """Exit with 0 if a worker of this lane on this host has a beating heart, else 4: a health check for containers."""
    from service.store.health import list_open_worker_processes

    with opened() as container, container.transaction() as tx:
        beating = [
            process.pid
            for process in list_open_worker_processes(tx)
            if process.lane is lane
            and process.host == socket.gethostname()
            and tx.now - process.beat_at < PRESUMED_DEAD
        ]
    if json:
        show_json({"alive": bool(beating), "processes": beating})
    elif not beating:
        note(f"No worker of the lane {lane} on {socket.gethostname()} has been heard of for a minute.")
    if not beating:
        raise typer.Exit(ExitCode.UNFINISHED)


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
