"""What a reader decides holds for the addresses that they left as well (D-14, D-15): no file brings them back."""

from pathlib import Path

import pytest
from sqlalchemy import select, text

from service.domain.addresses import parse_address
from service.domain.tokens import Keys, Token, TokenKind
from service.domain.words import Channel, SignupState, SuppressionReason
from service.store import former_addresses, subscribers, suppressions
from service.store.append_only import AppendOnlyFile
from service.store.schema import AddressChange, ImportRow, Signup
from service.store.transaction import Transaction
from service.usecases import admitting, changing_address, unsubscribing
from service.usecases.changing_address import Changed
from service.usecases.erasing import Forgotten, erase, look_up, order_erasure
from service.usecases.retaining import retain
from service.usecases.rotating import rotate_address_key
from tests.traces import find_traces
from tests.usecases.builders import (
    BUTTON_EVIDENCE,
    KEYS,
    a_reader,
    decided,
    sign_up,
    unsubscribe_token,
)
from tests.usecases.erasures import dump
from tests.usecases.import_files import ORDER, a_file, a_row, run, verdicts
from tests.usecases.test_retaining import RULES

OLD, NEW = "zenobia@fjell.no", "zenobia.quill@new.no"


@pytest.fixture
def file(tmp_path: Path) -> AppendOnlyFile:
    return AppendOnlyFile(tmp_path / "erasures.jsonl")


def move(tx: Transaction, reader: int, address: str, keys: Keys = KEYS) -> None:
    changing_address.ask_change(tx, keys, reader, parse_address(address, reserved=True))
    newest = tx.session.scalars(select(AddressChange.id).order_by(AddressChange.id.desc()).limit(1)).one()
    done = changing_address.confirm_change(
        tx, keys, keys.seal(Token(TokenKind.ADDRESS_CHANGE, newest)), BUTTON_EVIDENCE
    )
    assert isinstance(done, Changed)


def a_moved_reader(tx: Transaction) -> int:
    reader = a_reader(tx, OLD)
    move(tx, reader, NEW)
    return reader


def imported(tx: Transaction, directory: Path, *addresses: str) -> list[str]:
    """Why each of them may not be mailed, or may."""
    done = run(tx, a_file(directory, [a_row(address) for address in addresses]))
    return [reason for _, _, reason in verdicts(tx, done.import_id)]


@pytest.mark.requirement("D-15")
def test_an_erasure_protects_every_address_that_the_person_had(transaction, connection, tmp_path, file):
    with transaction() as tx:
        reader = a_moved_reader(tx)
        sign_up(tx, OLD)  # nobody has decided about it yet
    assert erase(transaction, KEYS, file, reader, asked_by="subscriber") == Forgotten(1)
    for address in (OLD, NEW):
        assert find_traces(dump(connection), address) == []
    with transaction() as tx:
        assert imported(tx, tmp_path, OLD, NEW) == ["erased", "erased"]


@pytest.mark.requirement("E-11")
def test_a_file_with_an_address_that_its_reader_left_makes_nobody_mailable(transaction, tmp_path):
    """Agreed to or not: the reader decides at the new address."""
    with transaction() as tx:
        reader = a_moved_reader(tx)
        assert imported(tx, tmp_path, OLD, NEW) == ["address_left", "reader_here"]
        list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
        unsubscribing.unsubscribe(tx, KEYS, unsubscribe_token(reader, list_id), Channel.PAGE, BUTTON_EVIDENCE)
        assert imported(tx, tmp_path, OLD, NEW) == ["address_left", "withdrawn_here"]


def test_what_waited_in_quarantine_is_looked_at_again(transaction, tmp_path):
    """A row was read while the reader was not here yet; then they came by a form, and moved on."""
    with transaction() as tx:
        done = run(tx, a_file(tmp_path, [a_row(OLD)]))
    with transaction() as tx:
        a_moved_reader(tx)
    with transaction() as tx:
        assert admitting.admit(tx, KEYS, done.import_id, ORDER).settled == {"address_left": 1}


def test_an_address_that_somebody_else_has_since_is_theirs(transaction, clock, file):
    """A mailbox that is given out again: the first reader's erasure silences nobody else."""
    with transaction() as tx:
        first = a_moved_reader(tx)
    clock.advance(days=2)
    with transaction() as tx:
        second = a_reader(tx, OLD)
        assert former_addresses.list_former(tx, first) == ()
        assert look_up(tx, KEYS, OLD).subscriber_id == second
    erase(transaction, KEYS, file, first, asked_by="subscriber")
    with transaction() as tx:
        assert not suppressions.is_suppressed(tx, KEYS.address_hmac(OLD))
        assert subscribers.find_subscriber(tx, second) is not None


def test_who_moves_back_has_no_former_address_but_the_other(transaction):
    with transaction() as tx:
        reader = a_moved_reader(tx)
        move(tx, reader, OLD)
        assert former_addresses.list_former(tx, reader) == (KEYS.address_hmac(NEW),)


def test_who_left_an_address_is_not_erased_by_it(transaction, clock, file):
    """Whoever reads that mailbox now may ask for it, again and again: they speak for themselves only."""
    with transaction() as tx:
        first = a_moved_reader(tx)
        found = look_up(tx, KEYS, OLD)
        assert (found.subscriber_id, found.masked_now) == (None, "z•••@n•••.no")
        assert look_up(tx, KEYS, NEW).subscriber_id == first
    clock.advance(days=2)
    with transaction() as tx:
        second = a_reader(tx, OLD)
        assert look_up(tx, KEYS, OLD).subscriber_id == second
    assert order_erasure(transaction, KEYS, file, OLD, actor="ada", reason="a letter") == Forgotten(1)
    with transaction() as tx:
        sign_up(tx, OLD)
    for _ in range(2):
        order_erasure(transaction, KEYS, file, OLD, actor="ada", reason="a letter")
    with transaction() as tx:
        assert subscribers.find_subscriber(tx, second) is None
        assert subscribers.find_subscriber(tx, first) is not None
        assert not suppressions.is_suppressed(tx, KEYS.address_hmac(NEW))


def test_after_a_rotation_an_address_that_was_left_is_still_known(transaction, tmp_path, file):
    newer = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu", ["Zk3wQ8vNf1Lr6Tb9Hy2Dm5Gs7Pc4XaJe"])
    with transaction() as tx:
        reader = a_moved_reader(tx)
    with transaction() as tx:
        rotate_address_key(tx, newer, actor="ada", reason="yearly rotation")
    erase(transaction, newer, file, reader, asked_by="subscriber")
    with transaction() as tx:
        assert suppressions.is_suppressed(tx, newer.address_hmac(OLD))
        assert suppressions.is_suppressed(tx, newer.address_hmac(NEW))


@pytest.mark.requirement("D-19")
def test_when_a_profile_ends_with_its_proof_the_last_word_stays(transaction, clock, tmp_path):
    """Years after somebody unsubscribed, an old file does not take their silence for consent (GDPR 21(3))."""
    with transaction() as tx:
        reader = a_moved_reader(tx)
        list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
        unsubscribing.unsubscribe(tx, KEYS, unsubscribe_token(reader, list_id), Channel.PAGE, BUTTON_EVIDENCE)
    clock.advance(days=4 * 366)
    assert retain(transaction, KEYS.ledger, RULES, all_rules=True)["consent_proof"] == 1
    with transaction() as tx:
        assert subscribers.find_subscriber(tx, reader) is None
        reasons = suppressions.list_reasons(tx, KEYS.address_hmac(NEW), list_id)
        assert reasons == {SuppressionReason.UNSUBSCRIBE_ALL}
        assert imported(tx, tmp_path, OLD, NEW) == ["suppressed_here", "suppressed_here"]
        again = sign_up(tx, NEW)
        assert decided(tx, again).state is SignupState.ASKED, "the person may come back"


def test_a_held_sign_up_of_an_address_that_was_left_is_emptied(transaction, file):
    with transaction() as tx:
        reader = a_moved_reader(tx)
        waiting = sign_up(tx, OLD)
        tx.session.execute(text("UPDATE signups SET state = 'held' WHERE id = :id"), {"id": waiting})
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    with transaction() as tx:
        held = tx.session.scalars(select(Signup).where(Signup.id == waiting)).one()
        assert (held.address, held.state) == (None, SignupState.EXPIRED)
        assert tx.session.scalars(select(ImportRow)).all() == []
