"""One child of the supervisor: started, seen to have ended, started again, stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from service.demo.processes import bound_to_parent, kill_group
from service.demo.servers import Postgres, Valkey

LONG_LIFE_SECONDS = 10.0
"""A child that lived that long is started again at once; one that keeps ending waits longer each time."""
LONGEST_WAIT_SECONDS = 30.0


class Child(Protocol):
    name: str
    log: Path
    patience: float
    """Seconds that a stop may take before the child is killed."""

    def start(self) -> None:
        """Start it; for servers also wait until it answers."""

    def process(self) -> "subprocess.Popen[bytes] | None":
        """The running, or ended and not yet replaced, process."""

    def ask_to_stop(self) -> None:
        """Send the signal that means "finish and go"."""

    def tidy(self) -> None:
        """Remove what only a running process needs; called after it has ended."""


class Command:
    """A `milepost` command as a child, its output in a log file."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path, patience: float = 10.0
    ) -> None:
        self.name = name
        self.log = log
        self.patience = patience
        self._arguments = arguments
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "service", *self._arguments]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                bound_to_parent(command, signal.SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(self._environment),
                start_new_session=True,  # Ctrl-C reaches the supervisor, which stops its children in order
            )

    def process(self) -> "subprocess.Popen[bytes] | None":
        return self._process

    def ask_to_stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def tidy(self) -> None:
        pass


class Server:
    """PostgreSQL or Valkey as a child."""

    patience = 20.0

    def __init__(self, name: str, server: Postgres | Valkey) -> None:
        self.name = name
        self.log = server.log
        self._server = server

    def start(self) -> None:
        self._server.start()

    def process(self) -> "subprocess.Popen[bytes] | None":
        return self._server.process

    def ask_to_stop(self) -> None:
        process = self._server.process
        if process is not None and process.poll() is None:
            # PostgreSQL's fast shutdown: sessions are ended, everything committed is kept.
            process.send_signal(signal.SIGINT if isinstance(self._server, Postgres) else signal.SIGTERM)

    def tidy(self) -> None:
        self._server.stop()  # has ended already: what is left is the socket's directory


def how_it_ended(process: "subprocess.Popen[bytes]") -> str | None:
    """In words; None while it runs."""
    code = process.poll()
    if code is None:
        return None
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class Keeper:
    """Keeps one child running: notices its end and starts it again, later each time if it does not last."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.failures = 0
        self._started_at = 0.0
        self._start_again_at: float | None = None

    def start(self) -> None:
        self.child.start()
        self._started_at = time.monotonic()

    def look(self) -> str | None:
        """Do what is due; returns a line for people if something happened."""
        now = time.monotonic()
        if self._start_again_at is not None:
            if now < self._start_again_at:
                return None
            self._start_again_at = None
            self.start()
            return f"{self.child.name} was started again."
        process = self.child.process()
        ended = how_it_ended(process) if process is not None else None
        if process is None or ended is None:
            return None
        kill_group(process.pid)
        self.failures = 0 if now - self._started_at > LONG_LIFE_SECONDS else self.failures + 1
        told = f"{self.child.name} {ended}"
        if self.failures <= 1:
            self.start()
            return f"{told} and was started again. Log: {_short(self.child.log)}"
        wait = min(LONGEST_WAIT_SECONDS, 2.0 ** (self.failures - 1))
        self._start_again_at = now + wait
        return f"{told}, again; starting it in {wait:.0f} s. Log: {_short(self.child.log)}"


def stop_together(children: Sequence[Child]) -> list[str]:
    """Ask all to stop, wait for each, kill what does not; returns the names of those that had to be killed."""
    for child in children:
        child.ask_to_stop()
    killed = []
    for child in children:
        process = child.process()
        if process is None:
            continue
        try:
            process.wait(timeout=child.patience)
        except subprocess.TimeoutExpired:
            killed.append(child.name)
            process.kill()
            process.wait()
        kill_group(process.pid)
        child.tidy()
    return killed


def _short(path: Path) -> str:
    """As seen from where the person stands, if it is below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else os.fspath(path)
