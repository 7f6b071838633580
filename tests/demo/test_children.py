"""Children are started again when they end, stopped in order, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.demo import children
from service.demo.children import Command, Keeper, how_it_ended, stop_together
from service.demo.processes import MARK, cmdline_of, end_marked, find_marked
from service.demo.state import free_port

pytestmark = pytest.mark.long


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.fixture
def catcher(tmp_path: Path) -> Iterator[Command]:
    """A real command of ours as a child."""
    options = (f"--database={tmp_path}/c.sqlite3", f"--smtp-port={free_port()}", f"--http-port={free_port()}")
    environment = dict(os.environ) | {MARK: str(tmp_path)}
    child = Command("catcher", ["catcher", *options], environment, tmp_path / "catcher.log")
    yield child
    process = child.process()
    if process is not None and process.poll() is None:
        process.kill()
        process.wait()


def is_up(child: Command, times: int = 1) -> bool:
    return child.log.exists() and child.log.read_text().count("Catching mail") == times


def test_a_killed_child_is_started_again_and_says_so(catcher: Command) -> None:
    keeper = Keeper(catcher)
    keeper.start()
    wait_until(lambda: is_up(catcher), "the catcher did not start")
    assert keeper.look() is None
    first = catcher.process()
    assert first is not None
    first.send_signal(signal.SIGKILL)
    first.wait()
    said = keeper.look()
    assert said is not None
    assert said.startswith("catcher was killed by SIGKILL and was started again. Log: ")
    assert said.endswith("catcher.log")
    second = catcher.process()
    assert second is not None
    assert second.pid != first.pid
    wait_until(lambda: is_up(catcher, 2), "the catcher did not start again")
    assert stop_together([catcher]) == []
    assert how_it_ended(second) == "ended with exit code 0"


def test_a_child_that_keeps_ending_waits_longer_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(children.time, "monotonic", lambda: now)
    child = Command("web", ["no-such-command"], os.environ, tmp_path / "web.log")
    keeper = Keeper(child)
    keeper.start()
    waits = []
    for _ in range(8):
        process = child.process()
        assert process is not None
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        said = keeper.look()
        assert said is not None
        assert "web ended with exit code 2" in said
        waits.append(0.0 if keeper._start_again_at is None else keeper._start_again_at - now)
        if keeper._start_again_at is not None:
            assert keeper.look() is None, "too early"
            now = keeper._start_again_at
            assert keeper.look() == "web was started again."
    assert waits == [0.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    stop_together([child])


def test_a_long_life_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(children.time, "monotonic", lambda: now)
    child = Command("web", ["no-such-command"], os.environ, tmp_path / "web.log")
    keeper = Keeper(child)
    keeper.start()
    for _ in range(3):
        process = child.process()
        assert process is not None
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        now += children.LONG_LIFE_SECONDS + 1
        assert "was started again" in (keeper.look() or "")
    stop_together([child])


class Stubborn(Command):
    """A child that does not go when asked, and has a child of its own."""

    def start(self) -> None:
        script = (
            "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
            "print('ready', flush=True); time.sleep(300)"
        )
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", script], stdout=output, env=dict(self._environment), start_new_session=True
            )


def test_what_does_not_stop_is_killed_with_all_its_children(tmp_path: Path) -> None:
    child = Stubborn("stubborn", [], dict(os.environ) | {MARK: str(tmp_path)}, tmp_path / "log", patience=0.2)
    child.start()
    wait_until(lambda: "ready" in child.log.read_text(), "the child did not start")
    assert len(find_marked(tmp_path)) == 2
    assert stop_together([child]) == ["stubborn"]
    wait_until(lambda: find_marked(tmp_path) == [], "a grandchild was left behind")


def test_leftovers_of_a_killed_supervisor_are_found_by_their_mark_and_ended(tmp_path: Path) -> None:
    child = Stubborn("stubborn", [], dict(os.environ) | {MARK: str(tmp_path)}, tmp_path / "log")
    child.start()
    wait_until(lambda: "ready" in child.log.read_text(), "the child did not start")
    bystander = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(300)"], env=dict(os.environ) | {MARK: f"{tmp_path}-other"}
    )
    try:
        process = child.process()
        assert process is not None
        # A zombie of ours would count as left behind; init would reap it.
        import threading

        threading.Thread(target=process.wait).start()
        assert end_marked(tmp_path, patience=0.2) == 2
        assert find_marked(tmp_path) == []
        assert cmdline_of(bystander.pid)
    finally:
        bystander.kill()
        bystander.wait()


def test_nothing_to_end(tmp_path: Path) -> None:
    assert end_marked(tmp_path) == 0
