"""`kill -9` of any one process during a campaign to 2,000: nobody twice, nobody missing (invariants 1, 4 and 8)."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from service.domain.campaigns import Resolution
from service.domain.words import DeliveryStatus, MailKind, SkipReason
from service.usecases import campaigning
from tests.faults.deaths import count_connections
from tests.faults.house import FaultHouse, drop_everything_in, fault_house
from tests.usecases.sending import interactive

pytestmark = [pytest.mark.faults, pytest.mark.timeout(480)]

READERS = 2000
MIDST = 400
"""So many have been taken when the victim dies."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FaultHouse]:
    with fault_house(tmp_path) as house:
        yield house


@pytest.mark.parametrize("victim", ["bulk", "inbound", "beat", "web", "valkey", "postgres", "sink"])
def test_a_campaign_survives_the_death_of(house: FaultHouse, victim: str) -> None:
    house.start("sink", "bulk", "inbound", "beat", *(["web"] if victim == "web" else []))
    campaign_id = house.a_campaign_to(READERS)
    house.wait_until("the campaign is under way", lambda: len(house.taken()) >= MIDST)
    lost = 0
    if victim in ("bulk", "sink"):  # one on the wire in each connection, at most
        os.kill(house.processes[victim].pid, signal.SIGSTOP)
        lost = count_connections(house.processes["bulk"].pid, house.sink_port)
    house.kill(victim)
    assert len(house.taken()) < READERS, "too late to show anything: the campaign was over"
    if victim == "postgres":  # away for as long as it takes to miss the results of what was on the wire
        house.wait_until("the worker misses it", lambda: "database_trouble" in house.log("bulk"))
    house.start(victim)
    report = house.wait_until_sent(campaign_id)
    assert report.audience == READERS
    house.assert_nobody_twice_nobody_missing(campaign_id, uncertain_at_most=lost)


FEW, HELD = 300, 100
"""Enough where the moment of the death is chosen: at the answer to the HELD-th message."""


def killed_while_waiting(house: FaultHouse, phase: str) -> int:
    """A campaign to FEW whose worker is killed while the sink holds back an answer of that phase, and starts again.

    Everybody else has been answered by then: this one message is on the wire alone.
    """
    house.start("sink", sink=["--hold-at", str(HELD), "--hold-phase", phase])
    house.start("bulk", "inbound", "beat")
    campaign_id = house.a_campaign_to(FEW)
    house.wait_until("the sink holds an answer back", lambda: "holding" in house.log("sink"))
    house.wait_until(
        "all others are accepted", lambda: house.report(campaign_id).buckets[DeliveryStatus.ACCEPTED] == FEW - 1
    )
    house.kill("bulk")
    house.start("bulk")
    house.wait_until_sent(campaign_id)
    return campaign_id


@pytest.mark.parametrize("phase", ["mail", "rcpt"])
def test_who_was_not_yet_on_the_wire_is_simply_sent(house: FaultHouse, phase: str) -> None:  # C-12
    campaign_id = killed_while_waiting(house, phase)
    house.assert_nobody_twice_nobody_missing(campaign_id, uncertain_at_most=0)


@pytest.mark.parametrize("decision", list(Resolution))
def test_who_is_on_the_wire_when_the_worker_dies_is_uncertain_until_a_person_decides(
    house: FaultHouse, decision: Resolution
) -> None:
    campaign_id = killed_while_waiting(house, "eom")
    house.assert_nobody_twice_nobody_missing(campaign_id, uncertain_at_most=1)
    (uncertain,) = house.by_status(campaign_id)[DeliveryStatus.UNCERTAIN]
    assert f"holding {uncertain}" in house.log("sink").splitlines()
    with house.transaction() as tx:
        assert campaigning.resolve_uncertain(tx, campaign_id, decision, by="ada") == 1
    report = house.wait_until_sent(campaign_id)
    assert report.buckets[DeliveryStatus.UNCERTAIN] == 0
    copies = Counter(house.taken())
    if decision is Resolution.RESEND:
        assert report.buckets[DeliveryStatus.ACCEPTED] == FEW
        assert copies.pop(uncertain) == 2, "the second copy that a person accepted"
        same = {message_id for recipient, message_id, _ in house.taken_lines() if recipient == uncertain}
        assert len(same) == 1, "with the same Message-ID (A-11)"
    else:
        assert report.buckets[DeliveryStatus.FAILED] == 1
    assert set(copies.values()) == {1}


def test_confirmations_survive_the_death_of_their_worker(house: FaultHouse) -> None:  # invariant 4
    """Somebody waits for each: the one on the wire is sent again by itself, and nobody else gets a second copy."""
    house.start("sink", sink=["--hold-at", str(HELD)])
    with house.transaction() as tx:
        for number in range(FEW):
            interactive(tx, MailKind.CONFIRMATION, f"reader-{number}@many.example")
    house.start("interactive", "beat")
    house.wait_until("the sink holds an answer back", lambda: "holding" in house.log("sink"))
    on_the_wire = house.taken()[-1]
    house.kill("interactive")
    house.start("interactive")
    left = text("SELECT count(*) FROM deliveries WHERE status <> 'accepted'")

    def all_accepted() -> bool:
        with house.engine.connect() as connection:
            return connection.scalar(left) == 0

    house.wait_until("every confirmation is accepted", all_accepted)
    expected = Counter(f"reader-{number}@many.example" for number in range(FEW))
    assert Counter(house.taken()) == expected + Counter([on_the_wire])


def test_a_worker_that_is_asked_to_stop_leaves_nothing_behind(house: FaultHouse) -> None:
    house.start("sink", "bulk", "inbound", "beat")
    campaign_id = house.a_campaign_to(READERS)
    house.wait_until("the campaign is under way", lambda: len(house.taken()) >= MIDST)
    house.stop("bulk")
    report = house.report(campaign_id)
    assert report.buckets[DeliveryStatus.QUEUED] > 0
    assert report.buckets[DeliveryStatus.SENDING] == report.buckets[DeliveryStatus.UNCERTAIN] == 0
    assert report.buckets[DeliveryStatus.ACCEPTED] == len(house.taken())
    with house.engine.connect() as connection:
        processes = connection.execute(text("SELECT id, ended_at FROM worker_processes WHERE lane = 'bulk'")).all()
    journals = {path.stem for path in (house.directory / "state" / "journal").iterdir()}
    assert processes
    assert all(ended_at is not None and str(worker) not in journals for worker, ended_at in processes)
    house.start("bulk")
    house.wait_until_sent(campaign_id)
    house.assert_nobody_twice_nobody_missing(campaign_id, uncertain_at_most=0)


def test_nothing_starts_5_seconds_after_an_unsubscribe(house: FaultHouse) -> None:  # invariant 2
    house.start("sink", "bulk", "inbound", "beat")
    campaign_id = house.a_campaign_to(READERS)
    house.wait_until("the campaign is under way", lambda: len(house.taken()) >= MIDST)
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE subscriptions SET state = 'unsubscribed'"))
    unsubscribed_at = time.time()
    report = house.wait_until_sent(campaign_id)
    assert max(at for _, _, at in house.taken_lines()) < unsubscribed_at + 5
    assert report.skipped == {SkipReason.NO_CONSENT: READERS - len(house.taken())}
    assert report.buckets[DeliveryStatus.SKIPPED] > 0


def test_a_worker_started_before_its_servers_waits_and_says_so(house: FaultHouse) -> None:
    house.start("sink")
    campaign_id = house.a_campaign_to(20)
    house.kill("valkey")
    house.kill("postgres")
    house.start("bulk", "inbound", "beat")
    house.wait_until("it says what is missing", lambda: "database_trouble" in house.log("bulk"))
    house.start("postgres")
    house.wait_until("and then that", lambda: "Trying again" in house.log("bulk"))
    assert "Traceback" not in house.log("bulk")
    house.start("valkey")
    house.wait_until_sent(campaign_id)
    house.assert_nobody_twice_nobody_missing(campaign_id, uncertain_at_most=0)


def test_an_emptied_valkey_only_delays(house: FaultHouse) -> None:
    """Every hint is lost before anybody has read it; beat's sweep finds the campaign."""
    house.start("sink")
    campaign_id = house.a_campaign_to(50)
    drop_everything_in(house.valkey)
    house.start("bulk", "inbound", "beat")
    house.wait_until_sent(campaign_id)
    house.assert_nobody_twice_nobody_missing(campaign_id, uncertain_at_most=0)
