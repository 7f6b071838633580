"""The confirmation mail is kept as it went out, without its token; the press of the button says what was answered."""

import quopri
from hashlib import sha256

import pytest
from sqlalchemy import select, text

from service.domain.ledger import decrypt
from service.domain.outcomes import Message, Phase
from service.domain.words import ConsentState, Lane, MailKind
from service.mail.withholding import WITHHELD, withhold_token
from service.mail.writer import Writer
from service.store import consent, proofs
from service.store.schema import ConfirmationMail, ConsentEvent, Delivery, MailTemplate, Signup
from service.store.transaction import Transaction, TransactionFactory
from service.usecases import subscribing
from service.usecases.dispatching import send_due
from tests.conftest import FrozenClock
from tests.usecases.builders import (
    BUTTON_EVIDENCE,
    FORM_EVIDENCE,
    KEYS,
    PUBLISHER,
    confirm_token,
    decided,
    personal,
    sign_up,
)
from tests.usecases.sending import Script, a_sender

ADDRESS = "anna@fjell.no"
WRITER = Writer(PUBLISHER, KEYS)


def asked(transaction: TransactionFactory) -> int:
    """Signed up, decided; the confirmation waits. Returns the sign-up's id."""
    with transaction() as tx:
        return decided(tx, sign_up(tx, purposes=("digest", "offers"))).id


def sent(transaction: TransactionFactory, clock: FrozenClock, script: Script | None = None) -> list[Message]:
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE, script=script, write=WRITER.write)
    send_due(sender)
    return sender.transport.accepted  # type: ignore[attr-defined]


def copy_of(tx: Transaction) -> tuple[ConfirmationMail, bytes]:
    kept = tx.session.scalars(select(ConfirmationMail)).one()
    key = consent.find_subject_key(tx, KEYS.ledger, kept.subscriber_id)
    assert key is not None
    return kept, decrypt(key, kept.sealed, proofs.place_of(kept.delivery_id))


def given(tx: Transaction) -> list[ConsentEvent]:
    return list(tx.session.scalars(select(ConsentEvent).where(ConsentEvent.state == ConsentState.GIVEN)))


def press(transaction: TransactionFactory, signup_id: int) -> None:
    with transaction() as tx:
        pressed = subscribing.confirm_subscription(tx, KEYS, confirm_token(signup_id), BUTTON_EVIDENCE)
        assert isinstance(pressed, subscribing.Confirmed)


@pytest.mark.requirement("D-02")
def test_the_copy_is_the_mail_without_its_token_and_nothing_else_is_missing(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    signup_id = asked(transaction)
    [message] = sent(transaction, clock)
    token = confirm_token(signup_id)
    assert quopri.decodestring(message.data).count(token.encode()) == 2
    with transaction() as tx:
        kept, copy = copy_of(tx)
        assert token.encode() not in quopri.decodestring(copy)
        assert kept.sha256 == sha256(copy).digest()
        assert ADDRESS.encode() not in kept.sealed
        template = tx.session.get_one(MailTemplate, kept.template_id)
        assert template.kind is MailKind.CONFIRMATION
        assert "emails/_base/identity.mjml" in template.body
    # Put the token back where the wire broke it over two lines: then it is what the relay got, octet for octet.
    before, *between, after = copy.split(WITHHELD)
    assert message.data.startswith(before)
    assert message.data.endswith(after)
    assert all(part in message.data for part in between)
    assert len(message.data) - len(copy) <= 2 * (len(token) + len(b"=\r\n") - len(WITHHELD))


@pytest.mark.parametrize("cut", [0, 1, 25, 51])
def test_a_token_that_is_broken_over_two_lines_is_withheld_too(cut: int) -> None:
    token = confirm_token(7)
    broken = f"a {token[:cut]}=\r\n{token[cut:]} b".encode() if cut else f"a {token} b".encode()
    assert withhold_token(broken, token) == b"a " + WITHHELD + b" b"


def test_the_press_says_what_the_relay_answered_and_binds_the_copy(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    signup_id = asked(transaction)
    [message] = sent(transaction, clock, {ADDRESS: (Phase.EOM, 250, "2.0.0", "Ok: queued as 4Bx7Qq2TvLz9rP1")})
    clock.advance(minutes=2)
    press(transaction, signup_id)
    with transaction() as tx:
        kept, _ = copy_of(tx)
        events = given(tx)
        assert len(events) == 2
        for event in events:
            said = personal(tx, event)
            mail = said["confirmation_mail"]
            assert mail["text"] == "Ok: queued as 4Bx7Qq2TvLz9rP1"
            assert (mail["code"], mail["enhanced"], mail["relay"]) == (250, "2.0.0", "memory")
            assert f"<{mail['message_id']}>".encode() in message.data
            assert mail["sent_at"] == "2026-03-02T09:00:00.000000Z"
            assert mail["sha256"] == kept.sha256.hex()
            assert mail["delivery"] == event.delivery_id == message.delivery_id
            assert said["post"] == {
                "method": "POST",
                "at": "2026-03-02T09:02:00.000000Z",
                "token": f"sign-up {signup_id}",
            }
            assert (said["ip"], said["user_agent"]) == (BUTTON_EVIDENCE.ip, BUTTON_EVIDENCE.user_agent)
            assert said["address_as_entered"] == ADDRESS
            assert event.suspect_scanner is False


@pytest.mark.requirement("D-18")
def test_what_the_form_sent_is_evidence_only_with_the_button(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    """Until then it may have been anybody: the request's event says nothing of where it came from."""
    signup_id = asked(transaction)
    clock.advance(minutes=2)
    press(transaction, signup_id)
    with transaction() as tx:
        requested = tx.session.scalars(select(ConsentEvent).where(ConsentEvent.state == ConsentState.REQUESTED)).all()
        assert [personal(tx, event) for event in requested] == [{"address": ADDRESS}] * 2
        for event in given(tx):
            said = personal(tx, event)
            assert said["address_as_entered"] == ADDRESS
            assert said["request"] == {
                "at": "2026-03-02T09:00:00.000000Z",
                "method": "POST",
                "ip": FORM_EVIDENCE.ip,
                "user_agent": FORM_EVIDENCE.user_agent,
                "page_url": "https://fjell.no/hub",
                "ticked": ["digest", "offers"],
                "state_before": "every box unticked",
                "language": "en",
            }


@pytest.mark.requirement("E-08")
@pytest.mark.parametrize(("seconds", "suspect"), [(0, True), (2, True), (4.999, True), (5, False), (60, False)])
def test_a_button_pressed_within_seconds_of_the_relays_answer_is_flagged(
    transaction: TransactionFactory, clock: FrozenClock, seconds: float, suspect: bool
) -> None:
    """E-08: POST 2 s after 250 → flag set; the evidence is kept and the consent is in force all the same."""
    signup_id = asked(transaction)
    sent(transaction, clock)
    clock.advance(seconds=seconds)
    press(transaction, signup_id)
    with transaction() as tx:
        assert [event.suspect_scanner for event in given(tx)] == [suspect, suspect]
        assert personal(tx, given(tx)[0])["ip"] == BUTTON_EVIDENCE.ip


@pytest.mark.requirement("E-08")
def test_a_button_pressed_before_the_answer_was_even_recorded_is_flagged(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    signup_id = asked(transaction)
    with transaction() as tx:
        worker = "12345678-1234-5678-1234-567812345678"
        tx.session.execute(
            text("INSERT INTO worker_processes (id, lane, host, pid) VALUES (:id, 'interactive', 'h', 1)"),
            {"id": worker},
        )
        tx.session.execute(
            text("UPDATE deliveries SET status = 'sending', claimed_by = :id, lease_until = now()"), {"id": worker}
        )
    clock.advance(minutes=3)
    press(transaction, signup_id)
    with transaction() as tx:
        assert [event.suspect_scanner for event in given(tx)] == [True, True]


def test_what_never_reached_the_relay_leaves_no_copy_and_a_second_attempt_replaces_the_first(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    asked(transaction)
    assert sent(transaction, clock, {ADDRESS: (Phase.RCPT, 450, "4.2.0", "greylisted")}) == []
    with transaction() as tx:
        assert tx.session.scalars(select(ConfirmationMail)).all() == []
    clock.advance(hours=1)
    sent(transaction, clock, {ADDRESS: (Phase.EOM, None, None, "the connection was lost")})
    with transaction() as tx:
        first = copy_of(tx)[1]
        tx.session.execute(text("UPDATE deliveries SET status = 'queued', due_at = :now"), {"now": tx.now})
    clock.advance(hours=1)
    sent(transaction, clock)
    with transaction() as tx:
        second = copy_of(tx)[1]
    assert first != second
    assert b"11:00:00" in second


def test_nothing_is_kept_of_a_reader_whose_key_is_destroyed(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    asked(transaction)
    with transaction() as tx:
        tx.session.execute(text("DELETE FROM subject_keys"))
    assert len(sent(transaction, clock)) == 1
    with transaction() as tx:
        assert tx.session.scalars(select(ConfirmationMail)).all() == []


def test_no_other_mail_is_kept(transaction: TransactionFactory, clock: FrozenClock) -> None:
    signup_id = asked(transaction)
    sent(transaction, clock)
    clock.advance(minutes=1)
    press(transaction, signup_id)
    assert len(sent(transaction, clock)) == 1  # the welcome
    with transaction() as tx:
        kept, _ = copy_of(tx)
        assert tx.session.get_one(Delivery, kept.delivery_id).kind is MailKind.CONFIRMATION
        assert tx.session.get_one(Signup, signup_id).entered == ADDRESS
