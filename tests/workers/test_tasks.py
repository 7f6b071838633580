"""Celery's side of the hints: the same names, the same prefix, the right lane; nothing happens at import."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import signals

from service.bootstrap import Container, build_container
from service.domain.words import Lane
from service.errors import ServiceError
from service.mail.journal import dead_journals
from service.ports import Hint
from service.store.schema import Erasure, WorkerProcess
from service.taskqueue import CeleryTaskQueue
from service.usecases import erasing
from tests.conftest import SettingsMaker
from workers import app as workers_app
from workers import sending
from workers import tasks as workers_tasks
from workers.timetable import SWEEP_SECONDS, timetable


def use(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_app, "container", lambda: container)
    monkeypatch.setattr(workers_tasks, "container", lambda: container)
    monkeypatch.setattr(workers_tasks, "senders", sending.Senders())


@pytest.fixture(autouse=True)
def configured(make_settings: SettingsMaker, monkeypatch: pytest.MonkeyPatch) -> Container:
    """This process as a worker whose servers cannot be reached."""
    monkeypatch.setattr("service.telemetry.configure", lambda *_: None)  # pytest's logging stays as it is
    container = build_container(make_settings(database_url="postgresql://nobody@/nowhere?host=/nowhere"))
    use(container, monkeypatch)
    return container


@pytest.fixture
def wired(
    make_settings: SettingsMaker, fresh_database: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Container]:
    """The same on a database of its own."""
    container = build_container(make_settings(database_url=fresh_database[1]))
    use(container, monkeypatch)
    yield container
    workers_tasks.senders.close()
    container.engine.dispose()


def test_every_hint_is_a_task_and_every_task_a_hint() -> None:
    registered = {name for name in workers_app.app.tasks if name.startswith("workers.")}
    assert registered == {hint.value for hint in Hint}


def test_the_timetable_sweeps_every_five_seconds_on_two_lanes_and_nothing_piles_up() -> None:
    entries = timetable(15)
    assert {(entry["task"], entry["options"]["queue"], entry["schedule"]) for entry in entries.values()} == {
        (Hint.SWEEP, Lane.INBOUND, SWEEP_SECONDS),
        (Hint.SWEEP, Lane.INTERACTIVE, SWEEP_SECONDS),
        (Hint.SEAL, Lane.INBOUND, 60),
        (Hint.SEAL, Lane.INTERACTIVE, 60),
        (Hint.RETAIN, Lane.INBOUND, 3600),
        (Hint.PULL_CONTENT, Lane.INBOUND, 900),
    }
    assert SWEEP_SECONDS == 5
    assert all(entry["options"]["expires"] <= entry["schedule"] for entry in entries.values())


def test_both_sides_of_redis_agree(configured: Container) -> None:
    asking = CeleryTaskQueue(configured.settings.redis_url)._celery.conf
    working = workers_app.configuration()
    prefix = "global_keyprefix"
    assert asking.broker_transport_options[prefix] == working["broker_transport_options"][prefix]
    assert asking.task_serializer in working["accept_content"]
    assert working["broker_url"] == configured.settings.redis_url


def test_importing_the_app_reads_no_settings() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import workers.app, workers.tasks"],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_worker_without_settings_ends_with_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-P", "solo", "-Q", "bulk"],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
        timeout=60,
    )
    assert done.returncode == 1
    assert "MILEPOST_DATABASE_URL: is missing" in done.stderr
    assert "Traceback" not in done.stderr


def run(hint: Hint, lane: Lane, *ids: int) -> None:
    """As the worker of `lane` runs it."""
    task: Any = workers_app.app.tasks[hint.value]
    task.push_request(delivery_info={"routing_key": lane.value})
    try:
        task.run(*ids)
    finally:
        task.pop_request()


def processes(container: Container) -> list[tuple[str, bool]]:
    with container.transaction() as tx:
        rows = tx.session.query(WorkerProcess).order_by(WorkerProcess.started_at).all()
        return [(row.lane, row.ended_at is not None) for row in rows]


@pytest.mark.parametrize("hint", [Hint.SEND_DUE, Hint.SWEEP, Hint.PROCESS_SIGNUPS])
def test_a_hint_with_nothing_to_do_does_nothing(wired: Container, hint: Hint) -> None:
    run(hint, Lane.INTERACTIVE)
    assert processes(wired) == [("interactive", False)]


def test_sealing_says_in_the_log_why_it_did_not(wired: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database whose checkpoint file knows more is not sealed, and the worker goes on."""
    run(Hint.SEAL, Lane.INBOUND)
    wired.checkpoint_file.append("not a checkpoint")
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(workers_tasks.log, "error", lambda event, **values: said.append({"event": event, **values}))
    run(Hint.SEAL, Lane.INBOUND)
    assert [entry["event"] for entry in said] == ["not_sealed"]
    assert "cannot be read" in said[0]["error"]


def test_erasing_says_in_the_log_why_it_did_not(wired: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a log of somebody else's nobody is erased, and the worker goes on."""
    with wired.transaction() as tx:
        erasing.request_erasure(tx, 4711, asked_by="subscriber")
    wired.erasure_log.append("not a line of ours")
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(workers_tasks.log, "error", lambda event, **values: said.append({"event": event, **values}))
    run(Hint.ERASE_DUE, Lane.INBOUND)
    assert [entry["event"] for entry in said] == ["not_erased"]
    assert "did not write there" in said[0]["error"]


def test_workers_and_beat_do_not_start_on_a_backup_that_has_not_forgotten_again(wired: Container) -> None:
    """D-15. Celery asks before a worker or beat does anything, however it was started."""
    assert workers_app.may_serve in [receiver() for _, receiver in signals.worker_init.receivers]
    assert workers_app.may_serve in [receiver() for _, receiver in signals.beat_init.receivers]
    workers_app.may_serve()
    with wired.transaction() as tx:
        tx.session.add(Erasure(number=1, subscriber_id=1, erased_at=tx.now, line_sha256=b"-"))
    with pytest.raises(SystemExit, match="erasure log is missing"):
        workers_app.may_serve()


@pytest.mark.requirement("D-31")
def test_workers_and_beat_that_have_started_start_no_other_program(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    monkeypatch.setattr("service.egress.start_no_programs", lambda: told.append(True))
    for signal in (signals.worker_ready, signals.beat_init):
        assert workers_app.start_no_programs in [receiver() for _, receiver in signal.receivers]
    workers_app.start_no_programs(sender=None)
    assert told == [True]


def test_a_database_that_is_away_is_waited_for(configured: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows meanwhile whether this installation may serve, so nothing is served."""

    class WaitedError(Exception):
        pass

    def sleep(seconds: float) -> None:
        assert seconds == workers_app.PAUSE_SECONDS
        raise WaitedError

    said: list[str] = []
    monkeypatch.setattr(workers_app.log, "error", lambda event, **values: said.append(event))
    monkeypatch.setattr(workers_app.time, "sleep", sleep)
    with pytest.raises(WaitedError):
        workers_app.may_serve()
    assert said == ["database_trouble"]


def test_a_hint_for_a_campaign_that_is_not_there_is_an_error_in_the_log_only(wired: Container) -> None:
    with pytest.raises(ServiceError, match="no campaign 4711"):
        run(Hint.PLAN_CAMPAIGN, Lane.BULK, 4711)


def test_a_process_is_one_worker_per_lane_and_leaves_nothing_behind(wired: Container) -> None:
    run(Hint.SEND_DUE, Lane.BULK)
    run(Hint.SEND_DUE, Lane.BULK)
    run(Hint.SEND_DUE, Lane.INTERACTIVE)
    assert processes(wired) == [("bulk", False), ("interactive", False)]
    directory = sending.journal_directory(wired)
    assert len(list(directory.iterdir())) == 2
    assert list(dead_journals(directory)) == []
    workers_tasks.leave()
    assert processes(wired) == [("bulk", True), ("interactive", True)]
    assert list(directory.iterdir()) == []


def test_a_process_whose_worker_was_declared_lost_begins_another(wired: Container) -> None:
    run(Hint.SEND_DUE, Lane.INTERACTIVE)
    with wired.transaction() as tx:
        tx.session.query(WorkerProcess).update({"ended_at": tx.now})
    run(Hint.SEND_DUE, Lane.INTERACTIVE)  # finds out
    run(Hint.SEND_DUE, Lane.INTERACTIVE)
    assert processes(wired) == [("interactive", True), ("interactive", False)]
    assert len(list(sending.journal_directory(wired).iterdir())) == 1


def test_an_unreachable_database_leaves_no_journal_and_no_traceback(configured: Container) -> None:
    run(Hint.SEND_DUE, Lane.BULK)
    assert list(sending.journal_directory(configured).iterdir()) == []


def test_celerys_exit_code_zero_is_a_wish_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not sending.asked_to_stop()
    monkeypatch.setattr(sending.state, "should_stop", 0)
    assert sending.asked_to_stop()
    monkeypatch.setattr(sending.state, "should_stop", False)
    assert not sending.asked_to_stop()


def test_jitter_goes_both_ways() -> None:
    drawn = [sending.jitter() for _ in range(200)]
    assert min(drawn) < 0 < max(drawn)
    assert all(-1 <= value <= 1 for value in drawn)
