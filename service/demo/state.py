"""What the demo keeps between runs in one private directory: ports, secrets, the lock that says it runs, environment.

var/demo/
├── lock            held (flock) by the supervisor while it runs; a killed one lets go of it by itself
├── state.json      ports and the day of the first start
├── secrets.json    passwords and keys, 0600
├── environment     what `milepost …` in another terminal needs, 0600; there only while the demo is ready
├── processes.json  what was started, so that a next start finds what a killed supervisor left behind
├── logs/           one file per child
└── postgres/ valkey/ work/ catcher.sqlite3
"""

import fcntl
import json
import os
import secrets
import shlex
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.errors import ConfigurationError

PREFERRED_PORTS = {"web": 8025, "catcher": 8026, "hub": 8027, "smtp": 2525, "valkey": 8028}
LOCK_PATIENCE_SECONDS = 0.5
"""`load_environment` tries the lock for a moment; a start waits that long before it believes somebody holds it."""


def checkout() -> Path:
    """The directory that holds demo/ (articles, images): the checkout, or where we stand."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else Path.cwd()


def default_directory() -> Path:
    return checkout() / "var" / "demo"


class DemoState:
    """The demo's directory. Nothing is created before `prepare`."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = (directory or default_directory()).resolve()
        self.is_default = self.directory == default_directory().resolve()
        self.logs = self.directory / "logs"
        self.work = self.directory / "work"
        """MILEPOST_STATE_DIR of the children."""
        self.catcher_database = self.directory / "catcher.sqlite3"
        self._lock: int | None = None

    def prepare(self) -> None:
        """Make the directory. Raises ConfigurationError if it was somebody else's demo, root's for instance."""
        try:
            for path in (self.directory, self.logs, self.work):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.chmod(0o700)
            for path in self.directory.glob("*.json"):
                path.read_bytes()
        except PermissionError as error:
            raise ConfigurationError(
                f"{error.filename} belongs to somebody else; nothing was started. Start the demo as that user, or with "
                "--dir and a directory of your own."
            ) from None

    # The lock

    def acquire(self) -> bool:
        """Hold the lock until `release` or the end of this process; False if another process holds it."""
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        end = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    os.close(lock)
                    return False
                time.sleep(0.05)
            else:
                os.ftruncate(lock, 0)
                os.write(lock, str(os.getpid()).encode())
                self._lock = lock
                return True

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def holder(self) -> int | None:
        """The supervisor's process id while it runs."""
        try:
            lock = os.open(self.directory / "lock", os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.read(lock, 20) or b"0")
        else:
            return None
        finally:
            os.close(lock)

    # What is remembered

    def read(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads((self.directory / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise ConfigurationError(
                f"{self.directory / name} is damaged ({error}); nothing was started. `milepost demo-reset` starts anew."
            ) from None
        return found if isinstance(found, dict) else {}

    def write(self, name: str, values: dict[str, Any]) -> None:
        self._replace(name, json.dumps(values, indent=1) + "\n")

    def ports(self) -> dict[str, int]:
        """Chosen once and kept; one that somebody else listens on by now is chosen again."""
        state = self.read("state.json")
        ports: dict[str, int] = {}
        for name, preferred in PREFERRED_PORTS.items():
            # Several demos in directories of their own may start at once: they do not compete for the usual ports.
            kept = state.get("ports", {}).get(name, preferred if self.is_default else free_port())
            ports[name] = kept if is_free(kept) and kept not in ports.values() else free_port()
        self.write("state.json", state | {"ports": ports})
        return ports

    def kept_ports(self) -> dict[str, int]:
        found: dict[str, int] = self.read("state.json").get("ports", {})
        return found

    def first_started_at(self) -> datetime:
        """The demo's articles are dated relative to this, so that they keep their dates."""
        state = self.read("state.json")
        if "first_started_at" not in state:
            state["first_started_at"] = datetime.now(UTC).replace(microsecond=0).isoformat()
            self.write("state.json", state)
        return datetime.fromisoformat(state["first_started_at"])

    def secret(self, name: str) -> str:
        """A random value, made at the first call and kept."""
        values = self.read("secrets.json")
        if name not in values:
            values[name] = secrets.token_urlsafe(32)
            self.write("secrets.json", values)
        return str(values[name])

    def write_environment(self, environment: dict[str, str]) -> None:
        """KEY=VALUE lines, quoted for a shell, so that `set -a; . environment` works too."""
        self._replace("environment", "".join(f"{k}={shlex.quote(v)}\n" for k, v in environment.items()))

    def remove_environment(self) -> None:
        (self.directory / "environment").unlink(missing_ok=True)

    def environment(self) -> dict[str, str] | None:
        """What a command needs to speak to the running demo; None unless it runs and is ready."""
        if self.holder() is None:
            return None
        try:
            lines = (self.directory / "environment").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        return {key: "".join(shlex.split(value)) for key, _, value in (line.partition("=") for line in lines)}

    def _replace(self, name: str, text: str) -> None:
        part = self.directory / f".{name}.part"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(self.directory / name)


def load_environment(directory: Path | None = None) -> dict[str, str] | None:
    """The MILEPOST_* variables of the running demo, for commands in another terminal; None if none is running."""
    return DemoState(directory).environment()


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Connections that are just closing do not count; a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
