"""Workers that died, silent workers, and what the sweep finds: nobody twice, nobody lost (invariants 1 and 4)."""

from datetime import datetime
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from service.domain.campaigns import Resolution
from service.domain.letters import Letter
from service.domain.outcomes import Message, Outcome, Phase
from service.domain.words import (
    CampaignStatus,
    Lane,
    MailKind,
    SignupState,
)
from service.errors import Kind, ServiceError
from service.ports import Hint
from service.store import worker_processes
from service.store.reports import get_campaign_report
from service.store.schema import Attempt, Delivery
from service.store.transaction import TransactionFactory
from service.usecases import campaigning
from service.usecases.dispatching import declare_lost, recover_journals, send_due, sweep
from tests.builders import (
    a_campaign,
    a_list,
    a_reader,
    a_signup,
    delivery_of,
    many_readers,
    statuses,
)
from tests.conftest import FrozenClock, HintList
from tests.usecases.sending import (
    MemoryJournal,
    a_sender,
    accepted_by,
    campaign_status,
    interactive,
    ordered,
    write_plainly,
)


def a_dead_worker(transaction: TransactionFactory, clock: FrozenClock, lane: Lane = Lane.BULK) -> MemoryJournal:
    """Claims everything and is killed before it has recorded anything; the test says what it had noted."""

    class KilledError(Exception):
        pass

    def killed(letter: Letter, now: datetime) -> Message:
        raise KilledError

    def as_long_as_it_lives():
        if next(calls) > 1:  # settle, claim
            raise KilledError
        return transaction()

    calls = iter(range(100))
    sender = a_sender(transaction, clock, lane=lane, write=killed)
    sender.transaction = as_long_as_it_lives
    with pytest.raises(KilledError):
        send_due(sender)
    assert isinstance(sender.journal, MemoryJournal)
    return sender.journal


@pytest.mark.parametrize(
    ("lane", "never", "in_flight"), [(Lane.BULK, "queued", "uncertain"), (Lane.INTERACTIVE, "queued", "queued")]
)
def test_a_dead_workers_journal_tells_apart(
    transaction: TransactionFactory, clock: FrozenClock, queue: HintList, lane: Lane, never: str, in_flight: str
) -> None:
    with transaction() as tx:
        if lane is Lane.BULK:
            for name in ("never", "in-flight", "answered"):
                a_reader(tx, f"{name}@example.org")
            ordered(tx)
        else:
            for name in ("never", "in-flight", "answered"):
                interactive(tx, MailKind.CONFIRMATION, f"{name}@example.org")
    journal = a_dead_worker(transaction, clock, lane)
    with transaction() as tx:
        sending = text(
            "SELECT split_part(s.address, '@', 1), d.id FROM deliveries d JOIN subscribers s "
            "ON s.id = d.subscriber_id WHERE d.status = 'sending'"
        )
        ids = dict(tx.session.execute(sending).all())
    assert len(ids) == 3

    journal.started(ids["in-flight"])
    journal.started(ids["answered"])
    journal.answered(Outcome(ids["answered"], Phase.EOM, 250, "2.0.0", "ok", "relay:25"))
    queue.hints.clear()
    assert recover_journals(transaction, [journal], lambda: 0.0) == 3
    assert journal.removed
    assert (Hint.SEND_DUE, lane, ()) in queue.hints
    with transaction() as tx:
        found = {name: delivery_of(tx, delivery_id).status for name, delivery_id in ids.items()}
        assert found == {"never": never, "in-flight": in_flight, "answered": "accepted"}
        assert delivery_of(tx, ids["never"]).attempts == 0
        ended = text("SELECT ended_at FROM worker_processes WHERE id = :id")
        assert tx.session.scalar(ended, {"id": journal.worker_id}) == tx.now


def test_settling_twice_changes_nothing(transaction: TransactionFactory, clock: FrozenClock) -> None:
    """Crash point 5: recorded, journal not removed; another worker has claimed the rest since."""
    with transaction() as tx:
        a_reader(tx, "r@example.org")
        campaign_id = ordered(tx)
    journal = a_dead_worker(transaction, clock)
    recover_journals(transaction, [journal], lambda: 0.0)
    send_due(a_sender(transaction, clock))
    with transaction() as tx:
        delivery_id = tx.session.scalar(select(Delivery.id).where(Delivery.campaign_id == campaign_id))
    journal.started(delivery_id or 0)
    assert recover_journals(transaction, [journal], lambda: 0.0) == 0
    with transaction() as tx:
        assert statuses(tx, campaign_id) == {"r@example.org": "accepted"}


def test_a_worker_settles_its_own_leftovers_before_it_claims(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    """Crash point 8: PostgreSQL was away while results were to be recorded."""
    with transaction() as tx:
        for name in ("one", "two"):
            a_reader(tx, f"{name}@example.org")
        campaign_id = ordered(tx)

    class AwayError(Exception):
        pass

    sender = a_sender(transaction, clock)
    real, calls = sender.transaction, iter(range(100))

    def away_when_recording():
        if next(calls) == 2:  # settle, claim, record
            raise AwayError
        return real()

    sender.transaction = away_when_recording
    with pytest.raises(AwayError):
        send_due(sender)
    assert len(accepted_by(sender)) == 2
    with transaction() as tx:
        assert set(statuses(tx, campaign_id).values()) == {"sending"}
    assert send_due(sender) == 0
    assert len(accepted_by(sender)) == 2, "nobody twice"
    with transaction() as tx:
        assert set(statuses(tx, campaign_id).values()) == {"accepted"}


def test_results_of_deliveries_no_longer_held_are_not_written(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        a_reader(tx, "r@example.org")
        campaign_id = ordered(tx)

    def declared_lost_meanwhile(letter: Letter, now: datetime) -> Message:
        with transaction() as tx:
            tx.session.execute(text("UPDATE worker_processes SET beat_at = beat_at - interval '1 hour'"))
            declare_lost(tx, sender.worker_id, by="ada")
        return write_plainly(letter, now)

    sender = a_sender(transaction, clock, write=declared_lost_meanwhile)
    send_due(sender)
    with transaction() as tx:
        assert statuses(tx, campaign_id) == {"r@example.org": "uncertain"}
        fates = tx.session.scalars(select(Attempt.fate)).all()
        assert fates == ["unknown"]


def test_a_worker_can_be_declared_lost_when_its_heart_is_silent(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        for name in ("one", "two"):
            a_reader(tx, f"{name}@example.org")
        campaign_id = ordered(tx)
    journal = a_dead_worker(transaction, clock)
    with transaction() as tx, pytest.raises(ServiceError) as alive:
        declare_lost(tx, journal.worker_id, by="ada")
    assert (alive.value.kind, alive.value.code) == (Kind.CONFLICT, "worker_alive")
    clock.advance(seconds=61)
    with transaction() as tx:
        report = get_campaign_report(tx, campaign_id)
        assert report is not None
        assert report.lost_leases == 2
        assert sweep(tx).released == [], "campaign mail is never resent by itself"
        assert declare_lost(tx, journal.worker_id, by="ada") == 2
        assert set(statuses(tx, campaign_id).values()) == {"uncertain"}
    with transaction() as tx, pytest.raises(ServiceError) as ended:
        declare_lost(tx, journal.worker_id, by="ada")
    assert ended.value.code == "worker_ended"
    with transaction() as tx, pytest.raises(ServiceError) as unknown:
        declare_lost(tx, MemoryJournal().worker_id, by="ada")
    assert unknown.value.kind is Kind.NOT_FOUND


def test_who_was_declared_lost_and_comes_back_claims_nothing(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    sender = a_sender(transaction, clock)
    clock.advance(seconds=61)
    with transaction() as tx:
        a_reader(tx, "r@example.org")
        ordered(tx)
        declare_lost(tx, sender.worker_id, by="ada")
    assert send_due(sender) == 0
    assert sender.ended
    assert send_due(a_sender(transaction, clock)) == 1


def test_the_sweep_takes_interactive_mail_from_a_silent_worker(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        delivery_id = interactive(tx, MailKind.CONFIRMATION)
    journal = a_dead_worker(transaction, clock, Lane.INTERACTIVE)
    clock.advance(seconds=61)
    with transaction() as tx:
        worker_processes.record_beat(tx, journal.worker_id)
        assert sweep(tx).released == [], "its lease is over, but its heart beats: the relay is slow"
    clock.advance(seconds=61)
    with transaction() as tx:
        assert sweep(tx).released == [delivery_id]
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE)
    assert send_due(sender) == 1


# The sweep


def test_the_sweep_finds_what_no_hint_led_to(
    transaction: TransactionFactory, clock: FrozenClock, queue: HintList
) -> None:
    with transaction() as tx:
        a_reader(tx, "r@example.org")
        ordered(tx)
        interactive(tx, MailKind.WELCOME, "w@example.org")
        unplanned = a_campaign(tx)
        campaigning.order_campaign(tx, unplanned, by="ada")
        a_signup(tx, "s@example.org", state=SignupState.RECEIVED)
    queue.hints.clear()
    with transaction() as tx:
        assert sweep(tx).unplanned == [], "the hint may still be on its way"
    clock.advance(seconds=6)
    queue.hints.clear()
    with transaction() as tx:
        sweep(tx)
    assert set(queue.hints) == {
        (Hint.SEND_DUE, Lane.BULK, ()),
        (Hint.SEND_DUE, Lane.INTERACTIVE, ()),
        (Hint.PLAN_CAMPAIGN, Lane.BULK, (unplanned,)),
        (Hint.PROCESS_SIGNUPS, Lane.INTERACTIVE, ()),
    }


def test_the_sweep_does_not_wake_a_lane_that_is_busy(transaction: TransactionFactory, clock: FrozenClock) -> None:
    with transaction() as tx:
        many_readers(tx, 30, list_id=a_list(tx))
        ordered(tx)
    a_dead_worker(transaction, clock)
    with transaction() as tx:
        assert sweep(tx).woken == []
    clock.advance(seconds=9)
    with transaction() as tx:
        assert sweep(tx).woken == [Lane.BULK], "longer than a batch takes: it met trouble"


def test_the_sweep_wakes_a_second_worker_while_the_first_is_busy(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        many_readers(tx, 30, list_id=a_list(tx))
        ordered(tx)
    a_dead_worker(transaction, clock)  # to the sweep it is busy, until it has been silent for longer than a batch
    with transaction() as tx:
        worker_processes.add_worker_process(tx, uuid4(), lane=Lane.BULK, host="elsewhere", pid=1)
    with transaction() as tx:
        assert sweep(tx).woken == [Lane.BULK]


def test_the_sweep_wakes_who_met_trouble_with_the_last_of_a_campaign(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    """Nothing is queued any more, and yet there is something to settle, long before the lease ends."""
    with transaction() as tx:
        a_reader(tx, "r@example.org")
        ordered(tx)
    a_dead_worker(transaction, clock)
    clock.advance(seconds=9)
    with transaction() as tx:
        assert sweep(tx).woken == [Lane.BULK]


@pytest.mark.parametrize("decision", list(Resolution))
def test_a_campaign_with_uncertain_ones_closes_and_can_be_resolved_later(
    transaction: TransactionFactory, clock: FrozenClock, decision: Resolution
) -> None:
    with transaction() as tx:
        a_reader(tx, "lost@example.org")
        campaign_id = ordered(tx)
    sender = a_sender(transaction, clock, script={"lost@example.org": (Phase.EOM, None, None, "closed")})
    send_due(sender)
    with transaction() as tx:
        assert sweep(tx).finished == [campaign_id]
        assert campaigning.resolve_uncertain(tx, campaign_id, decision, by="ada") == 1
        assert campaigning.resolve_uncertain(tx, campaign_id, decision, by="ada") == 0
        resent = decision is Resolution.RESEND
        assert campaign_status(tx, campaign_id) is (CampaignStatus.SENDING if resent else CampaignStatus.SENT)
        assert statuses(tx, campaign_id) == {"lost@example.org": "queued" if resent else "failed"}
        assert sweep(tx).finished == []
    sender.transport.script.clear()  # type: ignore[attr-defined]
    assert send_due(sender) == int(resent)
    with transaction() as tx:
        assert sweep(tx).finished == ([campaign_id] if resent else [])
        last = tx.session.scalars(select(Attempt).order_by(Attempt.id.desc()).limit(1)).one()
        assert last.fate == ("accepted" if resent else "give_up")
        assert resent or "Closed by ada" in last.text
