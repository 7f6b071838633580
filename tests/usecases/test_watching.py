"""Campaigns that pause themselves, relays that do not answer, and who is mailed about both."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from service.bootstrap import SystemClock
from service.domain.breaker import NORMAL, WINDOW, Cause, Limits, Tally
from service.domain.letters import LetterNotice
from service.domain.outcomes import Phase
from service.domain.relay_watch import FORGOTTEN_AFTER, TOLD_AFTER, RelayWatch, Trouble, TroubleKind
from service.domain.words import CampaignStatus, DeliveryStatus, Lane, Language, MailKind, RelayTls, SuppressionReason
from service.mail.smtp import Relay, SmtpTransport
from service.mail.writer import Writer
from service.ports import Hint
from service.store import watches
from service.store.schema import Campaign, Delivery, OperatorNotice
from service.store.suppressions import add_suppression
from service.store.transaction import Transaction, TransactionFactory
from service.usecases import campaigning, watching
from service.usecases.dispatching import send_due, sweep
from service.usecases.steps.watching import count_startable, note_results
from service.usecases.watching import ONE_MAIL_WITHIN, Operators
from tests.builders import a_list, many_readers
from tests.conftest import FrozenClock, HintList
from tests.mail.letters import PUBLISHER, WRITER, a_letter, parsed
from tests.usecases.builders import KEYS
from tests.usecases.sending import a_sender, accepted_by, campaign_status, ordered

OPERATORS = Operators(("ops@fjellsko.example", "night@fjellsko.example"), Language.DE)
DOWN = Trouble(TroubleKind.REFUSING, "mail.example:587", Phase.MAIL, 421, "4.3.2 shutting down", timedelta(minutes=2))
SILENT = Trouble(TroubleKind.SILENT, "mail.example:587", Phase.EOM, None, "", timedelta(seconds=12))


def a_running_campaign(tx: Transaction, readers: int = 40) -> int:
    many_readers(tx, readers, list_id=a_list(tx))
    return ordered(tx)


@contextmanager
def _same(tx: Transaction) -> Iterator[Transaction]:
    yield tx


def notices(tx: Transaction) -> list[OperatorNotice]:
    found = select(OperatorNotice).order_by(OperatorNotice.id).execution_options(populate_existing=True)
    return list(tx.session.scalars(found))


# --- the breaker ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C-17")
def test_too_many_dead_addresses_pause_a_campaign_and_the_rest_is_untouched(tx: Transaction) -> None:
    campaign_id = a_running_campaign(tx)
    assert note_results(tx, {campaign_id: Tally(answered=10, dead=10, failed=10)}, NORMAL) == []
    assert campaign_status(tx, campaign_id) is CampaignStatus.SENDING
    assert note_results(tx, {campaign_id: Tally(answered=1, dead=1, failed=1)}, NORMAL) == [campaign_id]
    campaign = tx.session.get(Campaign, campaign_id)
    assert campaign is not None
    assert (campaign.status, campaign.changed_by) == (CampaignStatus.PAUSED, "milepost")
    assert campaign.reason is not None
    assert campaign.reason.startswith("11 of 11 addresses do not exist")
    assert [each.cause for each in watches.list_tripped(tx)] == [Cause.DEAD]
    untouched = "SELECT count(*) FROM deliveries WHERE status = 'queued' AND attempts = 0"
    assert tx.session.scalar(text(untouched)) == 40


def test_what_comes_late_of_a_paused_campaign_changes_nothing(tx: Transaction) -> None:
    campaign_id = a_running_campaign(tx)
    spam = Tally(answered=30, refused=30, failed=30)
    assert note_results(tx, {campaign_id: spam}, NORMAL) == [campaign_id]
    assert note_results(tx, {campaign_id: spam}, NORMAL) == []


def test_whoever_resumes_it_has_it_counted_anew(tx: Transaction) -> None:
    campaign_id = a_running_campaign(tx)
    bad = Tally(answered=11, dead=11, failed=11)
    note_results(tx, {campaign_id: bad}, NORMAL)
    campaigning.resume_campaign(tx, campaign_id, by="ada")
    assert watches.list_tripped(tx) == []
    assert note_results(tx, {campaign_id: Tally(answered=10, dead=10, failed=10)}, NORMAL) == []
    assert campaign_status(tx, campaign_id) is CampaignStatus.SENDING
    assert note_results(tx, {campaign_id: Tally(answered=1, dead=1, failed=1)}, NORMAL) == [campaign_id]


def test_a_full_window_is_followed_by_an_empty_one(tx: Transaction) -> None:
    campaign_id = a_running_campaign(tx)
    for _ in range(20):  # 4 % each time: borne for ever, but never added up
        assert note_results(tx, {campaign_id: Tally(answered=WINDOW, refused=20, failed=20)}, NORMAL) == []
    assert note_results(tx, {campaign_id: Tally(answered=26, refused=26, failed=26)}, NORMAL) == [campaign_id]


def test_a_campaign_with_nothing_left_is_not_paused(tx: Transaction) -> None:
    campaign_id = a_running_campaign(tx)
    tx.session.execute(text("UPDATE deliveries SET status = 'failed'"))
    assert note_results(tx, {campaign_id: Tally(answered=40, failed=40)}, NORMAL) == []
    assert campaign_status(tx, campaign_id) is CampaignStatus.SENDING


def test_a_campaign_that_a_person_paused_stays_theirs(tx: Transaction) -> None:
    campaign_id = a_running_campaign(tx)
    campaigning.pause_campaign(tx, campaign_id, by="ada", reason="wrong link")
    assert note_results(tx, {campaign_id: Tally(answered=40, failed=40)}, NORMAL) == []
    campaign = tx.session.get(Campaign, campaign_id)
    assert campaign is not None
    assert (campaign.changed_by, campaign.reason) == ("ada", "wrong link")


def test_counting_a_thousand_results_takes_less_than_a_millisecond_each_time(tx: Transaction) -> None:
    campaign_id = a_running_campaign(tx)
    note_results(tx, {campaign_id: Tally(answered=1)}, NORMAL)
    took = []
    for _ in range(20):
        begun = time.perf_counter()
        note_results(tx, {campaign_id: Tally(answered=1)}, NORMAL)
        took.append(time.perf_counter() - begun)
    assert min(took) < 0.001


@pytest.mark.requirement("F-15")
def test_no_more_than_the_first_window_leaves_before_its_answers_are_in(tx: Transaction, clock: FrozenClock) -> None:
    campaign_id = a_running_campaign(tx, 30)
    assert count_startable(tx, campaign_id, 2000) == WINDOW
    worker = a_sender(lambda: _same(tx), clock).worker_id
    tx.session.execute(
        text(
            "UPDATE deliveries SET status = 'sending', claimed_by = :worker, lease_until = :until "
            "WHERE id IN (SELECT id FROM deliveries LIMIT 20)"
        ),
        {"worker": worker, "until": tx.now + timedelta(seconds=60)},
    )
    assert count_startable(tx, campaign_id, 2000) == WINDOW - 20
    note_results(tx, {campaign_id: Tally(answered=470)}, NORMAL)
    assert count_startable(tx, campaign_id, 2000) == 10
    assert count_startable(tx, campaign_id, 4) == 4
    note_results(tx, {campaign_id: Tally(answered=10)}, NORMAL)
    assert count_startable(tx, campaign_id, 2000) == 0
    note_results(tx, {campaign_id: Tally(answered=20)}, NORMAL)
    assert count_startable(tx, campaign_id, 2000) == 2000


def test_what_a_lost_worker_holds_does_not_hold_up_the_first_window(tx: Transaction, clock: FrozenClock) -> None:
    campaign_id = a_running_campaign(tx, 30)
    worker = a_sender(lambda: _same(tx), clock).worker_id
    tx.session.execute(
        text("UPDATE deliveries SET status = 'sending', claimed_by = :worker, lease_until = :until"),
        {"worker": worker, "until": tx.now - timedelta(seconds=1)},
    )
    assert count_startable(tx, campaign_id, 2000) == WINDOW


# --- the relay --------------------------------------------------------------------------------------------------------


def test_a_heart_tells_of_trouble_and_that_it_is_over(transaction: TransactionFactory, clock: FrozenClock) -> None:
    worker = a_sender(transaction, clock).worker_id
    with transaction() as tx:
        watching.record_beat(tx, worker, SILENT)
        began = tx.now - SILENT.lasted
    clock.advance(seconds=4)
    with transaction() as tx:
        watching.record_beat(tx, worker, DOWN)
        [down] = watches.list_relays_down(tx)
        assert (down.relay, down.kind, down.code, down.seen_at) == (DOWN.relay, TroubleKind.REFUSING, 421, tx.now)
        assert down.since <= began
        assert (down.hosts, down.lanes) == (("a-host",), (Lane.BULK,))
    with transaction() as tx:
        watching.record_beat(tx, worker, None)
        assert watches.list_relays_down(tx) == []


def test_what_nobody_has_seen_lately_is_not_known(transaction: TransactionFactory, clock: FrozenClock) -> None:
    worker = a_sender(transaction, clock).worker_id
    with transaction() as tx:
        watching.record_beat(tx, worker, DOWN)
    clock.advance(seconds=FORGOTTEN_AFTER.total_seconds() + 1)
    with transaction() as tx:
        assert watches.list_relays_down(tx) == []
        watching.tell_operators(tx, OPERATORS)
        assert tx.session.scalar(text("SELECT count(*) FROM relay_troubles")) == 0


def test_a_relay_that_another_stands_in_for_is_shown_and_told_of(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    worker = a_sender(transaction, clock).worker_id
    with transaction() as tx:
        a_list(tx)
        watching.record_beat(tx, worker, replace(DOWN, kind=TroubleKind.REPLACED))
        [down] = watches.list_relays_down(tx)
        assert (down.kind, down.relay) == (TroubleKind.REPLACED, DOWN.relay)
        assert len(watching.tell_operators(tx, OPERATORS)) == 2


# --- the mails --------------------------------------------------------------------------------------------------------


def test_operators_are_mailed_once_an_hour_and_when_it_is_over(
    transaction: TransactionFactory, clock: FrozenClock, queue: HintList
) -> None:
    worker = a_sender(transaction, clock).worker_id
    with transaction() as tx:
        a_list(tx)
        watching.record_beat(tx, worker, DOWN)
        assert len(watching.tell_operators(tx, OPERATORS)) == 2
    assert queue.hints[-1] == (Hint.SEND_DUE, Lane.INTERACTIVE, ())
    with transaction() as tx:
        assert watching.tell_operators(tx, OPERATORS) == []
        watching.record_beat(tx, worker, None)
        assert len(watching.tell_operators(tx, OPERATORS)) == 2, "it is over"
        assert watching.tell_operators(tx, OPERATORS) == []
        watching.record_beat(tx, worker, DOWN)
        assert watching.tell_operators(tx, OPERATORS) == [], "again, within the hour"
    clock.advance(seconds=ONE_MAIL_WITHIN.total_seconds() + 1)
    with transaction() as tx:
        watching.record_beat(tx, worker, DOWN)
        assert len(watching.tell_operators(tx, OPERATORS)) == 2
        assert [(n.told_at is not None, n.ended_at is not None) for n in notices(tx)] == [(True, True), (True, False)]


def test_what_was_not_told_is_not_told_to_be_over(transaction: TransactionFactory, clock: FrozenClock) -> None:
    worker = a_sender(transaction, clock).worker_id
    with transaction() as tx:
        a_list(tx)
        watching.record_beat(tx, worker, SILENT)
        assert SILENT.lasted < TOLD_AFTER
        assert watching.tell_operators(tx, OPERATORS) == [], "a relay that was restarted wakes nobody"
        watching.record_beat(tx, worker, DOWN)
        assert watching.tell_operators(tx, Operators()) == [], "nobody is to be told"
        watching.record_beat(tx, worker, None)
        assert watching.tell_operators(tx, OPERATORS) == []
        assert len(notices(tx)) == 1


def test_a_notice_leaves_on_the_interactive_lane_and_says_all_there_is_to_say(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    writer = Writer(PUBLISHER, KEYS)
    with transaction() as tx:
        campaign_id = a_running_campaign(tx)
        note_results(tx, {campaign_id: Tally(answered=12, dead=12, failed=12)}, NORMAL)
        [ada, _] = watching.tell_operators(tx, OPERATORS)
    sent = []

    def write(letter, now):  # type: ignore[no-untyped-def]
        sent.append(writer.write(letter, now))
        return sent[-1]

    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE, write=write)
    assert send_due(sender) == 2
    assert sorted(accepted_by(sender)) == sorted(OPERATORS.addresses)
    mail = parsed(sent[0])
    assert mail["Subject"] == f"{PUBLISHER.name}: Kampagne {campaign_id} wurde angehalten"
    assert (mail["Auto-Submitted"], mail["List-Unsubscribe"], mail["List-Id"]) == ("auto-generated", None, None)
    plain = mail.get_body(("plain",))
    assert plain is not None
    words = " ".join(plain.get_content().split())
    assert "12 von 12 Adressen gibt es nicht" in words
    assert "40 Leserinnen und Leser haben sie nicht erhalten" in words
    assert f"milepost campaign show {campaign_id}" in words
    assert "many.example" not in words, "no reader's address"
    with transaction() as tx:
        delivery = tx.session.get(Delivery, ada, populate_existing=True)
        assert delivery is not None
        assert (delivery.kind, delivery.status) == (MailKind.OPERATOR_NOTICE, DeliveryStatus.ACCEPTED)


def test_a_notice_waits_for_the_relay_and_uses_up_no_attempt(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        a_list(tx)
    sender = a_sender(
        transaction,
        clock,
        lane=Lane.INTERACTIVE,
        script={"ops@fjellsko.example": (Phase.CONNECT, None, None, "connection refused")},
    )
    with transaction() as tx:
        watching.record_beat(tx, sender.worker_id, DOWN)
        [delivery_id] = watching.tell_operators(tx, Operators(("ops@fjellsko.example",)))
    send_due(sender)
    with transaction() as tx:
        delivery = tx.session.get(Delivery, delivery_id, populate_existing=True)
        assert delivery is not None
        assert (delivery.status, delivery.attempts) == (DeliveryStatus.QUEUED, 0)


def test_an_operator_whose_address_is_suppressed_gets_none(transaction: TransactionFactory, clock: FrozenClock) -> None:
    with transaction() as tx:
        campaign_id = a_running_campaign(tx)
        note_results(tx, {campaign_id: Tally(answered=12, dead=12, failed=12)}, NORMAL)
        watching.tell_operators(tx, OPERATORS)
        tx.session.execute(
            text("INSERT INTO suppressions (address_hmac, reason, source) VALUES (:hmac, 'complaint', 'test')"),
            {"hmac": KEYS.address_hmac("ops@fjellsko.example")},
        )
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE)
    send_due(sender)
    assert accepted_by(sender) == ["night@fjellsko.example"]


@pytest.mark.parametrize("language", Language)
def test_every_notice_can_be_written_in_every_language(tx: Transaction, language: Language) -> None:
    relay = {"about": "relay", "relay": "mail.example:587", "said": "", "hosts": "a-host"}
    campaign = {"about": "campaign", "id": 7, "name": "Sale", "left": 3, "number": 12, "answered": 40}
    facts = [relay | {"kind": kind.value} for kind in TroubleKind] + [
        campaign | {"kind": cause.value} for cause in Cause
    ]
    subjects = set()
    for each in facts:
        for is_over in (False, True):
            notice = LetterNotice(is_over, tx.now, each, tx.now + timedelta(minutes=5) if is_over else None)
            rendered = WRITER.preview(a_letter(MailKind.OPERATOR_NOTICE, language, notice=notice), tx.now)
            assert "{" not in rendered.text
            subjects.add(rendered.subject)
    assert len(subjects) == 4


# --- together with sending --------------------------------------------------------------------------------------------


@pytest.mark.requirement("F-15")
@pytest.mark.requirement("C-17")
def test_of_a_list_with_dead_addresses_no_more_than_the_first_500_are_tried(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        campaign_id = a_running_campaign(tx, 620)
    nobody = (Phase.RCPT, 550, "5.1.1", "no such user")
    sender = a_sender(
        transaction, clock, script={f"reader-{number}@many.example": nobody for number in range(30, 620, 33)}
    )
    for _ in range(5):
        send_due(sender)
    with transaction() as tx:
        campaign = tx.session.get(Campaign, campaign_id, populate_existing=True)
        assert campaign is not None
        assert (campaign.status, campaign.changed_by) == (CampaignStatus.PAUSED, "milepost")
        states = "SELECT status, count(*), sum(attempts) FROM deliveries GROUP BY 1"
        found = {row[0]: (row[1], row[2]) for row in tx.session.execute(text(states))}
        assert found["failed"][0] >= 11
        assert found["queued"] == (620 - found["failed"][0] - found["accepted"][0], 0)
        assert found["queued"][0] >= 120
        campaigning.resume_campaign(tx, campaign_id, by="ada")
    sender.limits = Limits(dead=10.0)
    for _ in range(5):
        send_due(sender)
    assert len(accepted_by(sender)) == 602, "everybody else, once"
    with transaction() as tx:
        assert tx.session.scalar(text("SELECT count(*) FROM deliveries WHERE attempts <> 1")) == 0


def test_a_good_campaign_goes_through_all_its_windows_in_one_turn(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        a_running_campaign(tx, 1700)
    sender = a_sender(transaction, clock)
    assert send_due(sender) == 1700


class Hurried(SystemClock):
    """A clock that runs ten times as fast."""

    def monotonic(self) -> float:
        return super().monotonic() * 10


@pytest.mark.parametrize("greeting", [b"", b"220 relay.example ESMTP\r\n"])
def test_a_silent_relay_is_in_trouble_long_before_the_wire_gives_up(
    transaction: TransactionFactory, clock: FrozenClock, greeting: bytes
) -> None:
    """Whether it does not let us in, or takes a mail and says nothing (here: to EHLO)."""
    with transaction() as tx:
        a_running_campaign(tx, 50)
    sender, hurried, stop, held = a_sender(transaction, clock), Hurried(), threading.Event(), []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        silent.settimeout(0.1)

        def let_in() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    held.append(silent.accept()[0])
                    held[-1].sendall(greeting)

        letting_in = threading.Thread(target=let_in, daemon=True)
        letting_in.start()
        relay = Relay("127.0.0.1", port, RelayTls.NONE, user=None, password=None, helo_name="news.fjellsko.example")
        sender.clock, sender.relay = hurried, RelayWatch(f"127.0.0.1:{port}")
        sender.transport = SmtpTransport(relay, sender.journal)
        seen: list[Trouble] = []

        def stopping() -> bool:
            trouble = sender.relay.trouble(hurried.monotonic())
            if trouble is not None:
                seen.append(trouble)
            return trouble is not None

        sender.stopping = stopping
        begun = hurried.monotonic()
        send_due(sender)
        assert hurried.monotonic() - begun < 16, "with the heart's four seconds this is within twenty"
        stop.set()
        letting_in.join()
        for connection in held:
            connection.close()
    assert seen[0].kind is TroubleKind.SILENT
    assert seen[0].relay == f"127.0.0.1:{port}"
    with transaction() as tx:
        assert tx.session.scalar(text("SELECT count(*) FROM deliveries WHERE attempts > 0")) == 0


# --- too many dead addresses ------------------------------------------------------------------------------------------

NOBODY = (Phase.RCPT, 550, "5.1.1", "no such user")
IN_FORCE = "SELECT count(*) FROM suppressions WHERE lifted_at IS NULL"


@pytest.mark.requirement("C-14")
@pytest.mark.parametrize(("readers", "every", "spared"), [(620, 1, True), (20, 1, True), (620, 30, False)])
def test_a_relay_that_knows_nobody_does_not_empty_the_list(
    transaction: TransactionFactory, clock: FrozenClock, readers: int, every: int, spared: bool
) -> None:
    with transaction() as tx:
        campaign_id = a_running_campaign(tx, readers)
        add_suppression(tx, address_hmac=b"x" * 32, reason=SuppressionReason.PERMANENT_BOUNCE, source="delivery 0")
    script = {f"reader-{number}@many.example": NOBODY for number in range(1, readers + 1) if number % every == 0}
    sender = a_sender(transaction, clock, script=script)
    for _ in range(5):
        send_due(sender)
    with transaction() as tx:
        failed = tx.session.scalar(text("SELECT count(*) FROM deliveries WHERE status = 'failed'"))
        assert failed >= 11
        assert tx.session.scalar(text(IN_FORCE)) == 1 + (0 if spared else failed)
        campaign = tx.session.get(Campaign, campaign_id, populate_existing=True)
        assert campaign is not None
        assert (campaign.status is CampaignStatus.PAUSED) is (readers > WINDOW), "else nothing is left to be paused"
        if readers > WINDOW:
            assert ("none of these addresses was suppressed" in (campaign.reason or "")) is spared


# --- a campaign whose time is over ------------------------------------------------------------------------------------


@pytest.mark.requirement("C-10")
def test_of_a_campaign_whose_time_is_over_nobody_else_is_mailed(
    transaction: TransactionFactory, clock: FrozenClock, queue: HintList
) -> None:
    with transaction() as tx:
        campaign_id = a_running_campaign(tx, 5)
        tx.session.execute(text("UPDATE campaigns SET expire_after = 48"))
    later = (Phase.RCPT, 451, "4.7.1", "greylisted")
    sender = a_sender(transaction, clock, script={"reader-1@many.example": later, "reader-2@many.example": later})
    send_due(sender)
    with transaction() as tx:
        one = "(SELECT max(id) FROM deliveries WHERE status = 'queued')"
        tx.session.execute(text(f"UPDATE deliveries SET attempts = 0 WHERE id = {one}"))
    clock.advance(seconds=47 * 3600)
    with transaction() as tx:
        assert watching.expire_campaigns(tx) == 0
    clock.advance(seconds=3600)
    with transaction() as tx:
        assert watching.expire_campaigns(tx) == 2
        states = tx.session.execute(text("SELECT status, skip_reason, count(*) FROM deliveries GROUP BY 1, 2"))
        found = {(row[0], row[1]): row[2] for row in states}
        assert found == {("accepted", None): 3, ("failed", None): 1, ("skipped", "expired"): 1}
        sweep(tx)
        campaign = tx.session.get(Campaign, campaign_id, populate_existing=True)
        assert campaign is not None
        assert campaign.status is CampaignStatus.SENT
