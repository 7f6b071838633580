"""Claim, wire, record: who is mailed, who is not, and what becomes of each answer."""

import socket
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, text

from service.domain.deliveries import LEASE, START_WITHIN
from service.domain.letters import Letter
from service.domain.outcomes import Message, Phase
from service.domain.signups import LIFTABLE
from service.domain.words import (
    CampaignStatus,
    DeliveryStatus,
    Lane,
    Language,
    MailKind,
    RelayTls,
    SkipReason,
    SubscriptionState,
    SuppressionReason,
)
from service.mail.smtp import Relay, SmtpTransport
from service.mail.writer import UnwritableError
from service.ports import Hint
from service.store import deliveries
from service.store.reports import get_campaign_report
from service.store.schema import Attempt, Delivery, Subscriber, Suppression
from service.store.transaction import TransactionFactory
from service.usecases import campaigning
from service.usecases.dispatching import send_due, sweep
from tests.builders import (
    a_list,
    a_reader,
    a_signup,
    a_suppression,
    delivery_of,
    fingerprint,
    many_readers,
    statuses,
)
from tests.conftest import FrozenClock, HintList
from tests.usecases.sending import a_sender, accepted_by, interactive, ordered, write_plainly


def test_a_campaign_reaches_everybody_once_and_is_closed_by_the_sweep(
    transaction: TransactionFactory, clock: FrozenClock, queue: HintList
) -> None:
    with transaction() as tx:
        many_readers(tx, 57, list_id=a_list(tx))
        campaign_id = ordered(tx)
    assert queue.hints[-1] == (Hint.SEND_DUE, Lane.BULK, ())
    sender = a_sender(transaction, clock)
    assert send_due(sender) == 57
    assert sorted(accepted_by(sender)) == sorted(f"reader-{n}@many.example" for n in range(1, 58))
    with transaction() as tx:
        assert sweep(tx).finished == [campaign_id]
    with transaction() as tx:
        report = get_campaign_report(tx, campaign_id)
        assert report is not None
        assert report.status is CampaignStatus.SENT
        assert report.audience == report.buckets[DeliveryStatus.ACCEPTED] == 57
        assert tx.session.scalar(text("SELECT count(*) FROM attempts WHERE fate = 'accepted'")) == 57
    assert send_due(sender) == 0
    assert len(accepted_by(sender)) == 57


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE subscriptions SET state = 'unsubscribed'", SkipReason.NO_CONSENT),
        ("UPDATE subscriptions SET state = 'pending'", SkipReason.NO_CONSENT),
        ("UPDATE subscriptions SET purpose = 'digest'", SkipReason.NO_CONSENT),
        ("DELETE FROM subscriptions", SkipReason.NO_CONSENT),
        ("UPDATE subscribers SET paused_until = '2026-03-09T09:00Z'", SkipReason.PAUSED),
    ],
)
def test_what_changed_after_planning_is_seen_by_the_claim(  # invariant 2, C-13
    transaction: TransactionFactory, clock: FrozenClock, change: str, reason: SkipReason
) -> None:
    with transaction() as tx:
        a_reader(tx, "r@example.org")
        campaign_id = ordered(tx)
        tx.session.execute(text(change))
    sender = a_sender(transaction, clock)
    assert send_due(sender) == 0
    assert accepted_by(sender) == []
    with transaction() as tx:
        assert statuses(tx, campaign_id) == {"r@example.org": f"skipped {reason}"}
        assert sweep(tx).finished == [campaign_id]


@pytest.mark.parametrize(
    ("reason", "of_this_list", "lifted", "mailed"),
    [
        (SuppressionReason.MANUAL, None, False, False),
        (SuppressionReason.PERMANENT_BOUNCE, None, False, False),
        (SuppressionReason.COMPLAINT, True, False, False),
        (SuppressionReason.COMPLAINT, False, False, True),
        (SuppressionReason.MANUAL, None, True, True),
    ],
)
def test_suppressions_added_after_planning(
    transaction: TransactionFactory,
    clock: FrozenClock,
    reason: SuppressionReason,
    of_this_list: bool | None,
    lifted: bool,
    mailed: bool,
) -> None:
    with transaction() as tx:
        a_reader(tx, "R@example.org")
        campaign_id = ordered(tx)
        scope = {None: None, True: a_list(tx), False: a_list(tx, "another")}[of_this_list]
        a_suppression(tx, "r@example.org", reason, list_id=scope, lifted=lifted)
    send_due(a_sender(transaction, clock))
    with transaction() as tx:
        assert statuses(tx, campaign_id) == {"R@example.org": "accepted" if mailed else "skipped suppressed"}


def test_planning_counts_whom_it_does_not_mail(transaction: TransactionFactory) -> None:  # invariant 8
    with transaction() as tx:
        a_reader(tx, "active@example.org")
        a_reader(tx, "paused@example.org", paused_days=7)
        a_reader(tx, "gone@example.org", state=SubscriptionState.UNSUBSCRIBED)
        a_reader(tx, "new@example.org", state=SubscriptionState.PENDING)
        a_reader(tx, "other-list@example.org", list_id=a_list(tx, "another"))
        a_reader(tx, "suppressed@example.org")
        a_suppression(tx, "suppressed@example.org")
        campaign_id = ordered(tx)
        assert statuses(tx, campaign_id) == {
            "active@example.org": "queued",
            "paused@example.org": "skipped paused",
            "suppressed@example.org": "skipped suppressed",
        }
        report = get_campaign_report(tx, campaign_id)
        assert report is not None
        assert sum(report.buckets.values()) == report.audience == 3
        assert report.skipped == {SkipReason.PAUSED: 1, SkipReason.SUPPRESSED: 1}


def test_each_answer_has_its_consequence(transaction: TransactionFactory, clock: FrozenClock) -> None:
    with transaction() as tx:
        for name in ("ok", "dead", "busy", "spam", "lost"):
            a_reader(tx, f"{name}@example.org")
        campaign_id = ordered(tx)
    sender = a_sender(
        transaction,
        clock,
        script={
            "dead@example.org": (Phase.RCPT, 550, "5.1.1", "no such user"),
            "busy@example.org": (Phase.RCPT, 451, "4.7.1", "greylisted"),
            "spam@example.org": (Phase.EOM, 550, "5.7.1", "spam"),
            "lost@example.org": (Phase.EOM, None, None, "closed"),
        },
    )
    assert send_due(sender) == 5
    with transaction() as tx:
        assert statuses(tx, campaign_id) == {
            "ok@example.org": "accepted",
            "dead@example.org": "failed",
            "busy@example.org": "queued",
            "spam@example.org": "failed",
            "lost@example.org": "uncertain",
        }
        suppressed = tx.session.execute(select(Suppression.address_hmac, Suppression.reason, Suppression.list_id)).all()
        assert suppressed == [(fingerprint("dead@example.org"), SuppressionReason.PERMANENT_BOUNCE, None)]
        busy = tx.session.scalars(select(Delivery).where(Delivery.status == DeliveryStatus.QUEUED)).one()
        assert (busy.due_at, busy.attempts) == (clock.now() + timedelta(minutes=15), 1)
        kept = busy.message_id
        assert sweep(tx).finished == []
    assert sender.journal.read().outcomes == {}, "the journal is cleared after the commit"
    assert send_due(sender) == 0, "nothing is due yet"
    clock.advance(minutes=15)
    sender.transport.script.clear()  # type: ignore[attr-defined]
    assert send_due(sender) == 1
    with transaction() as tx:
        assert delivery_of(tx, busy.id).message_id == kept
        assert statuses(tx, campaign_id)["busy@example.org"] == "accepted"
        phases = select(Attempt.phase, Attempt.code, Attempt.fate).where(Attempt.delivery_id == busy.id)
        assert tx.session.execute(phases.order_by(Attempt.id)).all() == [
            (Phase.RCPT, 451, "retry"),
            (Phase.EOM, 250, "accepted"),
        ]


def test_a_dead_address_is_suppressed_once(transaction: TransactionFactory, clock: FrozenClock) -> None:
    with transaction() as tx:
        a_reader(tx, "dead@example.org")
        ordered(tx)
        ordered(tx)
    sender = a_sender(transaction, clock, script={"dead@example.org": (Phase.RCPT, 550, "5.1.1", "no")})
    assert send_due(sender) == 1, "the second campaign's claim sees what the first one's answer said"
    with transaction() as tx:
        assert tx.session.scalar(text("SELECT count(*) FROM suppressions")) == 1


def test_message_ids_are_random_and_ours(transaction: TransactionFactory, clock: FrozenClock) -> None:
    with transaction() as tx:
        many_readers(tx, 30, list_id=a_list(tx))
        ordered(tx)
    send_due(a_sender(transaction, clock))
    with transaction() as tx:
        ids = tx.session.scalars(select(Delivery.message_id)).all()
    assert len(set(ids)) == 30
    for message_id in ids:
        left, _, right = (message_id or "").partition("@")
        assert right == "news.fjellsko.example"
        assert len(bytes.fromhex(left)) * 8 - 12 >= 128, "two version 4 UUIDs hold at least this much randomness"


def test_an_unusable_relay_uses_up_nobodys_attempt_and_is_left_alone(  # C-11
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        many_readers(tx, 30, list_id=a_list(tx))
        ordered(tx)
    down = {f"reader-{n}@many.example": (Phase.CONNECT, None, None, "refused") for n in range(1, 31)}
    sender = a_sender(transaction, clock, script=down)
    assert send_due(sender) == 1, "the first failure ends the turn"
    assert send_due(sender) == 0, "and the relay is left alone"
    with transaction() as tx:
        assert tx.session.execute(text("SELECT DISTINCT status, attempts FROM deliveries")).all() == [("queued", 0)]
    clock.advance(seconds=5)
    assert send_due(sender) == 1
    clock.advance(seconds=5)
    assert send_due(sender) == 0, "longer after the second failure"
    clock.advance(seconds=5)
    sender.transport.script.clear()  # type: ignore[attr-defined]
    assert send_due(sender) >= 28
    clock.advance(seconds=60)
    send_due(sender)
    assert len(accepted_by(sender)) == 30


def test_a_relay_that_lets_nobody_in_is_left_alone_too(transaction: TransactionFactory, clock: FrozenClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with transaction() as tx:
        many_readers(tx, 30, list_id=a_list(tx))
        ordered(tx)
    sender = a_sender(transaction, clock)
    sender.transport = SmtpTransport(Relay("127.0.0.1", port, RelayTls.NONE, None, None, None), sender.journal)
    assert send_due(sender) == 1
    assert send_due(sender) == 0, "and the relay is left alone"
    with transaction() as tx:
        assert tx.session.execute(text("SELECT DISTINCT status, attempts FROM deliveries")).all() == [("queued", 0)]
        assert tx.session.scalars(select(Attempt.phase)).all() == [Phase.CONNECT]


def test_nothing_starts_3_seconds_after_its_claim(transaction: TransactionFactory, clock: FrozenClock) -> None:
    """A slow relay: each message takes a second, so three leave and the rest is given back (invariant 2)."""
    after: list[timedelta] = []

    def slowly(letter: Letter, now: datetime) -> Message:
        with transaction() as tx:
            lease_until = tx.session.scalars(
                select(Delivery.lease_until).where(Delivery.id == letter.delivery_id)
            ).one()
        assert lease_until is not None
        after.append(clock.now() - (lease_until - LEASE))
        clock.advance(seconds=1)
        return write_plainly(letter, now)

    with transaction() as tx:
        many_readers(tx, 10, list_id=a_list(tx))
        campaign_id = ordered(tx)
    assert send_due(a_sender(transaction, clock, write=slowly)) == 10
    assert max(after) < START_WITHIN
    assert len(set(after)) == 3, "claimed anew again and again"
    with transaction() as tx:
        report = get_campaign_report(tx, campaign_id)
        assert report is not None
        assert report.buckets[DeliveryStatus.ACCEPTED] == 10


def test_an_unsubscribe_in_mid_campaign_is_honoured_by_the_next_claim(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        many_readers(tx, 60, list_id=a_list(tx))
        campaign_id = ordered(tx)
        last = tx.session.scalars(select(Subscriber).order_by(Subscriber.id.desc()).limit(1)).one()

    def leaves_meanwhile(letter: Letter, now: datetime) -> Message:
        with transaction() as tx:
            tx.session.execute(
                text("UPDATE subscriptions SET state = 'unsubscribed' WHERE subscriber_id = :id"), {"id": last.id}
            )
        return write_plainly(letter, now)

    sender = a_sender(transaction, clock, write=leaves_meanwhile)
    assert send_due(sender) == 59
    assert last.address not in accepted_by(sender)
    with transaction() as tx:
        assert statuses(tx, campaign_id)[last.address] == "skipped no_consent"


def test_a_letter_that_cannot_be_written_fails_alone(transaction: TransactionFactory, clock: FrozenClock) -> None:
    def picky(letter: Letter, now: datetime) -> Message:
        if letter.address == "utf8@example.org":
            raise UnwritableError("x", "The address needs SMTPUTF8.", enhanced="5.6.7", phase=Phase.RCPT)
        if letter.address == "bug@example.org":
            raise KeyError("reader.shoe_size")
        return write_plainly(letter, now)

    with transaction() as tx:
        for name in ("utf8", "bug", "fine"):
            a_reader(tx, f"{name}@example.org")
        campaign_id = ordered(tx)
    send_due(a_sender(transaction, clock, write=picky))
    with transaction() as tx:
        assert statuses(tx, campaign_id) == {
            "utf8@example.org": "failed",
            "bug@example.org": "failed",
            "fine@example.org": "accepted",
        }
        attempts = dict(
            tx.session.execute(select(Attempt.enhanced, Attempt.text).where(Attempt.relay == "milepost")).all()
        )
        assert attempts["5.6.7"] == "The address needs SMTPUTF8."
        assert "KeyError" in attempts["5.6.0"]
        assert tx.session.scalar(text("SELECT count(*) FROM suppressions")) == 0


def test_several_campaigns_share_the_lane(transaction: TransactionFactory, clock: FrozenClock) -> None:
    with transaction() as tx:
        many_readers(tx, 60, list_id=a_list(tx))
        big, small = ordered(tx), ordered(tx, name="Another")
    order: list[int | None] = []

    def note(letter: Letter, now: datetime) -> Message:
        order.append(letter.campaign_id)
        return write_plainly(letter, now)

    sender = a_sender(transaction, clock, write=note)
    sender.batch = 10
    send_due(sender)
    assert order[:10] == [big] * 10
    assert order[10] == small, "the second claim is the other campaign's"
    assert order.count(big) == order.count(small) == 60


@pytest.mark.parametrize("act", ["pause", "cancel"])
def test_what_is_paused_or_cancelled_is_not_claimed(
    transaction: TransactionFactory, clock: FrozenClock, act: str
) -> None:
    with transaction() as tx:
        a_reader(tx, "r@example.org")
        campaign_id = ordered(tx)
        getattr(campaigning, f"{act}_campaign")(tx, campaign_id, by="ada", reason="wrong subject")
    sender = a_sender(transaction, clock)
    assert send_due(sender) == 0
    with transaction() as tx:
        assert sweep(tx).woken == []
        assert statuses(tx, campaign_id) == {"r@example.org": "queued" if act == "pause" else "cancelled"}
        if act == "pause":
            campaigning.resume_campaign(tx, campaign_id, by="ada")
    assert send_due(sender) == (1 if act == "pause" else 0)


def test_what_was_on_its_way_when_its_campaign_was_cancelled_is_not_tried_again(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        a_reader(tx, "busy@example.org")
        campaign_id = ordered(tx)

    def cancelled_meanwhile(letter: Letter, now: datetime) -> Message:
        with transaction() as tx:
            campaigning.cancel_campaign(tx, campaign_id, by="ada")
        return write_plainly(letter, now)

    script = {"busy@example.org": (Phase.RCPT, 451, None, "later")}
    send_due(a_sender(transaction, clock, write=cancelled_meanwhile, script=script))
    with transaction() as tx:
        assert statuses(tx, campaign_id) == {"busy@example.org": "queued"}
        assert sweep(tx).cancelled == 1
        assert statuses(tx, campaign_id) == {"busy@example.org": "cancelled"}


def test_a_turn_ends_after_a_minute_and_asks_for_another(
    transaction: TransactionFactory, clock: FrozenClock, queue: HintList
) -> None:
    def slowly(letter: Letter, now: datetime) -> Message:
        clock.advance(seconds=20)
        return write_plainly(letter, now)

    with transaction() as tx:
        many_readers(tx, 10, list_id=a_list(tx))
        ordered(tx)
    queue.hints.clear()
    assert send_due(a_sender(transaction, clock, write=slowly)) == 3
    assert queue.hints == [(Hint.SEND_DUE, Lane.BULK, ())]


# Interactive mail


@pytest.mark.parametrize(
    ("kind", "change", "status", "reason"),
    [
        (MailKind.CONFIRMATION, "SELECT 1", "accepted", None),
        (MailKind.CONFIRMATION, "DELETE FROM subscriptions", "accepted", None),
        (MailKind.CONFIRMATION, "UPDATE signups SET state = 'confirmed'", "skipped", SkipReason.EXPIRED),
        (MailKind.CONFIRMATION, "UPDATE signups SET expires_at = '2026-03-02T08:59Z'", "skipped", SkipReason.EXPIRED),
        (MailKind.WELCOME, "SELECT 1", "accepted", None),
        (MailKind.WELCOME, "UPDATE subscriptions SET state = 'unsubscribed'", "skipped", SkipReason.NO_CONSENT),
        (MailKind.WELCOME, "UPDATE subscribers SET paused_until = '2027-01-01Z'", "accepted", None),
        (MailKind.ALREADY_SUBSCRIBED, "DELETE FROM subscriptions", "accepted", None),
    ],
)
def test_what_interactive_mail_needs(
    transaction: TransactionFactory,
    clock: FrozenClock,
    kind: MailKind,
    change: str,
    status: str,
    reason: SkipReason | None,
) -> None:
    with transaction() as tx:
        delivery_id = interactive(tx, kind)
        tx.session.execute(text(change))
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE))
    with transaction() as tx:
        row = delivery_of(tx, delivery_id)
        assert (row.status, row.skip_reason) == (status, reason)


@pytest.mark.parametrize("kind", [MailKind.CONFIRMATION, MailKind.ALREADY_SUBSCRIBED, MailKind.WELCOME])
@pytest.mark.parametrize("reason", list(SuppressionReason))
def test_what_a_new_sign_up_may_lift_may_be_asked_about_and_nothing_else(  # C-16
    transaction: TransactionFactory, clock: FrozenClock, kind: MailKind, reason: SuppressionReason
) -> None:
    with transaction() as tx:
        delivery_id = interactive(tx, kind)
        a_suppression(tx, "r@example.org", reason)
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE))
    allowed = kind is MailKind.CONFIRMATION and reason in LIFTABLE
    with transaction() as tx:
        assert delivery_of(tx, delivery_id).status == ("accepted" if allowed else "skipped")


def test_lanes_do_not_take_each_others_work(transaction: TransactionFactory, clock: FrozenClock) -> None:
    with transaction() as tx:
        a_reader(tx, "bulk@example.org")
        ordered(tx)
        interactive(tx, MailKind.WELCOME, "welcome@example.org", list_id=a_list(tx, "another"))
        tx.session.execute(
            text("UPDATE deliveries SET list_id = :l WHERE kind = 'welcome'"), {"l": a_list(tx, "another")}
        )
    one, other = a_sender(transaction, clock, lane=Lane.INTERACTIVE), a_sender(transaction, clock)
    send_due(one)
    send_due(other)
    assert accepted_by(one) == ["welcome@example.org"]
    assert accepted_by(other) == ["bulk@example.org"]


def test_a_confirmation_says_nothing_that_was_typed_and_speaks_the_forms_language(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:  # E-09
    seen: list[Letter] = []

    def keep(letter: Letter, now: datetime) -> Message:
        seen.append(letter)
        return write_plainly(letter, now)

    with transaction() as tx:
        reader = a_reader(tx, "r@example.org", first_name="Buy now", language=Language.EN, state=None)
        signup = a_signup(tx, "r@example.org", language=Language.DE)
        for kind in (MailKind.CONFIRMATION, MailKind.ALREADY_SUBSCRIBED):
            deliveries.add_interactive(tx, kind=kind, subscriber_id=reader, list_id=a_list(tx), signup_id=signup)
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE, write=keep))
    confirmation, already = seen
    assert (confirmation.first_name, confirmation.language, confirmation.list_name) == (None, "de", "Training (de)")
    assert confirmation.signup is not None
    assert confirmation.signup.id == signup
    assert (already.first_name, already.language, already.list_name) == ("Buy now", "en", "Training")


def test_a_lost_answer_to_a_confirmation_is_repeated_soon(transaction: TransactionFactory, clock: FrozenClock) -> None:
    with transaction() as tx:
        delivery_id = interactive(tx, MailKind.CONFIRMATION)
    script = {"r@example.org": (Phase.EOM, None, None, "closed")}
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE, script=script)
    send_due(sender)
    with transaction() as tx:
        row = delivery_of(tx, delivery_id)
        assert (row.status, row.due_at - tx.now) == (DeliveryStatus.QUEUED, timedelta(seconds=30))
    clock.advance(seconds=30)
    sender.transport.script.clear()  # type: ignore[attr-defined]
    assert send_due(sender) == 1
