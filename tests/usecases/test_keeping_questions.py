"""The copy of the mail that asked about a change of address: evidence once it was answered, else soon gone (D-14)."""

import pytest
from sqlalchemy import select

from service.domain.addresses import parse_address
from service.domain.words import Lane
from service.mail.writer import Writer
from service.store.append_only import AppendOnlyFile
from service.store.schema import ConfirmationMail
from service.store.transaction import TransactionFactory
from service.usecases import changing_address, holding
from service.usecases.dispatching import send_due
from service.usecases.erasing import Forgotten, erase_address
from service.usecases.retaining import retain
from tests.conftest import FrozenClock
from tests.usecases.builders import KEYS, PUBLISHER, a_reader
from tests.usecases.sending import a_sender
from tests.usecases.test_proving import log
from tests.usecases.test_proving_moved import move
from tests.usecases.test_retaining import RULES

__all__ = ["log"]
pytestmark = pytest.mark.requirement("D-14", "D-18")
STRANGER = "stranger@new.no"


def kept(transaction: TransactionFactory) -> int:
    with transaction() as tx:
        return len(tx.session.scalars(select(ConfirmationMail.delivery_id)).all())


@pytest.fixture
def reader(transaction: TransactionFactory, clock: FrozenClock) -> int:
    """Has asked about an address that does not answer; the question was mailed."""
    with transaction() as tx:
        found = a_reader(tx)
    clock.advance(days=1)
    with transaction() as tx:
        changing_address.ask_change(tx, KEYS, found, parse_address(STRANGER))
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE, write=Writer(PUBLISHER, KEYS).write))
    assert kept(transaction) == 1
    return found


def shown(transaction: TransactionFactory, reader: int) -> str:
    with transaction() as tx:
        held = holding.get_held(tx, KEYS, reader)
        assert held is not None
        return str(held.confirmation_mails)


def test_nobody_is_told_whether_an_unanswered_question_was_mailed(transaction: TransactionFactory, reader: int) -> None:
    assert shown(transaction, reader) == "()"


def test_an_unanswered_question_is_gone_after_a_week(
    transaction: TransactionFactory, clock: FrozenClock, reader: int
) -> None:
    clock.advance(days=8)
    retain(transaction, KEYS.ledger, RULES, all_rules=True)
    assert kept(transaction) == 0


def test_an_answered_question_stays(transaction: TransactionFactory, clock: FrozenClock, reader: int) -> None:
    move(transaction, clock, reader, "anna@other.no")
    assert kept(transaction) == 2
    clock.advance(days=8)
    retain(transaction, KEYS.ledger, RULES, all_rules=True)
    assert kept(transaction) == 1
    assert "anna@other.no" in shown(transaction, reader)


def test_a_stranger_who_is_erased_is_in_no_copy(
    transaction: TransactionFactory, reader: int, log: AppendOnlyFile
) -> None:
    done = erase_address(transaction, KEYS, log, parse_address(STRANGER))
    assert isinstance(done, Forgotten)
    assert kept(transaction) == 0
