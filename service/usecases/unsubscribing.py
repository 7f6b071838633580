"""Taking consent back: by one click, by the page, for one purpose or for everything, and "that was a mistake"."""

from dataclasses import dataclass

from service.domain.evidence import Evidence
from service.domain.ledger import LedgerKeys
from service.domain.subscriptions import NotOurs, may_undo
from service.domain.tokens import Keys, Token, TokenKind, purpose_from_flag
from service.domain.words import Channel, ConsentState, Language, Purpose, Rhythm, SubscriptionState
from service.store import consent, subscribers
from service.store.consent import NewEvent
from service.store.schema import ConsentEvent, Subscription
from service.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class WasTest:
    """The link stood in a test mail: it acts for nobody."""


@dataclass(frozen=True, slots=True)
class NobodyLeft:
    """The subscriber was deleted since; there is nothing to unsubscribe (A-29)."""


@dataclass(frozen=True, slots=True)
class UnsubscribeAsked:
    """What the button would end."""

    language: Language
    purposes: tuple[Purpose, ...]
    """Those of the link that are in force; empty: already unsubscribed."""
    others: bool
    """Whether something else is in force that "everything" would end too (A-27)."""
    control_token: str
    """Where the same reader finds fewer mails instead."""
    less_often: bool
    """Whether a monthly rhythm would be fewer mails than now."""


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    language: Language
    purposes: tuple[Purpose, ...]
    """What this press ended; empty when it was unsubscribed already."""
    others: bool
    """Whether something else is still in force."""
    undo_token: str | None


@dataclass(frozen=True, slots=True)
class Undone:
    language: Language
    purposes: tuple[Purpose, ...]
    """What was put back; empty when that had happened already."""


@dataclass(frozen=True, slots=True)
class UndoExpired:
    """Too late: an hour has passed, or the reader has unsubscribed again since."""

    language: Language


def get_unsubscribe(tx: Transaction, keys: Keys, token_text: str) -> UnsubscribeAsked | WasTest | NobodyLeft | NotOurs:
    """What the link in a mail shows. Changes nothing (A-25)."""
    token = keys.open(TokenKind.UNSUBSCRIBE, token_text)
    if token is None:
        return NotOurs()
    if token.first == 0:
        return WasTest()
    subscriber = subscribers.find_subscriber(tx, token.first)
    if subscriber is None:
        return NobodyLeft()
    meant, others = _split(tx, token)
    return UnsubscribeAsked(
        subscriber.language,
        tuple(s.purpose for s in meant),
        bool(others),
        control_token=keys.seal(Token(TokenKind.CONTROL, subscriber.id)),
        less_often=subscriber.rhythm is not Rhythm.MONTHLY and any(s.purpose is Purpose.DIGEST for s in meant),
    )


def unsubscribe(
    tx: Transaction, keys: Keys, token_text: str, channel: Channel, evidence: Evidence, *, everything: bool = False
) -> Unsubscribed | WasTest | NobodyLeft | NotOurs:
    """Withdraw the consent that the link's mail was sent on; with `everything`, all consent of the reader.

    Idempotent. In force when this transaction commits: the claim of a running campaign looks at it (A-28).
    """
    token = keys.open(TokenKind.UNSUBSCRIBE, token_text)
    if token is None:
        return NotOurs()
    if token.first == 0:
        return WasTest()
    subscriber = subscribers.lock_subscriber(tx, token.first)
    if subscriber is None:
        return NobodyLeft()
    meant, others = _split(tx, token)
    if everything:
        meant, others = [*meant, *others], []
    events = [
        consent.append(
            tx,
            keys.ledger,
            NewEvent(
                subscriber_id=subscriber.id,
                list_id=subscription.list_id,
                purpose=subscription.purpose,
                state=ConsentState.WITHDRAWN,
                # Without a mail behind it, the link stood on the control page.
                channel=channel if token.second else Channel.CONTROL,
                delivery_id=token.second or None,
                evidence=evidence,
            ),
        )
        for subscription in meant
    ]
    undo = keys.seal(Token(TokenKind.UNDO, subscriber.id, events[0])) if events else None
    return Unsubscribed(subscriber.language, tuple(s.purpose for s in meant), bool(others), undo)


def undo(tx: Transaction, keys: Keys, token_text: str, evidence: Evidence) -> Undone | UndoExpired | NotOurs:
    """Put back what one press of the button ended, as a new consent event on the words agreed to before.

    Works for an hour, and only while the withdrawal is the last word about a subscription.
    """
    token = keys.open(TokenKind.UNDO, token_text)
    subscriber = subscribers.lock_subscriber(tx, token.first) if token else None
    withdrawn = consent.find_event(tx, token.second) if token else None
    if token is None or subscriber is None or withdrawn is None or withdrawn.subscriber_id != subscriber.id:
        return NotOurs()
    if not may_undo(withdrawn.occurred_at, tx.now):
        return UndoExpired(subscriber.language)
    ended = consent.list_withdrawn_together(tx, withdrawn)
    back = tuple(event.purpose for event in ended if _give_back(tx, keys.ledger, event, evidence))
    if not back and withdrawn.purpose not in consent.get_active_purposes(tx, subscriber.id, withdrawn.list_id):
        return UndoExpired(subscriber.language)
    return Undone(subscriber.language, back)


def _give_back(tx: Transaction, ledger: LedgerKeys, ended: ConsentEvent, evidence: Evidence) -> bool:
    given = consent.find_last_given(tx, ended.subscriber_id, ended.list_id, ended.purpose)
    if given is None:  # then there are no words to return to
        return False
    consent.append(
        tx,
        ledger,
        NewEvent(
            subscriber_id=ended.subscriber_id,
            list_id=ended.list_id,
            purpose=ended.purpose,
            state=ConsentState.GIVEN,
            channel=Channel.UNDO,
            lawful_basis=given.lawful_basis,
            signup_id=given.signup_id,
            statement_id=given.statement_id,
            notice_id=given.notice_id,
            form_id=given.form_id,
            delivery_id=ended.delivery_id,
            evidence=evidence,
        ),
    )
    return True


def _split(tx: Transaction, token: Token) -> tuple[list[Subscription], list[Subscription]]:
    """The reader's subscriptions in force: those that the link is about, and the others."""
    purpose = purpose_from_flag(token.flag)
    active = [s for s in subscribers.list_subscriptions(tx, token.first) if s.state is SubscriptionState.ACTIVE]
    meant = [s for s in active if s.list_id == token.small and purpose in (None, s.purpose)]
    return meant, [s for s in active if s not in meant]
