"""A new address is asked before anything changes; then it gets everything, and the old one nothing (D-14)."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from service.domain.addresses import parse_address
from service.domain.outcomes import Phase
from service.domain.private_access import seal_link
from service.domain.subscriptions import NotOurs
from service.domain.tokens import Token, TokenKind
from service.domain.words import (
    Channel,
    ConsentState,
    Lane,
    Language,
    MailKind,
    Purpose,
    SignupState,
    SubscriptionState,
    SuppressionReason,
)
from service.errors import ServiceError
from service.store import consent, engine, letters, signups, subscribers, suppressions
from service.store.schema import AddressChange, Delivery, Signup
from service.store.transaction import factory
from service.usecases import changing_address, erasing, private, subscribing
from service.usecases.changing_address import AddressTaken, ChangeAsked, Changed, ChangeGone
from service.usecases.dispatching import send_due
from tests.conftest import HintList
from tests.usecases.builders import (
    BUTTON_EVIDENCE,
    KEYS,
    a_reader,
    confirm_token,
    decided,
    personal,
    sign_up,
)
from tests.usecases.sending import a_sender, accepted_by

OLD, NEW = "anna@fjell.no", "anna@new.no"


@pytest.fixture
def reader(tx) -> int:
    return a_reader(tx, OLD, purposes=("digest", "offers"))


def ask(tx, reader: int, address: str = NEW) -> str | None:
    """The token that the new address is mailed, if it is mailed one."""
    before = asked(tx)
    changing_address.ask_change(tx, KEYS, reader, parse_address(address))
    new = [change for change in asked(tx) if change not in before]
    return KEYS.seal(Token(TokenKind.ADDRESS_CHANGE, new[0])) if new else None


def asked(tx) -> list[int]:
    rows = select(Delivery.address_change_id).where(Delivery.kind == MailKind.ADDRESS_CHANGE).order_by(Delivery.id)
    return list(tx.session.scalars(rows))


def confirm(tx, token: str):
    return changing_address.confirm_change(tx, KEYS, token, BUTTON_EVIDENCE)


def address_of(tx, reader: int) -> str:
    row = subscribers.lock_subscriber(tx, reader)
    return row.address


def mailed(transaction, clock) -> list[str]:
    """Whom all mail that is due goes to."""
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE)
    send_due(sender)
    return accepted_by(sender)


@pytest.mark.requirement("D-14")
def test_without_a_confirmation_nothing_changes(transaction, clock):
    """D-14: change request without confirmation leaves old address active."""
    with transaction() as tx:
        reader = a_reader(tx, OLD)
        token = ask(tx, reader)
    assert sorted(set(mailed(transaction, clock))) == [OLD, NEW], "the question goes to the new address"
    clock.advance(hours=25)
    with transaction() as tx:
        assert changing_address.get_change(tx, KEYS, token) == ChangeGone()
        assert confirm(tx, token) == ChangeGone()
        assert address_of(tx, reader) == OLD
        assert {s.state for s in subscribers.list_subscriptions(tx, reader)} == {SubscriptionState.ACTIVE}
        private.ask_private_link(tx, KEYS, KEYS.seal(Token(TokenKind.CONTROL, reader)))
    assert mailed(transaction, clock) == [OLD]


@pytest.mark.requirement("D-14")
def test_after_the_confirmation_only_the_new_address_is_mailed(transaction, clock):
    """D-14: after confirmation only new is mailed; what was queued for the old one goes to the new one."""
    with transaction() as tx:
        reader = a_reader(tx, OLD)
        token = ask(tx, reader)
    mailed(transaction, clock)
    with transaction() as tx:
        private.ask_private_link(tx, KEYS, KEYS.seal(Token(TokenKind.CONTROL, reader)))  # queued before the switch
        assert confirm(tx, token) == Changed(Language.EN, "a•••@n•••.no")
        private.ask_private_link(tx, KEYS, KEYS.seal(Token(TokenKind.CONTROL, reader)))
    assert mailed(transaction, clock) == [NEW, NEW]


def test_consent_goes_along_reaffirmed_on_the_same_words(tx, reader):
    given = {e.purpose: e for e in consent.list_events(tx, reader) if e.state is ConsentState.GIVEN}
    confirm(tx, ask(tx, reader))
    events = [e for e in consent.list_events(tx, reader) if e.state is ConsentState.REAFFIRMED]
    assert {e.purpose for e in events} == {Purpose.DIGEST, Purpose.OFFERS}
    for event in events:
        assert event.channel is Channel.ADDRESS_CHANGE
        assert event.statement_id == given[event.purpose].statement_id
        assert event.delivery_id is not None
        assert event.address_hmac == KEYS.address_hmac(NEW)
        said = personal(tx, event)
        assert (said["address"], said["address_before"], said["ip"]) == (NEW, OLD, "203.0.113.8")
    row = subscribers.lock_subscriber(tx, reader)
    assert (row.dedupe_key, row.address_hmac, row.address_changed_at) == (NEW, KEYS.address_hmac(NEW), tx.now)
    [change] = tx.session.scalars(select(AddressChange)).all()
    assert (change.address, change.dedupe_key, change.expires_at) == ("", "", tx.now), "only counts"


def test_what_was_withdrawn_stays_withdrawn(tx, reader):
    tx.session.execute(text("UPDATE subscriptions SET state = 'unsubscribed' WHERE purpose = 'offers'"))
    confirm(tx, ask(tx, reader))
    events = [e for e in consent.list_events(tx, reader) if e.state is ConsentState.REAFFIRMED]
    assert [e.purpose for e in events] == [Purpose.DIGEST]


def test_the_link_shows_and_works_once(tx, reader):
    token = ask(tx, reader)
    assert changing_address.get_change(tx, KEYS, token) == ChangeAsked(Language.EN, "a•••@f•••.no", "a•••@n•••.no")
    assert isinstance(confirm(tx, token), Changed)
    assert changing_address.get_change(tx, KEYS, token) == ChangeGone()
    assert confirm(tx, token) == ChangeGone()


def test_a_second_wish_replaces_the_first(tx, reader):
    first, second = ask(tx, reader), ask(tx, reader, "anna@other.no")
    assert confirm(tx, first) == ChangeGone()
    assert isinstance(confirm(tx, second), Changed)
    assert address_of(tx, reader) == "anna@other.no"


def test_another_readers_address_stays_that_readers(tx, reader):
    other = a_reader(tx, NEW)
    token = ask(tx, reader)
    assert token is None, "a sign-up has had that mailbox's one question of the day"
    tx.now += timedelta(days=2)
    token = ask(tx, reader)
    assert token is not None, "asking tells nobody that it is known"
    assert changing_address.get_change(tx, KEYS, token) == AddressTaken(Language.EN)
    assert confirm(tx, token) == AddressTaken(Language.EN)
    assert (address_of(tx, reader), address_of(tx, other)) == (OLD, NEW)


@pytest.mark.parametrize("address", [OLD, "ANNA@fjell.no"])
def test_the_same_address_is_no_change(tx, reader, address):
    with pytest.raises(ServiceError) as refused:
        ask(tx, reader, address)
    assert (refused.value.code, refused.value.field) == ("address_same", "address")


@pytest.mark.parametrize("reason", SuppressionReason)
def test_a_suppressed_address_gets_no_question(tx, reader, reason):
    suppressions.add_suppression(tx, address_hmac=KEYS.address_hmac(NEW), reason=reason, source="test")
    assert ask(tx, reader) is None
    assert asked(tx) == []


def test_suppressed_after_the_question(transaction, clock):
    with transaction() as tx:
        reader = a_reader(tx, OLD)
        token = ask(tx, reader)
        hmac = KEYS.address_hmac(NEW)
        suppressions.add_suppression(tx, address_hmac=hmac, reason=SuppressionReason.COMPLAINT, source="test")
    assert NEW not in mailed(transaction, clock)
    with transaction() as tx:
        assert confirm(tx, token) == ChangeGone()
        assert address_of(tx, reader) == OLD


def test_who_asked_to_be_erased_moves_no_more(tx, reader):
    token = ask(tx, reader)
    erasing.request_erasure(tx, reader, asked_by="subscriber")
    assert changing_address.get_change(tx, KEYS, token) == ChangeGone()
    assert confirm(tx, token) == ChangeGone()
    assert address_of(tx, reader) == OLD


def test_a_stranger_gets_one_question_a_day_whoever_asks_and_however_it_is_spelt(tx, reader):
    """E-05: a reader cannot use us to flood a mailbox."""
    other = a_reader(tx, "ben@fjell.no")
    assert ask(tx, reader, "victim+1@new.no")
    assert ask(tx, reader, "victim+2@new.no") is None
    assert ask(tx, other, "victim@new.no") is None
    tx.now += timedelta(hours=25)
    assert ask(tx, other, "victim@new.no")


def test_a_change_and_a_sign_up_share_one_question_a_day(tx, reader):
    """E-05: a form right after the change mails the stranger no second time."""
    assert ask(tx, reader, "victim@new.no")
    assert decided(tx, sign_up(tx, "victim+2@new.no")).state is SignupState.LIMITED
    tx.now += timedelta(hours=25)
    assert decided(tx, sign_up(tx, "victim@new.no")).state is SignupState.ASKED


def test_what_was_not_mailed_takes_no_share(tx, reader):
    suppressions.add_suppression(
        tx, address_hmac=KEYS.address_hmac(NEW), reason=SuppressionReason.ERASED, source="test"
    )
    assert ask(tx, reader) is None
    assert decided(tx, sign_up(tx, NEW)).state is SignupState.ASKED


def test_a_reader_may_ask_three_times_a_day(tx, reader):
    assert [bool(ask(tx, reader, f"x@n{number}.no")) for number in range(5)] == [True] * 3 + [False] * 2


def test_the_old_address_keeps_its_orders_and_the_new_one_is_free_of_them(tx, reader):
    for reason in (SuppressionReason.PERMANENT_BOUNCE, SuppressionReason.MANUAL):
        suppressions.add_suppression(tx, address_hmac=KEYS.address_hmac(OLD), reason=reason, source="test")
    assert isinstance(confirm(tx, ask(tx, reader)), Changed)
    assert suppressions.is_suppressed(tx, KEYS.address_hmac(OLD))
    assert not suppressions.is_suppressed(tx, KEYS.address_hmac(NEW))


REFUSED = (Phase.RCPT, 550, "5.1.1", "no such user")


def test_a_bounce_of_the_old_address_does_not_follow(transaction, clock):
    """On the wire while the reader pressed the button: the answer is about the mailbox that was left."""
    with transaction() as tx:
        reader = a_reader(tx, OLD)
        token = ask(tx, reader)
    mailed(transaction, clock)
    with transaction() as tx:
        private.ask_private_link(tx, KEYS, KEYS.seal(Token(TokenKind.CONTROL, reader)))
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE, script={OLD: REFUSED})
    write = sender.write

    def write_and_switch(letter, now):
        with transaction() as tx:
            confirm(tx, token)
        return write(letter, now)

    sender.write = write_and_switch
    send_due(sender)
    with transaction() as tx:
        assert address_of(tx, reader) == NEW
        assert tx.session.scalar(text("SELECT count(*) FROM attempts WHERE code = 550")) == 1
        assert not suppressions.is_suppressed(tx, KEYS.address_hmac(NEW))


def test_a_bounce_of_the_new_address_is_its_own(transaction, clock):
    with transaction() as tx:
        reader = a_reader(tx, OLD)
        ask(tx, reader)
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE, script={NEW: REFUSED}))
    with transaction() as tx:
        assert suppressions.is_suppressed(tx, KEYS.address_hmac(NEW))
        assert not suppressions.is_suppressed(tx, KEYS.address_hmac(OLD))


def test_the_old_mailbox_can_confirm_nothing_for_the_new_one(tx, reader):
    """A sign-up that was asked about in the old mailbox is over."""
    tx.session.execute(text("UPDATE subscriptions SET state = 'unsubscribed'"))
    tx.now += timedelta(days=2)
    pending = sign_up(tx, OLD)
    decided(tx, pending)
    confirm(tx, ask(tx, reader))
    found = subscribing.confirm_subscription(tx, KEYS, confirm_token(pending), BUTTON_EVIDENCE)
    assert isinstance(found, subscribing.ConfirmationExpired)
    assert tx.session.get(Signup, pending, populate_existing=True).state == "expired"


def test_fresh_links_in_the_old_mailbox_are_void(tx, reader):
    link = seal_link(KEYS, reader, OLD, tx.now)
    assert isinstance(private.open_private(tx, KEYS, link), private.Private)
    confirm(tx, ask(tx, reader))
    assert isinstance(private.open_private(tx, KEYS, link), private.PrivateExpired)


def test_a_fresh_link_on_its_way_to_the_old_mailbox_is_void(transaction, clock):
    """The address was read when the mail was claimed, so the link is no younger than that."""
    with transaction() as tx:
        reader = a_reader(tx, OLD)
        token = ask(tx, reader)
    mailed(transaction, clock)
    with transaction() as tx:
        for _ in range(2):
            private.ask_private_link(tx, KEYS, KEYS.seal(Token(TokenKind.CONTROL, reader)))
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE)
    write, written = sender.write, []

    def write_and_switch(letter, now):
        written.append((letter.address, seal_link(KEYS, reader, letter.address, now)))
        if len(written) == 1:
            clock.advance(seconds=1)
            with transaction() as tx:
                assert isinstance(confirm(tx, token), Changed)
            clock.advance(seconds=1)
        return write(letter, now)

    sender.write = write_and_switch
    send_due(sender)
    assert [address for address, _ in written] == [OLD, OLD]
    with transaction() as tx:
        for _, link in written:
            assert isinstance(private.open_private(tx, KEYS, link), private.PrivateExpired)


@pytest.mark.parametrize("first", ["a form's abuse key", "a sign-up to confirm"])
def test_it_waits_for_others_in_the_order_in_which_they_lock(fresh_database, clock, first):
    """Both transactions end, where locks in another order would be a deadlock."""
    database = engine.create(fresh_database[1], "test")
    transaction = factory(database, clock, HintList())
    with transaction() as tx:
        reader = a_reader(tx, OLD)
        token = ask(tx, reader)
        tx.session.execute(text("UPDATE subscriptions SET state = 'unsubscribed'"))
    clock.advance(days=1, seconds=-60)  # the link still works
    with transaction() as tx:
        tx.session.execute(text("UPDATE signups SET decided_at = decided_at - interval '1 day'"))
        pending = decided(tx, sign_up(tx, OLD)).id

    def change():
        with transaction() as tx:
            if first == "a form's abuse key":
                changing_address.ask_change(tx, KEYS, reader, parse_address(NEW))
            else:
                assert isinstance(confirm(tx, token), Changed)

    with ThreadPoolExecutor(1) as pool:
        with transaction() as tx:
            if first == "a form's abuse key":
                signups.lock_abuse_keys(tx, [KEYS.address_hmac(NEW)])
            else:
                signups.lock_signup(tx, pending)
            other = pool.submit(change)
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not other.done() and not tx.session.scalar(text(waiting)):
                pass
            assert subscribers.lock_subscriber(tx, reader) is not None
        other.result(timeout=30)
    database.dispose()


def test_forged_links(tx, reader):
    for token in ("", "z" * 52, KEYS.seal(Token(TokenKind.CONFIRM, 1))):
        assert changing_address.get_change(tx, KEYS, token) == NotOurs()
        assert confirm(tx, token) == NotOurs()


def test_the_mail_names_the_new_address_only(tx, reader):
    ask(tx, reader)
    delivery = tx.session.scalars(select(Delivery).where(Delivery.kind == MailKind.ADDRESS_CHANGE)).one()
    delivery.message_id = "1@localhost"
    tx.session.flush()
    [letter] = letters.read_letters(tx, [delivery.id])
    assert letter.address == NEW
    assert letter.change is not None
    assert letter.change.expires_at == tx.now + timedelta(hours=24)
    assert OLD not in json.dumps(str(letter))
