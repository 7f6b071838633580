"""The addresses that stand in a mail: the links that act for its reader, the pages, and where machines answer to."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from service.domain.letters import Letter, Publisher
from service.domain.private_access import seal_link
from service.domain.tokens import Keys, Token, TokenKind, purpose_flag
from service.domain.words import MailKind


@dataclass(frozen=True, slots=True)
class Links:
    """`confirm` is empty where nothing is asked."""

    confirm: str
    unsubscribe: str
    """The page and, by POST, the one-click unsubscribe (RFC 8058); one URL for both, so that none can be missed."""
    control: str
    private: str
    """Opens what we hold for half an hour from `now`, so it is made when the mail is written; empty in other mails."""
    change: str
    """Where a new address is confirmed; empty in other mails."""
    receipt: str
    """What was agreed to, in full; empty in other mails than the welcome."""
    help: str
    privacy: str
    imprint: str
    envelope_from: str
    """VERP: a bounce comes back to the delivery it is about (C-01)."""


def links_for(letter: Letter, publisher: Publisher, keys: Keys, now: datetime) -> Links:
    """A test letter's links have the same shape and act for nobody: their subscriber is 0.

    A welcome is about everything that was just agreed to, so its unsubscribe ends the whole list.
    """
    subscriber = 0 if letter.test else letter.subscriber_id or 0
    purpose = None if letter.kind is MailKind.WELCOME else letter.purpose
    end = Token(TokenKind.UNSUBSCRIBE, subscriber, letter.delivery_id, letter.list_id, purpose_flag(purpose))
    unsubscribe, control = keys.seal(end), keys.seal(Token(TokenKind.CONTROL, subscriber))
    bounce = keys.seal(Token(TokenKind.BOUNCE, letter.delivery_id))
    url = publisher.public_url
    confirm = f"{url}/confirm/{keys.seal(Token(TokenKind.CONFIRM, letter.signup.id))}" if letter.signup else ""
    private = ""
    if letter.kind is MailKind.PRIVATE_LINK:
        private = f"{url}/p/{seal_link(keys, subscriber, letter.address, now)}"
    change = f"{url}/a/{keys.seal(Token(TokenKind.ADDRESS_CHANGE, letter.change.id))}" if letter.change else ""
    receipt = ""
    if letter.kind is MailKind.WELCOME:
        receipt = f"{url}/r/{keys.seal(Token(TokenKind.RECEIPT, 0 if letter.test else letter.event_id or 0))}"
    return Links(
        confirm=confirm,
        unsubscribe=f"{url}/u/{unsubscribe}",
        control=f"{url}/c/{control}",
        private=private,
        change=change,
        receipt=receipt,
        help=f"{url}/help",
        privacy=f"{url}/privacy",
        imprint=f"{url}/imprint",
        envelope_from=f"b+{bounce}@{publisher.bounce_domain}",
    )


def tokens_for(letter: Letter, keys: Keys) -> list[bytes]:
    """Those of a campaign or a digest: to unsubscribe, for the control page, and for the envelope sender."""
    subscriber = 0 if letter.test else letter.subscriber_id or 0
    return keys.seal_mail(subscriber, letter.delivery_id, letter.list_id, purpose_flag(letter.purpose))


def host_of(url: str) -> str | None:
    """The host that a client would connect to, in lower case; None for a URL that names none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
