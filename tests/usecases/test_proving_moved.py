"""A mailbox that was somebody else's before: a proof tells apart what belongs to whom (D-02, D-14)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from service.domain.addresses import parse_address
from service.domain.proof_checks import DoesNotHoldError, check_proof
from service.domain.proofs import WITHHELD
from service.domain.tokens import Token, TokenKind
from service.domain.words import Channel, Lane, MailKind
from service.errors import ServiceError
from service.mail.writer import Writer
from service.store import subscribers
from service.store.append_only import AppendOnlyFile
from service.store.schema import AddressChange
from service.store.transaction import TransactionFactory
from service.usecases import changing_address, unsubscribing
from service.usecases.dispatching import send_due
from service.usecases.proving import prove
from tests.conftest import FrozenClock
from tests.usecases.builders import BUTTON_EVIDENCE, KEYS, NOBODY_ERASED, PUBLISHER, unsubscribe_token
from tests.usecases.sending import a_sender
from tests.usecases.test_proving import ADDRESS, REASON, forget, log, nothing_empty, proof_of, reader, seal

__all__ = ["forget", "log", "seal"]
pytestmark = pytest.mark.requirement("D-02", "D-14")
NEXT, LAST = "anna.next@new.no", "anna.last@newer.no"


def move(transaction: TransactionFactory, clock: FrozenClock, subscriber_id: int, address: str) -> None:
    clock.advance(days=2)
    with transaction() as tx:
        changing_address.ask_change(tx, KEYS, subscriber_id, parse_address(address))
        newest = tx.session.scalars(select(AddressChange.id).order_by(AddressChange.id.desc()).limit(1)).one()
    clock.advance(seconds=20)
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE, write=Writer(PUBLISHER, KEYS).write))
    clock.advance(minutes=5)
    with transaction() as tx:
        token = KEYS.seal(Token(TokenKind.ADDRESS_CHANGE, newest))
        done = changing_address.confirm_change(tx, KEYS, token, BUTTON_EVIDENCE)
        assert isinstance(done, changing_address.Changed)


def fields_of(subject: dict[str, Any]) -> dict[str, Any]:
    return {number: field["value"] for number, field in subject["consents"][0]["fields"].items()}


def test_a_mailbox_that_was_given_out_again(
    transaction: TransactionFactory, clock: FrozenClock, seal: Callable[[], None]
) -> None:
    """Its reader of before has moved on: nobody who asks about the old mailbox learns where to."""
    first = reader(transaction, clock)
    move(transaction, clock, first, NEXT)
    clock.advance(days=2)
    second = reader(transaction, clock)
    seal()
    proof = proof_of(transaction)
    whole = json.dumps(proof).lower()
    assert "anna.next" not in whole
    assert "new.no" not in whole
    before, now = proof["subjects"]
    assert (before["subject"], before["address"], before["left"]) == (first, ADDRESS, "2026-03-04T09:07:40.000000Z")
    assert (now["subject"], now["address"], now["left"]) == (second, ADDRESS, None)
    assert [event["record"]["state"] for event in before["events"]] == ["requested"] * 2 + ["given"] * 2
    said = fields_of(before)
    assert said["13"]["in_force"] is False
    assert said["13"]["valid"] == "under this address until 2026-03-04T09:07:40.000000Z, when the reader left it"
    assert fields_of(now)["13"]["in_force"] is True
    assert nothing_empty(said)
    assert check_proof(proof).events == 8
    with transaction() as tx:
        alone = prove(tx, KEYS, NOBODY_ERASED, ADDRESS, actor="ada", reason=REASON, only=second).proof
    assert [subject["subject"] for subject in alone["subjects"]] == [second], "what can be handed to who has it today"
    assert check_proof(alone).events == 4
    with pytest.raises(ServiceError, match="no proof was made"), transaction() as tx:
        prove(tx, KEYS, NOBODY_ERASED, ADDRESS, actor="ada", reason=REASON, only=second + 1)


def test_the_address_that_a_reader_has_now(
    transaction: TransactionFactory, clock: FrozenClock, seal: Callable[[], None]
) -> None:
    """Everything that led there, and the mail and the button of this mailbox, not of the one that was left."""
    subscriber_id = reader(transaction, clock)
    move(transaction, clock, subscriber_id, NEXT)
    seal()
    proof = proof_of(transaction, NEXT)
    [subject] = proof["subjects"]
    assert (subject["address"], subject["left"]) == (NEXT, None)
    said = fields_of(subject)
    assert (said["2"]["address"], said["2"]["address_before"]) == (NEXT, ADDRESS)
    assert said["6"]["text"].startswith("Trainingsübersicht")
    assert (said["11"]["sent_at"], said["11"]["code"]) == ("2026-03-04T09:02:40.000000Z", 250)
    assert said["12"]["for"] == "address_change"
    assert said["12"]["at"] == "2026-03-04T09:07:40.000000Z"
    assert said["12"]["token"].startswith("change ")
    assert said["13"]["in_force"] is True
    assert nothing_empty(said)
    check_proof(proof)


def test_an_address_between_two_others(
    transaction: TransactionFactory, clock: FrozenClock, seal: Callable[[], None]
) -> None:
    subscriber_id = reader(transaction, clock)
    move(transaction, clock, subscriber_id, NEXT)
    move(transaction, clock, subscriber_id, LAST)
    seal()
    proof = proof_of(transaction, NEXT)
    [subject] = proof["subjects"]
    whole = json.dumps(proof).lower()
    assert ADDRESS.lower() not in whole
    assert "anna.last" not in whole
    assert len(subject["events"]) == 6, "two asked for, two given, two said again from here; not those of the next"
    assert all(event["withheld"] and event["personal"] is None for event in subject["events"])
    assert fields_of(subject)["2"]["address"] == WITHHELD
    assert fields_of(subject)["11"] == WITHHELD
    assert nothing_empty(fields_of(subject))
    check_proof(proof)
    subject["events"][0]["personal"] = {"address": "eve@fjell.no"}
    with pytest.raises(DoesNotHoldError, match="although it was withheld"):
        check_proof(proof)


def test_who_left_with_nothing_in_force(
    transaction: TransactionFactory, clock: FrozenClock, seal: Callable[[], None]
) -> None:
    """No event names the new address; the change itself is known."""
    subscriber_id = reader(transaction, clock)
    with transaction() as tx:
        for subscription in subscribers.list_subscriptions(tx, subscriber_id):
            token = unsubscribe_token(subscriber_id, subscription.list_id, subscription.purpose)
            unsubscribing.unsubscribe(tx, KEYS, token, Channel.PAGE, BUTTON_EVIDENCE)
    move(transaction, clock, subscriber_id, NEXT)
    seal()
    proof = proof_of(transaction)
    [subject] = proof["subjects"]
    assert subject["left"] == "2026-03-04T09:07:40.000000Z"
    assert "anna.next" not in json.dumps(proof)
    check_proof(proof)


def test_who_moved_and_was_erased_is_found_by_either_address(
    transaction: TransactionFactory,
    clock: FrozenClock,
    seal: Callable[[], None],
    forget: Callable[[int], None],
    log: AppendOnlyFile,
) -> None:
    subscriber_id = reader(transaction, clock)
    move(transaction, clock, subscriber_id, NEXT)
    forget(subscriber_id)
    seal()
    for address, events, left in ((ADDRESS, 4, True), (NEXT, 8, False)):
        proof = proof_of(transaction, address, log)
        [subject] = proof["subjects"]
        assert (subject["erased"], subject["left"] is not None, len(subject["events"])) == (True, left, events)
        assert nothing_empty(fields_of(subject))
        check_proof(proof)


def test_the_mail_that_asked_about_the_change_is_kept(
    transaction: TransactionFactory, clock: FrozenClock, seal: Callable[[], None]
) -> None:
    subscriber_id = reader(transaction, clock)
    move(transaction, clock, subscriber_id, NEXT)
    seal()
    proof = proof_of(transaction, NEXT)
    [subject] = proof["subjects"]
    bound = fields_of(subject)["11"]
    [kept] = [mail for mail in subject["confirmation_mails"] if mail["delivery"] == bound["delivery"]]
    assert kept["sha256"] == bound["sha256"]
    assert "[token withheld]" in kept["message"]
    template = json.loads(proof["exhibits"]["mail_templates"][kept["template"]])
    assert template["kind"] == MailKind.ADDRESS_CHANGE
