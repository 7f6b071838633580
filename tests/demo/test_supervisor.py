"""`milepost demo` as a whole: a second one, killed children, a killed supervisor, Ctrl-C, and nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from service.demo.processes import cmdline_of, find_marked
from service.demo.servers import Postgres
from service.demo.state import DemoState, is_free, load_environment

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("MILEPOST_")}

pytestmark = pytest.mark.faults


class Demo:
    def __init__(self, directory: Path) -> None:
        self.state = DemoState(directory)
        self.output = directory.parent / "demo.out"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command("demo"), stdout=output, stderr=output, cwd=ROOT, env=CLEAN, start_new_session=True
            )
        self.wait_for("Ready after", 90)

    def command(self, name: str) -> list[str]:
        return [sys.executable, "-m", "service", name, "--dir", str(self.state.directory)]

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(name), check=False, capture_output=True, text=True, cwd=ROOT, env=CLEAN, timeout=60
        )

    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, pattern: str, seconds: float = 30) -> None:
        assert self.process is not None
        process = self.process
        wait_until(lambda: bool(re.search(pattern, self.said())) or process.poll() is not None, self.said, seconds)
        assert re.search(pattern, self.said()), self.said()

    def children(self) -> dict[str, int]:
        """Every process of the house by its command line."""
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {cmdline_of(int(pid)): int(pid) for pid in listed}

    def child(self, part: str) -> int:
        (found,) = [pid for cmdline, pid in self.children().items() if part in cmdline]
        return found


def wait_until(holds: Callable[[], bool], what: Callable[[], str], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what()
        time.sleep(0.05)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path / "demo")
    yield demo
    if demo.process is not None and demo.process.poll() is None:
        demo.process.send_signal(signal.SIGINT)
        demo.process.wait(timeout=90)


def test_a_day_in_the_life_of_a_demo(demo: Demo) -> None:
    demo.start()
    assert re.search(r"The hub has \d+ articles and 500 fictional readers", demo.said())
    ports = demo.state.kept_ports()
    for page in (f"{ports['hub']}/", f"{ports['web']}/subscribe", f"{ports['catcher']}/"):
        assert f"http://localhost:{page}" in demo.said()
        assert httpx.get(f"http://localhost:{page}").status_code == 200
    hub = httpx.get(f"http://localhost:{ports['hub']}/").text
    assert f'action="http://localhost:{ports["web"]}/subscribe"' in hub, "the box is Milepost's own snippet"
    assert len(demo.children()) == 9, "PostgreSQL, Valkey, catcher, hub, beat, three workers, web"

    second = demo.run("demo")
    assert second.returncode == 0
    assert "running already" in second.stdout
    assert f"http://localhost:{ports['hub']}/" in second.stdout
    wipe = demo.run("demo-reset")
    assert wipe.returncode == 1
    assert "nothing was wiped" in wipe.stderr
    environment = load_environment(demo.state.directory)
    assert environment is not None
    command = [sys.executable, "-m", "service", "status", "--json"]
    status = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=CLEAN | environment)
    assert status.returncode == 0, status.stderr

    for name, part in (("PostgreSQL", "bin/postgres -D"), ("web", "service web"), ("worker-bulk", "-Q bulk")):
        os.kill(demo.child(part), signal.SIGKILL)
        demo.wait_for(rf"{name} was killed by SIGKILL and was started again\. Log: .*\.log")
    wait_until(lambda: _answers(f"http://localhost:{ports['web']}/health/ready"), demo.said)

    supervisor = demo.process
    assert supervisor is not None
    servers = [demo.child("bin/postgres -D"), demo.child("valkey-server")]
    supervisor.kill()
    supervisor.wait()
    assert load_environment(demo.state.directory) is None
    wait_until(
        lambda: not find_marked(demo.state.directory) and not any(cmdline_of(pid) for pid in servers),
        lambda: f"left behind: {[cmdline_of(pid) for pid in find_marked(demo.state.directory)]}",
    )

    demo.start()
    assert "The hub is as you left it." in demo.said()
    assert demo.state.kept_ports() == ports
    assert demo.process is not None
    everybody = [*demo.children().values(), *find_marked(demo.state.directory)]
    demo.process.send_signal(signal.SIGINT)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(timeout=60) == 0
    assert "nothing is left running" in demo.said()
    assert [cmdline_of(pid) for pid in everybody if cmdline_of(pid)] == []
    assert all(is_free(port) for port in ports.values())
    assert not Postgres(demo.state.directory / "postgres").sockets.exists()
    assert not (demo.state.directory / "environment").exists()

    wipe = demo.run("demo-reset")
    assert wipe.returncode == 0
    assert not demo.state.directory.exists()


def test_stopping_while_it_starts_leaves_nothing(demo: Demo) -> None:
    with demo.output.open("wb") as output:
        demo.process = subprocess.Popen(
            demo.command("demo"), stdout=output, stderr=output, cwd=ROOT, env=CLEAN, start_new_session=True
        )
    wait_until(lambda: len(find_marked(demo.state.directory)) >= 1, demo.said)
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.wait(timeout=60) == 0
    assert find_marked(demo.state.directory) == []
    assert "Ready after" not in demo.said()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False
