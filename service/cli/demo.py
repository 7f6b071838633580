"""`milepost demo`, `demo-reset`, `catcher` and `hub`: registered at the top level by service/cli/app.py."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

Directory = Annotated[Path | None, typer.Option("--dir", help="Where the demo keeps its data. Default: var/demo.")]


@app.command()
def demo(
    directory: Directory = None,
    once: Annotated[bool, typer.Option("--once", help="Run the main job once and end; uses a running demo.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: one JSON object on stdout.")] = False,
) -> int:
    """Run the whole house on this machine: PostgreSQL, Valkey, web, workers, a seeded hub and a mail catcher.

    Ctrl-C stops all of it; the data is kept for the next start. Nothing in it can reach a real inbox.
    """
    from service import egress
    from service.demo.state import DemoState

    egress.install((), loopback=True)
    state = DemoState(directory)
    if once:
        from service.demo.once import run_once

        return run_once(state, as_json=as_json)
    from service.demo.supervisor import run

    return run(state)


@app.command("demo-reset")
def demo_reset(directory: Directory = None) -> int:
    """Wipe the demo's data. Refuses while it runs."""
    from service.demo.reset import reset
    from service.demo.state import DemoState

    return reset(DemoState(directory))


@app.command()
def catcher(
    database: Annotated[Path, typer.Option(help="SQLite file that keeps the mails.")] = Path("var/catcher.sqlite3"),
    host: Annotated[str, typer.Option(help="Address to listen on; whoever reaches it reads the mails.")] = "127.0.0.1",
    smtp_port: Annotated[int, typer.Option(help="Port that takes the mails.")] = 2525,
    http_port: Annotated[int, typer.Option(help="Port of the page that shows them.")] = 8026,
) -> None:
    """Take every mail by SMTP, pass none on, and show them on a page."""
    from service import egress
    from service.demo.catcher import serve

    egress.install((), loopback=True)
    serve(database, host, smtp_port, http_port)


@app.command()
def hub(
    directory: Directory = None,
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 8027,
    milepost_url: Annotated[str, typer.Option(help="Where the sign-up box posts to.")] = "http://localhost:8025",
) -> None:
    """Serve the demo's training hub: articles, feeds and a sign-up box."""
    from service import egress
    from service.demo.hub import serve
    from service.demo.state import DemoState

    egress.install((), loopback=True)
    serve(DemoState(directory), port, milepost_url)
