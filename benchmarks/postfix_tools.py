"""smtp-sink and smtp-source, Postfix's load generators in C, from Debian's package, unpacked without installing it."""

import os
import signal
import subprocess
import time
from pathlib import Path

from service.demo.processes import bound_to_parent
from service.demo.servers import free_port
from tests.mtas import packages

BACKLOG = "1000"
PATIENCE = 20.0
LIBRARIES = "usr/lib/postfix"


class Tools:
    def __init__(self, directory: Path) -> None:
        """Raises packages.PackagesError, with what apt said, where the package cannot be had."""
        directory.mkdir(parents=True)
        packages.unpack(packages.POSTFIX, directory)
        self._programs = directory / "usr/sbin"
        libraries = [directory / LIBRARIES, *sorted(directory.glob("usr/lib/*-linux-gnu"))]
        self.environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": ":".join(map(str, libraries))}

    def command(self, name: str, *words: str) -> list[str]:
        return [str(self._programs / name), *words]


class Sink:
    """A running smtp-sink, which counts what it takes."""

    def __init__(self, tools: Tools, log: Path) -> None:
        self.port = free_port()
        self._tools, self._log = tools, log
        user = ["-u", "root"] if os.geteuid() == 0 else []
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                bound_to_parent(
                    tools.command("smtp-sink", "-c", *user, f"127.0.0.1:{self.port}", BACKLOG), signal.SIGKILL
                ),
                env=tools.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.generate(1, 1000, 1)
        if self.count() != 1:
            raise RuntimeError(f"smtp-sink counts {self.count()} for one message: {log.read_bytes()[-200:]!r}")

    def count(self) -> int:
        """Messages since it began, as it says itself: `sess=1 quit=1 mesg=1`, over and over on one line."""
        said = self._log.read_bytes()[-200:].rpartition(b"mesg=")[2].split()
        return int(said[0]) if said else 0

    def generate(self, messages: int, size: int, sessions: int) -> float:
        """Seconds that smtp-source takes, its connections open for many messages."""
        words = ("-s", str(sessions), "-m", str(messages), "-l", str(size), "-d")
        people = ("-f", "sender@fjellsko.example", "-t", "reader@many.example")
        end = time.monotonic() + PATIENCE
        while True:
            began = time.perf_counter()
            done = subprocess.run(
                self._tools.command("smtp-source", *words, *people, f"127.0.0.1:{self.port}"),
                env=self._tools.environment,
                check=False,
                capture_output=True,
                text=True,
            )
            if done.returncode == 0:
                return time.perf_counter() - began
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError(f"smtp-source: {done.stderr.strip()[-300:]}")
            time.sleep(0.1)  # smtp-sink is not listening yet

    def rate(self, messages: int, size: int, sessions: int) -> float:
        """Messages a second. Raises RuntimeError if the sink has counted another number."""
        before = self.count()
        seconds = self.generate(messages, size, sessions)
        if self.count() - before != messages:
            raise RuntimeError(f"smtp-source sent {messages} messages, smtp-sink counted {self.count() - before}")
        return messages / seconds

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
