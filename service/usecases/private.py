"""The fresh link: asked for on the control page, mailed to the reader's own address, and opened within half an hour."""

from dataclasses import dataclass
from datetime import datetime

from service.domain.private_access import DAY, HOUR, PRIVATE_FOR, is_fresh, is_mailed_to, may_mail_link
from service.domain.subscriptions import NotOurs
from service.domain.tokens import Keys, Token, TokenKind
from service.domain.words import Language, MailKind
from service.store import deliveries, subscribers
from service.store.schema import Subscriber
from service.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class LinkAsked:
    """Said to everybody alike, whether or not a mail leaves."""

    language: Language


@dataclass(frozen=True, slots=True)
class Private:
    """Whose page is open, and until when."""

    subscriber_id: int
    language: Language
    address: str
    control_token: str
    until: datetime


@dataclass(frozen=True, slots=True)
class PrivateExpired:
    """The link is older than half an hour, or the reader has another address since."""

    language: Language
    control_token: str


def ask_private_link(tx: Transaction, keys: Keys, token_text: str) -> LinkAsked | NotOurs:
    """Mail a fresh link to the reader's own address; nothing, when enough of them were mailed lately.

    `token_text` is the control page's. The limit is counted here and not in Redis: it is a promise to the reader.
    """
    token = keys.open(TokenKind.CONTROL, token_text)
    subscriber = subscribers.lock_subscriber(tx, token.first) if token else None  # one counts at a time
    if subscriber is None:
        return NotOurs()
    last_hour, last_day = (
        deliveries.count_since(tx, subscriber.id, MailKind.PRIVATE_LINK, tx.now - window) for window in (HOUR, DAY)
    )
    list_id = subscribers.find_a_list(tx, subscriber.id)
    if may_mail_link(last_hour, last_day) and list_id is not None:
        deliveries.add_interactive(tx, kind=MailKind.PRIVATE_LINK, subscriber_id=subscriber.id, list_id=list_id)
    return LinkAsked(subscriber.language)


def open_private(tx: Transaction, keys: Keys, token_text: str) -> Private | PrivateExpired | NotOurs:
    """Whose page a fresh link opens. Changes nothing."""
    token = keys.open(TokenKind.PRIVATE, token_text)
    subscriber = subscribers.find_subscriber(tx, token.first) if token else None
    if token is None or subscriber is None:
        return NotOurs()
    control = keys.seal(Token(TokenKind.CONTROL, subscriber.id))
    mailed_here = is_mailed_to(keys, token, subscriber.address)
    if not mailed_here or not is_fresh(token.second, tx.now, subscriber.address_changed_at):
        return PrivateExpired(subscriber.language, control)
    return _private(subscriber, control, datetime.fromtimestamp(token.second, tx.now.tzinfo))


def _private(subscriber: Subscriber, control: str, issued_at: datetime) -> Private:
    return Private(subscriber.id, subscriber.language, subscriber.address, control, issued_at + PRIVATE_FOR)
