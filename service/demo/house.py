"""The whole house as one thing: what is started in which order, watched, and stopped in the reverse order of need."""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from service.demo.children import Child, Command, Keeper, Server, stop_together
from service.demo.environment import child_environment, demo_settings
from service.demo.processes import end_marked
from service.demo.servers import Postgres, Valkey
from service.demo.state import DemoState
from service.domain.words import Lane
from service.errors import ConfigurationError
from service.mail.dkim_keys import KeyDirectory

READY_SECONDS = 60.0
WATCH_SECONDS = 0.25
LOG_BYTES = 5 * 1024 * 1024
"""A longer log makes way for a new one at the next start; one old one is kept."""
WORKER_PATIENCE = 25.0
"""A worker finishes the messages it has on the wire; what it had not begun is queued again by the next sweep."""

Say = Callable[[str], None]


class StoppedError(Exception):
    """Somebody pressed Ctrl-C while the house was being started or used."""


@dataclass
class House:
    """Start it and stop it from one and the same thread, the main one: children die with the thread that made them."""

    state: DemoState
    say: Say
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """Where MILEPOST_DATABASE_URL and MILEPOST_REDIS_URL may name servers to use instead of the embedded ones."""
    stop_asked: threading.Event = field(default_factory=threading.Event)
    ports: dict[str, int] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    _keepers: list[Keeper] = field(default_factory=list)
    _stages: list[list[Child]] = field(default_factory=list)
    """In the order in which they are stopped."""

    @property
    def web_url(self) -> str:
        return f"http://localhost:{self.ports['web']}"

    @property
    def catcher_url(self) -> str:
        return f"http://localhost:{self.ports['catcher']}"

    @property
    def hub_url(self) -> str:
        return f"http://localhost:{self.ports['hub']}"

    def start(self) -> None:
        """From nothing, or from what an earlier run left, to ready. Raises ConfigurationError or StoppedError.

        Expects the state's lock to be held. What was started before an error stays for `stop`.
        """
        self.state.prepare()
        self.state.remove_environment()
        if found := end_marked(self.state.directory):
            self.say(
                f"An earlier demo was killed: ended {found} process{'es' if found > 1 else ''} that it left behind."
            )
        _rotate(self.state.logs)
        self.ports = self.state.ports()
        admin_url, redis_url = self._start_servers()
        app_url = self._prepare_database(admin_url)
        self.settings = demo_settings(self.state, self.ports, app_url, redis_url)
        self._prepare_signing()
        self._start_edges()
        self._seed()
        for url in (f"{self.web_url}/health/ready", f"{self.catcher_url}/health/live", f"{self.hub_url}/health/live"):
            self._wait_for(url)
        self.state.write_environment(self.settings)

    def _prepare_signing(self) -> None:
        """A key for DKIM, so that the demo's mails look like those of an installation. Nobody publishes it."""
        keys = KeyDirectory(self.state.work, self.settings["MILEPOST_SENDER_ADDRESS"].rpartition("@")[2])
        if keys.signing() is None:
            now = datetime.now(UTC)
            keys.make(now)
            keys.rotate(now)

    def watch(self) -> None:
        """Start again what ends, until somebody asks to stop."""
        while not self.stop_asked.wait(WATCH_SECONDS):
            self.look()

    def look(self) -> None:
        for keeper in self._keepers:
            try:
                said = keeper.look()
            except ConfigurationError as error:  # a server that does not come up again: tried again later
                said = f"{keeper.child.name} could not be started again: {error}"
            if said:
                self.say(f"{time.strftime('%H:%M:%S')} {said}")

    def stop(self) -> None:
        """Web first, PostgreSQL last. Nothing is left behind."""
        self.state.remove_environment()
        for stage in self._stages:
            for name in stop_together(stage):
                self.say(f"{name} did not stop in time and was killed.")
        end_marked(self.state.directory, patience=2.0)
        self._keepers.clear()
        self._stages.clear()

    def pause(self, seconds: float) -> None:
        """Wait, but not for somebody who pressed Ctrl-C. Raises StoppedError."""
        if self.stop_asked.wait(seconds):
            raise StoppedError

    def _start_servers(self) -> tuple[str, str]:
        """PostgreSQL and Valkey, embedded or named; returns the administrator's URL and the Redis URL."""
        logs, directory = self.state.logs, self.state.directory
        admin_url = self.environ.get("MILEPOST_DATABASE_URL", "")
        redis_url = self.environ.get("MILEPOST_REDIS_URL", "")
        if not admin_url:
            postgres = Postgres(directory / "postgres", log=logs / "postgresql.log")
            self._keep(Server("PostgreSQL", postgres))
            admin_url = postgres.url()
        if not redis_url:
            valkey = Valkey(
                directory / "valkey", self.ports["valkey"], self.state.secret("valkey_password"), logs / "valkey.log"
            )
            self._keep(Server("Valkey", valkey))
            redis_url = valkey.url
        return admin_url, redis_url

    def _prepare_database(self, admin_url: str) -> str:
        from service.demo.database import prepare_database

        external = bool(self.environ.get("MILEPOST_DATABASE_URL"))
        _, app_url, applied = prepare_database(self.state, admin_url, external=external)
        if applied:
            self.say(f"The database is at version {applied[-1]}.")
        self.pause(0)
        return app_url

    def _start_edges(self) -> None:
        hub = (f"--dir={self.state.directory}", f"--port={self.ports['hub']}", f"--milepost-url={self.web_url}")
        catcher = (
            f"--database={self.state.catcher_database}",
            f"--smtp-port={self.ports['smtp']}",
            f"--http-port={self.ports['catcher']}",
        )
        self._keep(self._command("hub", "hub", *hub))
        self._keep(self._command("catcher", "catcher", *catcher))
        self._keep(self._command("beat", "beat"))
        self._keep(
            *(self._command(f"worker-{lane}", "worker", f"--lane={lane}", patience=WORKER_PATIENCE) for lane in Lane)
        )
        self._keep(self._command("web", "web"))

    def _seed(self) -> None:
        from service.bootstrap import build_container
        from service.demo.seed import seed
        from service.settings import load

        self._wait_for(f"{self.hub_url}/health/live")
        quietly = self.settings | {"MILEPOST_LOG_LEVEL": "warning"}
        container = build_container(load(quietly), process="demo seed")
        try:
            self.say(seed(self.state, container, self.hub_url))
        finally:
            container.engine.dispose()
        self.pause(0)

    def _command(self, name: str, *arguments: str, patience: float = 10.0) -> Command:
        environment = child_environment(self.state, self.settings)
        return Command(name, arguments, environment, self.state.logs / f"{name}.log", patience)

    def _keep(self, *children: Child) -> None:
        """Start these together and keep them running; they will be stopped together, before all that came earlier."""
        self.pause(0)
        self._stages.insert(0, list(children))
        for child in children:
            keeper = Keeper(child)
            self._keepers.append(keeper)
            keeper.start()

    def _wait_for(self, url: str) -> None:
        """Until `url` answers 200. Children that end meanwhile are started again; raises ConfigurationError."""
        end = time.monotonic() + READY_SECONDS
        while not _answers(url):
            self.pause(0.05)
            self.look()
            if time.monotonic() > end:
                raise ConfigurationError(
                    f"{url} did not answer within {READY_SECONDS:.0f} s; the demo was stopped. "
                    f"{_last_lines(self.state.logs)}"
                )


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310  our own URL on loopback
            return bool(answer.status == 200)  # noqa: PLR2004
    except (URLError, OSError):
        return False


def _last_lines(logs: Path) -> str:
    """The newest line of each log, for somebody who has to find out why."""
    lines = []
    for path in sorted(logs.glob("*.log")):
        text = path.read_text(encoding="utf-8", errors="replace").splitlines()
        lines += [f"\n  {path.name}: {text[-1]}"] if text else []
    return f"The logs in {logs} end with:{''.join(lines)}"


def _rotate(logs: Path) -> None:
    for path in logs.glob("*.log"):
        if path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))


def say_on_stdout(line: str) -> None:
    print(line, flush=True)


def say_on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
