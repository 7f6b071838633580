"""`milepost alive`: whether a process of this host does its work; for the health checks of a supervisor."""

import socket
import time
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from service.cli.console import ExitCode, note, say
from service.cli.opening import opened
from service.domain.words import Lane

app = typer.Typer()

SILENT_AFTER = timedelta(seconds=60)
"""A worker's heart beats every few seconds, also while it sends (design §4)."""

STALE_AFTER = timedelta(minutes=10)
"""Beat writes its timetable down every three minutes."""


class Process(StrEnum):
    INTERACTIVE = Lane.INTERACTIVE.value
    BULK = Lane.BULK.value
    INBOUND = Lane.INBOUND.value
    BEAT = "beat"


@app.command()
def alive(process: Annotated[Process, typer.Argument(help="A lane's worker, or beat.", show_default=False)]) -> None:
    """Check that a worker or beat of this host is at work: exit code 0, or 4 and a sentence. Changes nothing."""
    trouble = _beat_trouble() if process is Process.BEAT else _worker_trouble(Lane(process.value))
    if trouble:
        note(trouble)
        raise typer.Exit(ExitCode.UNFINISHED)
    say(f"{process.value} is at work")


def _worker_trouble(lane: Lane) -> str | None:
    from service.store.health import list_open_worker_processes

    host = socket.gethostname()
    with opened("alive") as container, container.transaction() as tx:
        beats = [p.beat_at for p in list_open_worker_processes(tx) if p.lane is lane and p.host == host]
    if not beats:
        return f"No worker of the lane {lane} has begun on {host}."
    silent = tx.now - max(beats)
    return f"The worker of the lane {lane} has been silent for {silent}." if silent > SILENT_AFTER else None


def _beat_trouble() -> str | None:
    from service.cli.opening import read_settings

    directory = read_settings().state_dir
    # The ending depends on which dbm library Python was built with.
    written = [path.stat().st_mtime for path in directory.glob("beat-schedule*")]
    if not written:
        return f"There is no timetable in {directory}; beat has not begun."
    seconds = time.time() - max(written)
    if seconds > STALE_AFTER.total_seconds():
        return f"The timetable in {directory} is {seconds:.0f} s old; beat no longer writes it."
    return None
