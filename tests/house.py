"""The whole house as a user starts it: `milepost demo` in a directory of its own, and a way to talk to it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

READY_SECONDS = 90.0
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class House:
    """A running demo. `milepost(...)` runs a command as an operator would in a second terminal."""

    directory: Path
    environment: dict[str, str]
    catcher_url: str
    hub_url: str
    process: subprocess.Popen[bytes]

    @property
    def public_url(self) -> str:
        return self.environment["MILEPOST_PUBLIC_URL"]

    def milepost(self, *arguments: str) -> Any:
        """Run `milepost ARGUMENTS --json` and return what it printed. A failing command fails the test."""
        done = subprocess.run(
            [sys.executable, "-m", "service", *arguments, "--json"],
            env=_clean_environment() | self.environment,
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, f"milepost {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def mails(self, to: str = "", after: int = 0) -> list[dict[str, Any]]:
        return httpx.get(f"{self.catcher_url}/api/mails", params={"to": to, "after": after}).json()

    def wait_for_mail(self, to: str, count: int = 1, seconds: float = 30.0) -> list[dict[str, Any]]:
        end = time.monotonic() + seconds
        while len(found := self.mails(to)) < count:
            assert time.monotonic() < end, f"{len(found)} of {count} mails to {to} after {seconds:.0f} s"
            time.sleep(0.1)
        return found

    def source(self, mail_id: int) -> bytes:
        return httpx.get(f"{self.catcher_url}/mails/{mail_id}/source").content


def wait_until(holds: Callable[[], bool], otherwise: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{otherwise} within {seconds:.0f} s"
        time.sleep(0.1)


@contextmanager
def demo(directory: Path) -> Iterator[House]:
    """Start `milepost demo`, wait until it says it is ready, and stop it with Ctrl-C's signal."""
    log = (directory.parent / "demo.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "demo", "--dir", str(directory)],
        env=_clean_environment(),
        cwd=ROOT,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        environment = _wait_until_ready(process, directory)
        ports = json.loads((directory / "state.json").read_text())["ports"]
        yield House(
            directory=directory,
            environment=environment,
            catcher_url=f"http://localhost:{ports['catcher']}",
            hub_url=f"http://localhost:{ports['hub']}",
            process=process,
        )
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        log.close()
    assert process.returncode in (0, 130), (directory.parent / "demo.log").read_text()


def _wait_until_ready(process: subprocess.Popen[bytes], directory: Path) -> dict[str, str]:
    from service.demo.state import load_environment

    end = time.monotonic() + READY_SECONDS
    while (environment := load_environment(directory)) is None:
        said = (directory.parent / "demo.log").read_text()
        assert process.poll() is None, f"milepost demo ended with {process.returncode}:\n{said}"
        assert time.monotonic() < end, f"milepost demo was not ready after {READY_SECONDS:.0f} s:\n{said}"
        time.sleep(0.1)
    return environment


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MILEPOST_")}
