"""The fresh link: to the reader's own address only, for half an hour, and never as a nuisance."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from service.domain.private_access import seal_link
from service.domain.subscriptions import NotOurs
from service.domain.tokens import Token, TokenKind
from service.domain.words import Channel, Language, MailKind, SuppressionReason
from service.store import subscribers, suppressions
from service.store.schema import Delivery
from service.usecases import private, unsubscribing
from service.usecases.private import LinkAsked, Private, PrivateExpired
from tests.usecases.builders import BUTTON_EVIDENCE, KEYS, a_reader, unsubscribe_token


@pytest.fixture
def reader(tx) -> int:
    return a_reader(tx)


def ask(tx, reader: int):
    return private.ask_private_link(tx, KEYS, KEYS.seal(Token(TokenKind.CONTROL, reader)))


def links(tx) -> int:
    return len(tx.session.scalars(select(Delivery.id).where(Delivery.kind == MailKind.PRIVATE_LINK)).all())


def fresh(reader: int, issued_at) -> str:
    return seal_link(KEYS, reader, "anna@fjell.no", issued_at)


def test_at_most_three_an_hour_and_ten_a_day(tx, reader, clock):
    asked = []
    for minutes in range(0, 24 * 60, 10):
        tx.now = clock.now() + timedelta(minutes=minutes)
        asked.append(ask(tx, reader))
        assert links(tx) <= 10
        if minutes < 60:
            assert links(tx) <= 3
    assert links(tx) == 10
    assert set(asked) == {LinkAsked(Language.EN)}, "the answer is the same whatever happens"
    tx.now = clock.now() + timedelta(days=2)
    ask(tx, reader)
    assert links(tx) == 11


def test_somebody_elses_links_are_not_counted(tx, reader):
    other = a_reader(tx, "ben@fjell.no")
    for _ in range(4):
        ask(tx, other)
    ask(tx, reader)
    assert links(tx) == 4


def test_also_for_who_gets_nothing_any_more(tx, reader):
    """GDPR 15: the right to know does not end with the newsletter."""
    [subscription] = subscribers.list_subscriptions(tx, reader)
    token = unsubscribe_token(reader, subscription.list_id)
    unsubscribing.unsubscribe(tx, KEYS, token, Channel.PAGE, BUTTON_EVIDENCE)
    hmac = KEYS.address_hmac("anna@fjell.no")
    suppressions.add_suppression(tx, address_hmac=hmac, reason=SuppressionReason.UNSUBSCRIBE_ALL, source="test")
    ask(tx, reader)
    assert links(tx) == 1


@pytest.mark.parametrize("token", ["", "z" * 52, KEYS.seal(Token(TokenKind.CONTROL, 987_654))])
def test_forged_and_foreign_links(tx, reader, token):
    assert private.ask_private_link(tx, KEYS, token) == NotOurs()
    assert private.open_private(tx, KEYS, token) == NotOurs()
    assert links(tx) == 0


def test_a_control_link_opens_nothing_private(tx, reader):
    assert private.open_private(tx, KEYS, KEYS.seal(Token(TokenKind.CONTROL, reader))) == NotOurs()


@pytest.mark.parametrize(("minutes", "opens"), [(0, True), (29.9, True), (30.1, False), (60 * 24 * 400, False)])
def test_works_for_half_an_hour(tx, reader, minutes, opens):
    found = private.open_private(tx, KEYS, fresh(reader, tx.now - timedelta(minutes=minutes)))
    assert isinstance(found, Private if opens else PrivateExpired)
    if isinstance(found, Private):
        assert found.address == "anna@fjell.no"
        assert abs(found.until - (tx.now + timedelta(minutes=30 - minutes))) < timedelta(seconds=2)


def test_a_link_from_the_future_is_not_ours_to_honour(tx, reader):
    assert isinstance(private.open_private(tx, KEYS, fresh(reader, tx.now + timedelta(days=1))), PrivateExpired)
