"""`milepost web`, `worker` and `beat`: the processes that stay, each after a look at what it cannot live without."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import probes
from service.cli.console import note
from service.cli.opening import read_settings
from service.domain.words import Lane

if TYPE_CHECKING:
    from service.settings import Settings

app = typer.Typer()


@app.command()
def web(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: MILEPOST_WEB_HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: MILEPOST_WEB_PORT.")] = None,
) -> None:
    """Serve the sign-up form, the readers' pages and the API."""
    settings = read_settings(or_demo=False)
    address = host or settings.web_host, port or settings.web_port
    probes.need_free(*address)
    probes.need_database(settings)
    probes.need_fit(settings, "web")
    trouble = probes.redis_trouble(settings.redis_url)
    if trouble:
        note(f"{trouble} Serving all the same: sign-ups are kept, their mail leaves with the next sweep.")
    from granian.constants import Interfaces, Loops
    from granian.server import Server

    Server(
        "service.web.app:from_environment",
        factory=True,
        interface=Interfaces.ASGI,
        loop=Loops.asyncio,
        address=address[0],
        port=address[1],
        workers=workers,
        websockets=False,
        # The path of a request may hold a reader's token, so there is no access log.
        log_access=False,
        # A worker that dies is replaced; one that waits for an open event stream is not waited for.
        respawn_failed_workers=True,
        workers_kill_timeout=10,
    ).serve()


worker_app = typer.Typer(invoke_without_command=True, help="Send and fetch: one process per lane, or more.")


@worker_app.callback()
def worker(
    context: typer.Context,
    lane: Annotated[Lane | None, typer.Option(help="Which kind of work this process does.")] = None,
) -> None:
    """Do the work of one lane; run one process or more per lane."""
    if context.invoked_subcommand:
        return
    if lane is None:
        context.fail("Missing option '--lane': interactive, bulk or inbound.")
    settings = read_settings(or_demo=False)
    probes.need_writable(settings.state_dir)
    probes.need_database(settings)
    probes.need_fit(settings, "worker")
    _warn_without_redis(settings)
    # The lane `inbound` sends nothing, and the web may be unable to reach the relay by design: no warning there.
    troubles = probes.relay_troubles(settings) if lane is not Lane.INBOUND else {}
    for trouble in filter(None, troubles.values()):
        note(f"{trouble} Starting all the same: what is due is tried again until the relay takes it.")
    name = f"{lane.value}-{os.getpid()}@%h"
    _celery(settings, "worker", "-P", "solo", "-Q", lane.value, "-n", name, "--without-gossip", "--without-mingle")


@app.command()
def beat() -> None:
    """Keep the timetable: sweeps and content pulls. Run one; two do no harm."""
    settings = read_settings(or_demo=False)
    probes.need_writable(settings.state_dir)
    probes.need_database(settings)
    probes.need_fit(settings, "beat")
    _warn_without_redis(settings)
    # No pid file: after `kill -9` it would stop the next start.
    _celery(settings, "beat", "-s", str(settings.state_dir / "beat-schedule"), "--pidfile=")


def _warn_without_redis(settings: "Settings") -> None:
    trouble = probes.redis_trouble(settings.redis_url)
    if trouble:
        note(f"{trouble} Trying again until it answers; what is due waits in PostgreSQL.")


def _celery(settings: "Settings", command: str, *options: str) -> None:
    """Become Celery: one process, so that signals reach the one that works."""
    level = f"--loglevel={settings.log_level}"
    argv = [sys.executable, "-m", "celery", "-A", "workers.app", command, *options, level]
    sys.stderr.flush()
    os.execv(sys.executable, argv)  # noqa: S606
