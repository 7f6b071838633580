"""What the demo keeps: one lock, ports that stay, private secrets, an environment for other terminals."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from service.demo.environment import child_environment, demo_settings
from service.demo.house import House
from service.demo.reset import reset
from service.demo.state import DemoState, load_environment
from service.errors import ConfigurationError, ServiceError
from service.settings import Environment, load

URLS = ("postgresql+psycopg://milepost_app:p%20w@/milepost_demo?host=/tmp/x", "redis://:pw@127.0.0.1:1/0")


@pytest.fixture
def state(tmp_path: Path) -> DemoState:
    state = DemoState(tmp_path / "a demo")
    state.prepare()
    return state


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_one_at_a_time(state: DemoState) -> None:
    second = DemoState(state.directory)
    assert state.acquire()
    assert not second.acquire()
    assert second.holder() == os.getpid()
    state.release()
    assert second.holder() is None
    assert second.acquire()
    second.release()


def test_a_killed_supervisor_lets_go_of_the_lock(state: DemoState) -> None:
    script = (
        "import sys, time; from pathlib import Path; from service.demo.state import DemoState\n"
        "print(DemoState(Path(sys.argv[1])).acquire(), flush=True); time.sleep(300)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(state.directory)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    assert state.holder() == holder.pid
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert state.holder() is None
    assert state.acquire()
    state.release()


def test_ports_are_kept_and_chosen_again_only_if_taken(state: DemoState) -> None:
    first = state.ports()
    assert len(set(first.values())) == len(first)
    assert state.ports() == first
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", first["hub"]))
        stranger.listen()
        second = state.ports()
    assert second["hub"] != first["hub"]
    assert {name: port for name, port in second.items() if name != "hub"} == {
        name: port for name, port in first.items() if name != "hub"
    }
    assert state.ports() == second, "the new one is kept too"


def test_secrets_are_random_kept_and_private(state: DemoState, tmp_path: Path) -> None:
    first = state.secret("a"), state.secret("b")
    assert first == (state.secret("a"), state.secret("b"))
    assert len(set(first)) == 2
    assert mode(state.directory / "secrets.json") == 0o600
    assert mode(state.directory) == 0o700
    other = DemoState(tmp_path / "other")
    other.prepare()
    assert other.secret("a") != first[0]


def test_the_first_start_is_remembered(state: DemoState) -> None:
    assert state.first_started_at() == DemoState(state.directory).first_started_at()


def test_the_environment_is_there_only_while_the_demo_runs(state: DemoState) -> None:
    values = {"MILEPOST_CONTROLLER_ADDRESS": "Løypa 1, it's 'quoted' Fjellby", "MILEPOST_X": "a=b $HOME"}
    assert load_environment(state.directory) is None
    assert state.acquire()
    assert load_environment(state.directory) is None, "not ready yet"
    state.write_environment(values)
    assert load_environment(state.directory) == values
    assert mode(state.directory / "environment") == 0o600
    shell = subprocess.run(
        ["sh", "-c", 'set -a; . "$0"; printf "%s|%s" "$MILEPOST_CONTROLLER_ADDRESS" "$MILEPOST_X"',
         str(state.directory / "environment")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert shell.stdout == "|".join(values.values())
    state.release()
    assert load_environment(state.directory) is None, "what a killed supervisor left is not believed"


def test_the_demos_settings_are_valid_and_reach_no_real_inbox(state: DemoState) -> None:
    settings = load(demo_settings(state, state.ports(), *URLS))
    assert settings.environment is Environment.DEMO
    assert settings.relay_host == "127.0.0.1"
    assert settings.owner_database_url is None
    assert not settings.signup_check_dns
    broken = demo_settings(state, state.ports(), *URLS) | {"MILEPOST_RELAY_HOST": "mail.fjellsko.example"}
    with pytest.raises(ConfigurationError, match="catcher on this machine only"):
        load(broken)


def test_children_see_no_setting_of_ours(state: DemoState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILEPOST_RELAY_HOST", "mail.fjellsko.example")
    monkeypatch.setenv("MILEPOST_ODD", "1")
    environment = child_environment(state, demo_settings(state, state.ports(), *URLS))
    assert environment["MILEPOST_RELAY_HOST"] == "127.0.0.1"
    assert "MILEPOST_ODD" not in environment
    assert environment["PATH"] == os.environ["PATH"]


def test_a_damaged_state_says_what_to_do(state: DemoState) -> None:
    (state.directory / "state.json").write_text("{")
    with pytest.raises(ConfigurationError, match="demo-reset"):
        state.ports()


def test_reset_wipes_what_is_ours(state: DemoState, capsys: pytest.CaptureFixture[str]) -> None:
    state.secret("a")
    (state.directory / "postgres").mkdir()
    assert reset(state) == 0
    assert not state.directory.exists()
    assert reset(state) == 0
    assert "nothing to wipe" in capsys.readouterr().out


def test_reset_refuses_while_the_demo_runs(state: DemoState) -> None:
    running = DemoState(state.directory)
    assert running.acquire()
    with pytest.raises(ServiceError, match=rf"running \(process {os.getpid()}\); nothing was wiped"):
        reset(state)
    assert state.directory.exists()
    running.release()


def test_reset_refuses_a_directory_that_is_not_the_demos(state: DemoState) -> None:
    (state.directory / "thesis.tex").touch()
    with pytest.raises(ConfigurationError, match=r"thesis\.tex"):
        reset(state)
    assert (state.directory / "thesis.tex").exists()


def test_a_log_that_grew_long_makes_way(state: DemoState, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.demo import house

    monkeypatch.setattr(house, "LOG_BYTES", 3)
    (state.logs / "web.log").write_text("long")
    (state.logs / "beat.log").write_text("ok")
    house._rotate(state.logs)
    assert (state.logs / "web.log.1").read_text() == "long"
    assert not (state.logs / "web.log").exists()
    assert (state.logs / "beat.log").exists()


def test_a_house_that_was_never_started_can_be_stopped(state: DemoState) -> None:
    House(state, print).stop()


def test_somebody_elses_demo_is_left_alone(tmp_path: Path) -> None:
    """Root's files in a checkout that an ordinary user starts the demo in afterwards."""
    tmp_path.chmod(0o755)
    directory = tmp_path / "demo"
    DemoState(directory).prepare()
    script = (
        "import sys; from pathlib import Path; from service.demo.state import DemoState\n"
        "from service.errors import ConfigurationError\n"
        "import os; os.geteuid() == 0 and os.setuid(65534)\n"
        "try: DemoState(Path(sys.argv[1])).prepare()\n"
        "except ConfigurationError as error: print(error)\n"
    )
    if os.geteuid() != 0:
        (directory / "state.json").touch(mode=0o000)
    done = subprocess.run([sys.executable, "-c", script, str(directory)], check=True, capture_output=True, text=True)
    assert "belongs to somebody else; nothing was started" in done.stdout
