"""smtp-sink and smtp-source, Postfix's load generators in C, from Debian's package, unpacked without installing it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import cpu_seconds
from service.demo.processes import bound_to_parent
from service.demo.state import free_port
from tests.mtas import packages

BACKLOG = "1000"
PATIENCE = 20.0
LIBRARIES = "usr/lib/postfix"
TAIL = 200


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

    def generate(self, port: int, messages: int, size: int, sessions: int) -> float:
        """Seconds that smtp-source takes, its connections open for many messages (-d)."""
        words = ("-s", str(sessions), "-m", str(messages), "-l", str(size), "-d")
        people = ("-f", "sender@fjellsko.example", "-t", "reader@many.example")
        end = time.monotonic() + PATIENCE
        while True:
            began = time.perf_counter()
            done = subprocess.run(
                self.command("smtp-source", *words, *people, f"127.0.0.1:{port}"),
                env=self.environment,
                check=False,
                capture_output=True,
                text=True,
            )
            if done.returncode == 0:
                return time.perf_counter() - began
            if time.monotonic() > end:
                raise RuntimeError(f"smtp-source: {done.stderr.strip()[-300:]}")
            time.sleep(0.1)  # nobody is listening yet


@dataclass(frozen=True)
class Dumped:
    """A message as smtp-sink wrote it down: what the envelope said, and the octets between DATA and the final dot."""

    sender: str
    recipient: str
    octets: bytes


class Sink:
    """A running smtp-sink, which counts what it takes, and keeps nothing of it unless it is given a directory."""

    def __init__(self, tools: Tools, log: Path, dump: Path | None = None) -> None:
        self.port = free_port()
        self._tools, self._log, self._dump = tools, log, dump
        words = ["-c", *(["-u", "root"] if os.geteuid() == 0 else [])]
        if dump:
            dump.mkdir()
            words += ["-d", f"{dump}/%H%M%S."]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                bound_to_parent(tools.command("smtp-sink", *words, f"127.0.0.1:{self.port}", BACKLOG), signal.SIGKILL),
                env=tools.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.generate(1, 1000, 1)
        if self.count() != 1:
            raise RuntimeError(f"smtp-sink counts {self.count()} for one message: {self._said()!r}")

    def _said(self) -> bytes:
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - TAIL))
            return log.read()

    def count(self) -> int:
        """Messages since it began, as it says itself: `sess=1 quit=1 mesg=1`, over and over on one line."""
        said = self._said().rpartition(b"mesg=")[2].split()
        return int(said[0]) if said else 0

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

    def generate(self, messages: int, size: int, sessions: int) -> float:
        return self._tools.generate(self.port, messages, size, sessions)

    def rate(self, messages: int, size: int, sessions: int) -> float:
        """Messages a second. Raises RuntimeError if the sink has counted another number."""
        before = self.count()
        seconds = self.generate(messages, size, sessions)
        if self.count() - before != messages:
            raise RuntimeError(f"smtp-source sent {messages} messages, smtp-sink counted {self.count() - before}")
        return messages / seconds

    def dumped(self) -> Iterator[Dumped]:
        """All that it has taken. It writes lines without CR, and its own fields before those of the message."""
        if self._dump is None:
            raise RuntimeError("this sink keeps nothing")
        for file in self._dump.iterdir():
            notes: dict[bytes, bytes] = {}
            rest = file.read_bytes()
            while True:
                line, _, after = rest.partition(b"\n")
                name, _, value = line.partition(b": ")
                if not name.startswith(b"X-") and name != b"Received" and not line.startswith((b"\t", b" ")):
                    break
                notes[name], rest = value, after
            yield Dumped(_address(notes[b"X-Mail-Args"]), _address(notes[b"X-Rcpt-Args"]), rest.replace(b"\n", b"\r\n"))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def _address(arguments: bytes) -> str:
    return arguments.partition(b"<")[2].partition(b">")[0].decode()
