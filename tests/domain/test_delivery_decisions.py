"""When a delivery is due again, what follows from each fate in each lane, and how big the next claim is."""

from datetime import timedelta

import pytest

from service.domain.deliveries import (
    BEAT_EVERY,
    FIRST_BATCH,
    FIRST_HOLD,
    LARGEST_BATCH,
    LEASE,
    LEASE_MARGIN,
    LONGEST_HOLD,
    RETRIES,
    START_WITHIN,
    Notes,
    Retries,
    decide_after_death,
    decide_result,
    next_batch,
    next_hold,
    retry_delay,
    spread_hold,
)
from service.domain.outcomes import Outcome, Phase
from service.domain.smtp_replies import Fate, Scope, Verdict, decide_fate
from service.domain.words import DeliveryStatus, Lane

MINUTE = timedelta(minutes=1)


def test_the_schedule_doubles_from_15_minutes_to_4_hours_and_ends_after_4_days() -> None:  # C-10
    delays = []
    while (delay := retry_delay(len(delays) + 1)) is not None:
        delays.append(delay)
    assert [delay / MINUTE for delay in delays[:6]] == [15, 30, 60, 120, 240, 240]
    assert set(delays[4:]) == {timedelta(hours=4)}
    assert RETRIES.give_up_after - timedelta(hours=4) < sum(delays, timedelta()) <= RETRIES.give_up_after


@pytest.mark.parametrize(("jitter", "minutes"), [(-1, 13.5), (0, 15), (0.5, 15.75), (1, 16.5)])
def test_jitter_is_ten_per_cent_either_way(jitter: float, minutes: float) -> None:
    assert retry_delay(1, jitter=jitter) == timedelta(minutes=minutes)


def test_a_repeat_after_an_unknown_outcome_comes_sooner_and_ends_with_the_same_schedule() -> None:
    assert retry_delay(1, first=timedelta(seconds=30)) == timedelta(seconds=30)
    assert retry_delay(2, first=timedelta(seconds=30)) == timedelta(seconds=60)
    assert retry_delay(1000, first=timedelta(seconds=30)) is None


def test_times_fit_into_each_other() -> None:
    """An unsubscribe is honoured within 5 s, starts end well before the lease, and a beat is missed twice at most."""
    assert timedelta(seconds=3) >= START_WITHIN
    assert LEASE - LEASE_MARGIN > START_WITHIN
    assert timedelta(seconds=5) >= BEAT_EVERY


@pytest.mark.parametrize(
    ("sent", "seconds", "size"),
    [
        (0, 1.0, FIRST_BATCH),
        (10, 0.0, FIRST_BATCH),
        (20, 2.0, 20),
        (20, 0.1, 400),
        (500, 0.1, LARGEST_BATCH),
        (1, 9.0, 1),
    ],
)
def test_a_claim_holds_two_seconds_of_work_within_bounds(sent: int, seconds: float, size: int) -> None:
    assert next_batch(sent, seconds) == size


def test_an_unusable_relay_is_left_alone_for_longer_each_time() -> None:
    holds = [next_hold(None)]
    while holds[-1] < LONGEST_HOLD:
        holds.append(next_hold(holds[-1]))
    assert holds[0] == FIRST_HOLD
    assert holds[1] == 2 * FIRST_HOLD
    assert next_hold(holds[-1]) == LONGEST_HOLD


QUEUED, ACCEPTED, FAILED, UNCERTAIN = (
    DeliveryStatus.QUEUED,
    DeliveryStatus.ACCEPTED,
    DeliveryStatus.FAILED,
    DeliveryStatus.UNCERTAIN,
)


@pytest.mark.parametrize(
    ("fate", "lane", "attempts", "status", "wait", "counted"),
    [
        (Fate.ACCEPTED, Lane.BULK, 0, ACCEPTED, 0, True),
        (Fate.GIVE_UP, Lane.BULK, 0, FAILED, 0, True),
        (Fate.RETRY, Lane.BULK, 0, QUEUED, 15, True),
        (Fate.RETRY, Lane.INTERACTIVE, 1, QUEUED, 30, True),
        (Fate.RETRY, Lane.BULK, 100, FAILED, 0, True),
        (Fate.GIVE_BACK, Lane.BULK, 100, QUEUED, 2, False),
        (Fate.UNKNOWN, Lane.BULK, 0, UNCERTAIN, 0, True),
        (Fate.UNKNOWN, Lane.INTERACTIVE, 0, QUEUED, 0.5, True),
        (Fate.UNKNOWN, Lane.INTERACTIVE, 100, FAILED, 0, True),
    ],
)
def test_what_follows_from_a_fate(
    fate: Fate, lane: Lane, attempts: int, status: DeliveryStatus, wait: float, counted: bool
) -> None:
    outcome = Outcome(7, Phase.EOM, None if fate is Fate.UNKNOWN else 250, None, "", "relay:25")
    result = decide_result(
        outcome, Verdict(fate, Scope.MESSAGE), lane=lane, attempts=attempts, jitter=0, hold=timedelta(minutes=2)
    )
    assert (result.status, result.wait, result.counted) == (status, timedelta(minutes=wait), counted)


def test_a_lost_connection_is_tried_again_sooner_than_a_relay_that_asked_for_patience() -> None:
    waits = [
        decide_result(outcome, decide_fate(outcome), lane=Lane.BULK, attempts=0, jitter=0).wait
        for outcome in (
            Outcome(7, Phase.DATA, None, None, "closed", "relay:25"),
            Outcome(7, Phase.DATA, 451, None, "later", "relay:25"),
        )
    ]
    assert waits == [timedelta(seconds=30), timedelta(minutes=15)]


ANSWER = Outcome(1, Phase.EOM, 250, None, "ok", "relay:25")


@pytest.mark.parametrize(
    ("notes", "fate"),
    [
        (Notes(frozenset(), {}, complete=True), None),
        (Notes(frozenset({2}), {2: ANSWER}, complete=True), None),
        (Notes(frozenset({1}), {}, complete=True), Fate.UNKNOWN),
        (Notes(frozenset({1}), {1: ANSWER}, complete=True), Fate.ACCEPTED),
        # A journal that may have lost its end proves nothing by its silence, and what it does say is true.
        (Notes(frozenset(), {}, complete=False), Fate.UNKNOWN),
        (Notes(frozenset({1}), {1: ANSWER}, complete=False), Fate.ACCEPTED),
    ],
)
def test_what_a_journal_says_about_a_dead_workers_delivery(notes: Notes, fate: Fate | None) -> None:
    outcome = decide_after_death(1, notes)
    assert (decide_fate(outcome).fate if outcome else None) == fate


def test_the_schedule_is_the_operators() -> None:  # C-10
    own = Retries(timedelta(minutes=30), timedelta(hours=1), timedelta(hours=3), 0.5)
    delays = [retry_delay(number, retries=own) for number in range(1, 6)]
    assert delays == [timedelta(minutes=30), timedelta(hours=1), timedelta(hours=1), None, None]
    assert retry_delay(1, jitter=-1.0, retries=own) == timedelta(minutes=15)


def test_workers_that_lost_the_relay_together_come_back_apart_and_never_later_than_said() -> None:
    waits = [spread_hold(LONGEST_HOLD, jitter) for jitter in (-1.0, 0.0, 1.0)]
    assert waits == [LONGEST_HOLD, LONGEST_HOLD * 0.875, LONGEST_HOLD * 0.75]
