"""`milepost web`, `worker` and `beat` as processes: what they check first, and that they then really serve."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.cli import serving
from service.demo.servers import Valkey, free_port
from service.settings import Settings
from tests.cli.conftest import Milepost, as_environment

pytestmark = pytest.mark.long

START_SECONDS = 30.0


@contextmanager
def running(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", *arguments],
            env={"PATH": os.environ["PATH"]} | environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until(done: Callable[[], bool], log: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while not done():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.ConnectError:
        return False


def test_web_serves_without_redis_and_says_so(milepost: Milepost, house: Settings, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "web.log"
    token = milepost("token", "create", "test", "--role", "campaign").out.strip()
    with running(["web", "--port", str(port)], as_environment(house), log) as process:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health/live"), log, process)
        url = f"http://127.0.0.1:{port}/api/v1/overview"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        assert answer.json()["lists"] >= 1
        assert "Redis at 127.0.0.1:1 cannot be used" in log.read_text()
        assert token not in log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("arguments", [["worker", "--lane", "bulk"], ["beat"]])
def test_celery_starts_and_stops(house: Settings, valkey: Valkey, tmp_path: Path, arguments: list[str]) -> None:
    log = tmp_path / "celery.log"
    environment = as_environment(house) | {"MILEPOST_REDIS_URL": valkey.url, "MILEPOST_LOG_LEVEL": "info"}
    with running(arguments, environment, log) as process:
        # Beat says nothing while all is well, but it opens its timetable.
        if arguments == ["beat"]:
            wait_until(lambda: any(house.state_dir.glob("beat-schedule*")), log, process)
        else:
            wait_until(lambda: "ready" in log.read_text(), log, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("arguments", [["worker", "--lane", "interactive"], ["beat"]])
def test_without_redis_they_start_and_say_that_they_try_again(
    milepost: Milepost, house: Settings, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(serving.os, "execv", lambda program, argv: started.extend(argv))
    ran = milepost(*arguments)
    assert ran.code == 0
    assert "Redis at 127.0.0.1:1 cannot be used" in ran.err
    assert "Trying again until it answers" in ran.err
    assert started[1:5] == ["-m", "celery", "-A", "workers.app"]
    if arguments[0] == "worker":
        assert {"solo", "interactive", "--without-gossip", "--without-mingle"} <= set(started)
        assert "The SMTP relay 127.0.0.1:1 cannot be reached" in ran.err


def test_a_state_directory_that_cannot_be_written_stops_the_start(
    milepost: Milepost, house: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILEPOST_STATE_DIR", "/proc/milepost")
    for arguments in (["worker", "--lane", "bulk"], ["beat"]):
        ran = milepost(*arguments)
        assert ran.code == 3
        assert "MILEPOST_STATE_DIR is /proc/milepost" in ran.err


def test_a_port_that_is_taken_stops_the_start(milepost: Milepost, house: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = milepost("web", "--port", taken.getsockname()[1])
    assert ran.code == 3
    assert "cannot be listened on: Address already in use. Nothing was started" in ran.err
