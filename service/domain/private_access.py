"""The fresh link: what opens the private page and for how long, and how many mails a reader may cause with it.

The link in every mail may be in anybody's hands (design §7). What we hold about a reader, and what changes it for good,
needs a link that was mailed to the reader's own address within the last half hour.
"""

from datetime import datetime, timedelta

from service.domain.tokens import Keys, Token, TokenKind

PRIVATE_FOR = timedelta(minutes=30)

HOUR_LIMIT, HOUR = 3, timedelta(hours=1)
DAY_LIMIT, DAY = 10, timedelta(days=1)
"""Fresh links mailed to one reader: whoever holds an old mail can ask for them, so they must not become a nuisance."""

CHANGE_FOR = timedelta(hours=24)
"""How long the new address may take to confirm a change (D-14)."""

CHANGES_A_DAY = 3
"""Changes that one reader may ask for; each may mail a stranger."""


def may_mail_link(last_hour: int, last_day: int) -> bool:
    return last_hour < HOUR_LIMIT and last_day < DAY_LIMIT


def seal_link(keys: Keys, subscriber_id: int, address: str, issued_at: datetime) -> str:
    """The token of a link that is mailed to `address`."""
    mark = _mark(keys, address)
    return keys.seal(Token(TokenKind.PRIVATE, subscriber_id, int(issued_at.timestamp()), small=mark))


def is_mailed_to(keys: Keys, token: Token, address: str) -> bool:
    """Whether the link went to this address. Times cannot tell: a change that began before a mail was claimed may be
    committed after it, and then the mail is on its way to the address before."""
    return token.small == _mark(keys, address)


def _mark(keys: Keys, address: str) -> int:
    """Sixteen bits of a fingerprint, of the first key: a later one makes no link older."""
    return int.from_bytes(keys.address_hmac(f"mailbox {address}", 1)[:2])


def is_fresh(issued_at: int, now: datetime, address_changed_at: datetime | None) -> bool:
    """Whether a link issued then (Unix seconds) still opens the private page. One mailed to an address that is no
    longer the reader's does not."""
    if address_changed_at is not None and issued_at <= address_changed_at.timestamp():
        return False
    return 0 <= now.timestamp() - issued_at <= PRIVATE_FOR.total_seconds()
