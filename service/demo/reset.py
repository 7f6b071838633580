"""`milepost demo-reset`: wipe what the demo keeps, and nothing else."""

import shutil

from service.demo.house import say_on_stdout
from service.demo.processes import end_marked
from service.demo.state import DemoState
from service.errors import ConfigurationError, Kind, ServiceError

OURS = frozenset(
    {
        "lock", "state.json", "secrets.json", "environment", "logs", "postgres", "valkey", "work",
        "catcher.sqlite3", "catcher.sqlite3-wal", "catcher.sqlite3-shm", ".postgres.part",
    }
)  # fmt: skip


def reset(state: DemoState) -> int:
    """Remove the demo's directory. Raises ServiceError while it runs, ConfigurationError if other things lie in it."""
    if not state.directory.exists():
        say_on_stdout(f"There is no demo in {state.directory}; nothing to wipe.")
        return 0
    if strangers := sorted(path.name for path in state.directory.iterdir() if not _is_ours(path.name)):
        raise ConfigurationError(
            f"{state.directory} holds what the demo did not make ({', '.join(strangers[:3])}); nothing was wiped."
        )
    if not state.acquire():
        raise ServiceError(
            Kind.CONFLICT,
            "demo_running",
            f"The demo is running (process {state.holder()}); nothing was wiped. Stop it with Ctrl-C first.",
        )
    end_marked(state.directory)
    from service.demo.database import drop_external

    server = drop_external(state)
    shutil.rmtree(state.directory)
    state.release()
    say_on_stdout(f"Wiped {state.directory}" + (f" and the demo's database on {server}." if server else "."))
    return 0


def _is_ours(name: str) -> bool:
    return name in OURS or (name.startswith(".") and name.endswith(".part"))
