"""Changes of address that cross a mail on its way, and those that follow one another (D-14, E-05)."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from service.domain.private_access import seal_link
from service.domain.retention import parse_retention
from service.domain.tokens import Token, TokenKind
from service.domain.words import Lane, SignupState
from service.store import erasures
from service.store.address_changes import count_of_subscriber
from service.store.address_keys import wrap
from service.store.schema import AddressChange
from service.store.signups import count_mails
from service.texts import templates_dir
from service.usecases import holding, private
from service.usecases.changing_address import Changed, ChangeGone
from service.usecases.dispatching import send_due
from service.usecases.retaining import retain
from tests.usecases.builders import KEYS, a_reader, decided, sign_up
from tests.usecases.erasures import dump
from tests.usecases.sending import a_sender
from tests.usecases.test_changing_address import NEW, OLD, ask, confirm, mailed

RULES = parse_retention((templates_dir() / "privacy" / "retention.toml").read_text(encoding="utf-8")).rules


@pytest.mark.requirement("D-14")
def test_a_link_to_the_old_mailbox_is_void_although_the_change_began_before_its_mail_was_claimed(transaction, clock):
    """Its time says that it is younger than the change, which was committed last: it is the address that tells."""
    with transaction() as tx:
        reader = a_reader(tx, OLD)
        token = ask(tx, reader)
    mailed(transaction, clock)
    with transaction() as tx:
        private.ask_private_link(tx, KEYS, KEYS.seal(Token(TokenKind.CONTROL, reader)))
    clock.advance(minutes=1)
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE)
    write, written = sender.write, []

    def write_while_switching(letter, now):
        with transaction() as tx:
            tx.now -= timedelta(seconds=30)  # when it began
            assert isinstance(confirm(tx, token), Changed)
        written.append((letter.address, seal_link(KEYS, reader, letter.address, now)))
        return write(letter, now)

    sender.write = write_while_switching
    send_due(sender)
    [(address, link)] = written
    assert address == OLD
    with transaction() as tx:
        assert isinstance(private.open_private(tx, KEYS, link), private.PrivateExpired)
        to_the_new_one = seal_link(KEYS, reader, NEW, tx.now)
        assert isinstance(private.open_private(tx, KEYS, to_the_new_one), private.Private)


@pytest.mark.requirement("E-05")
def test_moving_to_and_fro_resets_no_limit(tx):
    """Neither that of the stranger's mailbox nor that of the reader."""
    reader = a_reader(tx, OLD)
    tx.now += timedelta(days=2)
    assert ask(tx, reader, "victim@new.no")
    assert isinstance(confirm(tx, ask(tx, reader, NEW)), Changed)
    assert ask(tx, reader, "victim+2@new.no") is None
    assert [bool(ask(tx, reader, f"x@n{number}.no")) for number in range(2)] == [False] * 2, "three a day"
    assert decided(tx, sign_up(tx, "victim@new.no")).state is SignupState.LIMITED


@pytest.mark.requirement("E-05")
@pytest.mark.requirement("D-19")
def test_questions_count_for_a_month_and_name_nobody_after_a_week(transaction, clock, connection):
    """As those of sign-ups do: three in thirty days, whatever asked them."""
    victim = "victim@new.no"
    with transaction() as tx:
        reader = a_reader(tx, OLD)
    for _ in range(3):
        clock.advance(days=2)
        with transaction() as tx:
            assert ask(tx, reader, victim)
            assert isinstance(confirm(tx, ask(tx, reader, f"anna{tx.now:%d}@fjell.no")), Changed)
    clock.advance(days=8)
    assert retain(transaction, KEYS.ledger, RULES, all_rules=True)["address_changes"] == 6
    assert victim.encode() not in dump(connection)
    with transaction() as tx:
        assert holding.get_held(tx, KEYS, reader).address_changes == ()
        assert {(row.address, row.address_hmac) for row in tx.session.scalars(select(AddressChange))} == {("", b"")}
        assert ask(tx, reader, victim) is None
        assert decided(tx, sign_up(tx, victim)).state is SignupState.LIMITED
        wrap(tx, lambda fingerprint: b"wrapped" + fingerprint, 2)
        tx.session.expire_all()
        [*emptied, asked_today] = tx.session.scalars(select(AddressChange).order_by(AddressChange.id))
        assert {row.address_hmac for row in emptied} == {b""}, "no fingerprint of nothing"
        assert asked_today.address_hmac.startswith(b"wrapped")
    clock.advance(days=23)
    assert retain(transaction, KEYS.ledger, RULES, all_rules=True)["address_change_counters"] == 6


@pytest.mark.requirement("D-15")
def test_an_erasure_of_the_new_address_ends_the_change_but_not_what_it_counts(tx):
    """Its owner is forgotten; whoever asked has had a question that day, and the mailbox one that month."""
    reader, stranger = a_reader(tx, OLD), a_reader(tx, NEW)
    tx.now += timedelta(days=2)
    token = ask(tx, reader, NEW)
    person = erasures.lock_person(tx, stranger)
    erasures.cancel_mail(tx, person)
    mailbox = KEYS.address_hmac(NEW)
    before = (count_of_subscriber(tx, reader), count_mails(tx, mailbox))
    erasures.forget(tx, person)
    tx.session.expire_all()
    assert (count_of_subscriber(tx, reader), count_mails(tx, mailbox)) == before
    assert confirm(tx, token) == ChangeGone()
    assert tx.session.execute(select(AddressChange.address, AddressChange.address_hmac)).all() == [("", b"")]


def test_the_end_of_an_unconfirmed_sign_up_ends_nobodys_change(tx):
    """A form was sent for the new address and never confirmed; the reader's wish to move there stands."""
    reader = a_reader(tx, OLD)
    pending = decided(tx, sign_up(tx, NEW)).subscriber_id
    tx.now += timedelta(days=6)
    token = ask(tx, reader, NEW)
    erasures.forget(tx, erasures.lock_person(tx, pending), by_wish=False)
    tx.session.expire_all()
    assert isinstance(confirm(tx, token), Changed)
