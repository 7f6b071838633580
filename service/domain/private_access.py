"""The fresh link: what opens the private page and for how long, and how many mails a reader may cause with it.

The link in every mail may be in anybody's hands (design §7). What we hold about a reader, and what changes it for good,
needs a link that was mailed to the reader's own address within the last half hour.
"""

from datetime import datetime, timedelta

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


def is_fresh(issued_at: int, now: datetime, address_changed_at: datetime | None) -> bool:
    """Whether a link issued then (Unix seconds) still opens the private page. One mailed to an address that is no
    longer the reader's does not."""
    if address_changed_at is not None and issued_at <= address_changed_at.timestamp():
        return False
    return 0 <= now.timestamp() - issued_at <= PRIVATE_FOR.total_seconds()
