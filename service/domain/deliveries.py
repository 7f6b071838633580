"""When a delivery is tried again, what state follows from a fate, and how long a claim may last.

The constants are the product's promises about time; each says why it is what it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from service.domain.outcomes import Outcome, Phase
from service.domain.smtp_replies import Fate, Verdict
from service.domain.words import DeliveryStatus, Lane

LEASE = timedelta(seconds=60)
"""How long a claim is its worker's alone: far more than a batch takes. Whoever has not answered by then is lost."""

LEASE_MARGIN = timedelta(seconds=5)
"""No message is started this close to the lease's end (design §4)."""

START_WITHIN = timedelta(seconds=3)
"""What has not started by then is given back, so that an unsubscribe is honoured within 5 s (invariant 2)."""

BATCH_WORK = timedelta(seconds=2)
"""A claim holds about this much work at the measured rate (invariant 2)."""

FIRST_BATCH, SMALLEST_BATCH, LARGEST_BATCH = 20, 1, 1500
"""Nothing is known of the relay at first; 1500 are a sixth of a second of the fastest. Twice that is held at once."""

RECORD_WITHIN = timedelta(seconds=0.5)
"""An answer is in the database so soon, even where they come one by one."""

LARGEST_JOURNAL = 3_000_000
"""Octets, of about thirty thousand mails. Then nothing more is started until all is recorded, and it can be emptied."""

PLANNED_AT_ONCE = 5_000
"""Readers: what takes no longer than the wire needs for a batch, so that the next batch is there in time."""

BUSY_FOR = timedelta(seconds=8)
"""Within this long after a claim its worker is at work on it: 3 s of starting, the last answer, and recording."""

TURN = timedelta(seconds=60)
"""A worker looks at its queue again after so long, so that it can be stopped and other hints are heard."""

BEAT_EVERY = timedelta(seconds=4)
"""Heartbeats; the promise is at least every 5 s."""

PRESUMED_DEAD = timedelta(seconds=60)
"""A worker whose heart has not beaten for so long no longer holds interactive mail."""


@dataclass(frozen=True, slots=True)
class Retries:
    """When what a relay did not take for now is tried again: twice as late each time (C-10, RFC 5321 §4.5.4.1)."""

    first: timedelta = timedelta(minutes=15)
    """Fits greylisting."""
    longest: timedelta = timedelta(hours=4)
    give_up_after: timedelta = timedelta(days=4)
    jitter: float = 0.1
    """Either way, as a share: what failed together does not come back together."""


RETRIES = Retries()

FIRST_REPEAT = timedelta(seconds=30)
"""After a connection was lost: no relay asked for patience, and somebody may be waiting for a confirmation."""

FIRST_HOLD, LONGEST_HOLD = timedelta(seconds=5), timedelta(minutes=5)
"""How long a worker leaves an unusable relay alone: a restart is seen soon, an outage is not hammered (C-11)."""


def retry_delay(
    attempts: int, *, first: timedelta | None = None, jitter: float = 0.0, retries: Retries = RETRIES
) -> timedelta | None:
    """How long after the attempt numbered `attempts` (1 for the first) the next one is due; None: give up.

    `jitter` is drawn by the caller from -1 … 1. The schedule itself adds up to `give_up_after`, so time during which a
    campaign was paused or the relay could not be used counts against nobody.
    """
    tried_for = sum((_step(number, retries.first, retries) for number in range(1, attempts + 1)), timedelta())
    if tried_for > retries.give_up_after:
        return None
    return _step(attempts, first or retries.first, retries) * (1 + retries.jitter * jitter)


def _step(attempt: int, first: timedelta, retries: Retries) -> timedelta:
    return min(first * (1 << min(attempt - 1, 16)), retries.longest)


def next_batch(sent: int, seconds: float) -> int:
    """How many deliveries to claim after `sent` were sent in `seconds`: BATCH_WORK at that rate, within bounds."""
    if sent <= 0 or seconds <= 0:
        return FIRST_BATCH
    return max(SMALLEST_BATCH, min(LARGEST_BATCH, int(sent / seconds * BATCH_WORK.total_seconds())))


HOLD_JITTER = 0.25
"""Workers that lost the relay at one moment do not all come back at one moment."""


def next_hold(previous: timedelta | None) -> timedelta:
    """How long to leave the relay alone after one more failure of it in a row."""
    return FIRST_HOLD if previous is None else min(previous * 2, LONGEST_HOLD)


def spread_hold(hold: timedelta, jitter: float) -> timedelta:
    """`hold`, or up to a quarter less, by `jitter` from -1 … 1: LONGEST_HOLD stays what it promises."""
    return hold * (1 - HOLD_JITTER * (jitter + 1) / 2)


@dataclass(frozen=True, slots=True)
class Result:
    """What is written about a delivery after an attempt."""

    outcome: Outcome
    verdict: Verdict
    status: DeliveryStatus
    wait: timedelta
    """From now until it is due again; meaningful for QUEUED only."""
    counted: bool
    """Whether the attempt is the delivery's own (C-11)."""


_NO_WAIT = timedelta()
_TAKEN, _ACCEPTED = Fate.ACCEPTED, DeliveryStatus.ACCEPTED
"""Looking into an enumeration takes time, and this is what nearly always happens."""


def decide_result(
    outcome: Outcome,
    verdict: Verdict,
    *,
    lane: Lane,
    attempts: int,
    jitter: float,
    hold: timedelta = timedelta(),
    retries: Retries = RETRIES,
) -> Result:
    """What follows for a delivery that had `attempts` counted attempts before this outcome.

    An unknown outcome is repeated where a second copy is better than none (a confirmation that somebody waits for),
    and left to a person where it is not (invariant 4). `hold`: how long the relay is left alone.
    """
    if verdict.fate is _TAKEN:
        return Result(outcome, verdict, _ACCEPTED, _NO_WAIT, counted=True)
    tried = attempts + 1
    status, wait, counted = DeliveryStatus.QUEUED, _NO_WAIT, True
    match verdict.fate:
        case Fate.GIVE_UP:
            status = DeliveryStatus.FAILED
        case Fate.GIVE_BACK:
            wait, counted = hold, False
        case Fate.UNKNOWN if lane is not Lane.INTERACTIVE:
            status = DeliveryStatus.UNCERTAIN
        case Fate.UNKNOWN | Fate.RETRY:
            first = None if outcome.code is not None else FIRST_REPEAT
            delay = retry_delay(tried, first=first, jitter=jitter, retries=retries)
            status = DeliveryStatus.FAILED if delay is None else DeliveryStatus.QUEUED
            wait = delay or _NO_WAIT
    return Result(outcome, verdict, status, wait, counted)


@dataclass(frozen=True, slots=True)
class Notes:
    """What a journal says about the deliveries that its worker held."""

    started: frozenset[int]
    """About to be, or already, on the wire."""
    outcomes: Mapping[int, Outcome]
    complete: bool
    """False if something may have been on the wire that is not noted: the machine itself went down, or the file is
    damaged."""


def decide_after_death(delivery_id: int, notes: Notes) -> Outcome | None:
    """The outcome of a delivery whose worker did not live to record it; None: it was certainly not on the wire."""
    if delivery_id in notes.outcomes:
        return notes.outcomes[delivery_id]
    if delivery_id in notes.started or not notes.complete:
        return lost_answer(delivery_id, "The worker died before the relay's answer was read; nobody knows it.")
    return None


def lost_answer(delivery_id: int, text: str) -> Outcome:
    """The message may have been on the wire, and its answer will never be known (A-46)."""
    return Outcome(delivery_id, Phase.EOM, None, None, text, "milepost")
