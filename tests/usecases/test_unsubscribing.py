"""The way out, for one purpose, for everything, and back within the hour."""

import pytest
from sqlalchemy import delete, select

from service.domain.evidence import Evidence
from service.domain.subscriptions import NotOurs
from service.domain.tokens import Token, TokenKind
from service.domain.words import Channel, ConsentState, Language, MailKind, Purpose, SubscriptionState
from service.mail.links import links_for
from service.store import consent, letters, lists, subscribers
from service.store.consent import NewEvent
from service.store.schema import ConsentEvent, Delivery, Subscription
from service.usecases import unsubscribing
from service.usecases.unsubscribing import NobodyLeft, UndoExpired, Undone, Unsubscribed, WasTest
from tests.usecases.builders import KEYS, PUBLISHER, a_reader, personal, unsubscribe_token

CLICK = Evidence("198.51.100.9", "Mail client", None)
DIGEST, OFFERS = Purpose.DIGEST, Purpose.OFFERS
ACTIVE, GONE = SubscriptionState.ACTIVE, SubscriptionState.UNSUBSCRIBED


@pytest.fixture
def reader(tx) -> int:
    return a_reader(tx, purposes=("digest", "offers"))


@pytest.fixture
def list_id(tx, reader) -> int:
    return lists.get_list(tx, "hub").id


def leave(tx, token: str, *, everything: bool = False, channel: Channel = Channel.PAGE):
    return unsubscribing.unsubscribe(tx, KEYS, token, channel, CLICK, everything=everything)


def states(tx, reader: int) -> dict[tuple[int, Purpose], SubscriptionState]:
    return {(s.list_id, s.purpose): s.state for s in subscribers.list_subscriptions(tx, reader)}


def another_list(tx, reader: int) -> int:
    club = lists.add_list(tx, "club", {Language.EN: "Club", Language.DE: "Club"}, "club.lists.fjell.no")
    consent.append(
        tx,
        KEYS.ledger,
        NewEvent(
            subscriber_id=reader,
            list_id=club,
            purpose=DIGEST,
            state=ConsentState.GIVEN,
            channel=Channel.OPERATOR,
            actor="ada",
        ),
    )
    return club


def test_only_what_the_mail_was_sent_for(tx, reader, list_id):
    """A-27, with a reader of two lists and two purposes."""
    club = another_list(tx, reader)
    done = leave(tx, unsubscribe_token(reader, list_id))
    assert isinstance(done, Unsubscribed)
    assert (done.purposes, done.others, done.language) == ((DIGEST,), True, Language.EN)
    assert states(tx, reader) == {(list_id, DIGEST): GONE, (list_id, OFFERS): ACTIVE, (club, DIGEST): ACTIVE}


def test_all_lists(tx, reader, list_id):
    club = another_list(tx, reader)
    done = leave(tx, unsubscribe_token(reader, list_id), everything=True)
    assert isinstance(done, Unsubscribed)
    assert (sorted(done.purposes), done.others) == ([DIGEST, DIGEST, OFFERS], False)
    assert set(states(tx, reader).values()) == {GONE}
    assert club


def test_a_token_without_a_purpose_ends_the_whole_list(tx, reader, list_id):
    done = leave(tx, unsubscribe_token(reader, list_id, None))
    assert isinstance(done, Unsubscribed)
    assert set(done.purposes) == {DIGEST, OFFERS}


def test_one_click_in_the_welcome_ends_all_that_was_confirmed(tx, reader):
    """A-27: the welcome is about both purposes."""
    welcome = tx.session.scalars(select(Delivery).where(Delivery.kind == MailKind.WELCOME)).one()
    welcome.message_id = "1.w@localhost"
    tx.session.flush()
    [letter] = letters.read_letters(tx, [welcome.id])
    token = links_for(letter, PUBLISHER, KEYS, tx.now).unsubscribe.rpartition("/")[2]
    done = leave(tx, token, channel=Channel.ONE_CLICK)
    assert isinstance(done, Unsubscribed)
    assert (set(done.purposes), done.others) == ({DIGEST, OFFERS}, False)
    assert set(states(tx, reader).values()) == {GONE}


def test_the_event_names_the_mail_that_caused_it(tx, reader, list_id):
    leave(tx, unsubscribe_token(reader, list_id, delivery_id=4711), channel=Channel.ONE_CLICK)
    event = consent.list_events(tx, reader)[-1]
    assert (event.state, event.channel, event.purpose) == (ConsentState.WITHDRAWN, Channel.ONE_CLICK, DIGEST)
    said = personal(tx, event)
    assert (event.delivery_id, said["ip"], said["user_agent"]) == (4711, CLICK.ip, CLICK.user_agent)
    assert event.occurred_at == tx.now


def test_from_the_control_page_no_mail_is_to_blame(tx, reader, list_id):
    leave(tx, unsubscribe_token(reader, list_id, delivery_id=0))
    event = consent.list_events(tx, reader)[-1]
    assert (event.delivery_id, event.channel) == (None, Channel.CONTROL)


def test_repeating_changes_nothing(tx, reader, list_id):
    token = unsubscribe_token(reader, list_id)
    leave(tx, token)
    before = len(consent.list_events(tx, reader))
    again = leave(tx, token)
    assert again == Unsubscribed(Language.EN, (), others=True, undo_token=None)
    assert len(consent.list_events(tx, reader)) == before


def test_works_for_ever(tx, reader, list_id, clock):
    """A-29: 400 days later, and after the list was renamed."""
    token = unsubscribe_token(reader, list_id)
    clock.advance(days=400)
    tx.now = clock.now()
    lists.add_list(tx, "hub", {Language.EN: "New name", Language.DE: "Neuer Name"}, "other.fjell.no")
    assert isinstance(leave(tx, token), Unsubscribed)
    assert lists.get_list(tx, "hub").list_id == "hub.list-id.localhost"


def test_looking_changes_nothing(tx, reader, list_id):
    token = unsubscribe_token(reader, list_id)
    for _ in range(3):
        found = unsubscribing.get_unsubscribe(tx, KEYS, token)
        assert (found.language, found.purposes, found.others) == (Language.EN, (DIGEST,), True)
    assert set(states(tx, reader).values()) == {ACTIVE}


@pytest.mark.parametrize("everything", [False, True])
def test_test_mails_act_for_nobody(tx, reader, list_id, everything):
    token = unsubscribe_token(0, list_id, delivery_id=7)
    assert unsubscribing.get_unsubscribe(tx, KEYS, token) == WasTest()
    assert leave(tx, token, everything=everything) == WasTest()
    assert set(states(tx, reader).values()) == {ACTIVE}


def test_a_deleted_subscriber(tx, list_id):
    token = unsubscribe_token(987_654, list_id)
    assert unsubscribing.get_unsubscribe(tx, KEYS, token) == NobodyLeft()
    assert leave(tx, token) == NobodyLeft()


@pytest.mark.parametrize("kind", [k for k in TokenKind if k is not TokenKind.UNSUBSCRIBE])
def test_tokens_for_something_else(tx, reader, list_id, kind):
    token = KEYS.seal(Token(kind, reader, 1, list_id, 1))
    assert unsubscribing.get_unsubscribe(tx, KEYS, token) == NotOurs()
    assert leave(tx, token) == NotOurs()


class TestMistakes:
    def undo(self, tx, token: str | None):
        return unsubscribing.undo(tx, KEYS, token or "", CLICK)

    @pytest.mark.parametrize("everything", [False, True])
    def test_puts_back_exactly_what_that_press_ended(self, tx, reader, list_id, everything, clock):
        leave(tx, unsubscribe_token(reader, list_id, OFFERS))
        clock.advance(minutes=5)
        tx.now = clock.now()
        club = another_list(tx, reader)
        done = leave(tx, unsubscribe_token(reader, list_id), everything=everything)
        undone = self.undo(tx, done.undo_token)
        assert isinstance(undone, Undone)
        assert len(undone.purposes) == (2 if everything else 1)
        assert states(tx, reader) == {(list_id, DIGEST): ACTIVE, (list_id, OFFERS): GONE, (club, DIGEST): ACTIVE}

    def test_is_a_new_consent_on_the_old_words(self, tx, reader, list_id):
        given = consent.find_last_given(tx, reader, list_id, DIGEST)
        done = leave(tx, unsubscribe_token(reader, list_id))
        self.undo(tx, done.undo_token)
        event = consent.list_events(tx, reader)[-1]
        assert (event.state, event.channel, event.id > given.id) == (ConsentState.GIVEN, Channel.UNDO, True)
        for field in ("statement_id", "notice_id", "form_id", "signup_id"):
            assert getattr(event, field) == getattr(given, field) is not None
        assert (personal(tx, event)["ip"], event.delivery_id) == (CLICK.ip, 99)

    def test_twice_is_once(self, tx, reader, list_id):
        done = leave(tx, unsubscribe_token(reader, list_id))
        self.undo(tx, done.undo_token)
        before = len(consent.list_events(tx, reader))
        assert self.undo(tx, done.undo_token) == Undone(Language.EN, ())
        assert len(consent.list_events(tx, reader)) == before

    def test_an_old_undo_does_not_undo_a_later_unsubscribe(self, tx, reader, list_id, clock):
        token = unsubscribe_token(reader, list_id)
        first = leave(tx, token)
        self.undo(tx, first.undo_token)
        clock.advance(minutes=5)
        tx.now = clock.now()
        leave(tx, token)
        assert self.undo(tx, first.undo_token) == UndoExpired(Language.EN)
        assert states(tx, reader)[list_id, DIGEST] is GONE

    def test_after_an_hour_it_stands(self, tx, reader, list_id, clock):
        done = leave(tx, unsubscribe_token(reader, list_id))
        clock.advance(minutes=61)
        tx.now = clock.now()
        assert self.undo(tx, done.undo_token) == UndoExpired(Language.EN)
        assert states(tx, reader)[list_id, DIGEST] is GONE

    def test_what_was_never_given_is_not_given_by_undo(self, tx, reader, list_id):
        """A subscription whose consent is nowhere in the ledger cannot come out of a button."""
        event = consent.append(
            tx,
            KEYS.ledger,
            NewEvent(
                subscriber_id=reader,
                list_id=another_list(tx, reader),
                purpose=OFFERS,
                state=ConsentState.WITHDRAWN,
                channel=Channel.PAGE,
            ),
        )
        assert self.undo(tx, KEYS.seal(Token(TokenKind.UNDO, reader, event))) == UndoExpired(Language.EN)

    def test_another_readers_event(self, tx, reader, list_id):
        other = a_reader(tx, "ben@fjell.no")
        leave(tx, unsubscribe_token(reader, list_id))
        event = tx.session.scalars(select(ConsentEvent.id).order_by(ConsentEvent.id.desc())).first()
        assert self.undo(tx, KEYS.seal(Token(TokenKind.UNDO, other, event))) == NotOurs()

    @pytest.mark.parametrize("token", ["", "x" * 52, KEYS.seal(Token(TokenKind.UNDO, 987_654, 1))])
    def test_forged(self, tx, token):
        assert self.undo(tx, token) == NotOurs()


def test_a_reader_without_subscriptions_is_left_alone(tx, reader, list_id):
    tx.session.execute(delete(Subscription))
    found = unsubscribing.get_unsubscribe(tx, KEYS, unsubscribe_token(reader, list_id))
    assert (found.language, found.purposes, found.others) == (Language.EN, (), False)
