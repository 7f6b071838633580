"""Decisions about one sign-up: is the form fresh, and what may be mailed to an address that was typed into it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from service.domain.tokens import Token
from service.domain.words import Language, Purpose, SignupState, SuppressionReason

DAY_LIMIT, DAY = 1, timedelta(hours=24)
MONTH_LIMIT, MONTH = 3, timedelta(days=30)
"""Mails that sign-ups and changes of address may cause per abuse key, together (E-05): a victim of list bombing gets
one, wherever it comes from."""

SHOWN_AGAIN_SECONDS = 1.0
"""A form shown again is already filled in: a person needs only this long for its one button."""

LIFTABLE = frozenset({SuppressionReason.PERMANENT_BOUNCE, SuppressionReason.UNSUBSCRIBE_ALL, SuppressionReason.ERASED})
"""What a person who signs up anew, and presses the button, ends: the mailbox works again (C-16), or it was the person's
own wish not to be mailed."""


MAILED = frozenset({SignupState.ASKED, SignupState.ALREADY_ACTIVE})
"""The states that cause a mail."""


class Freshness(StrEnum):
    FRESH = "fresh"
    MISSING = "missing"
    """No token, or one that we did not make: a form on the publisher's own page, or a robot."""
    STALE = "stale"
    """Too old, or for another version or language of the form: other words were shown."""
    TOO_FAST = "too_fast"


@dataclass(frozen=True, slots=True)
class MailsSent:
    """Mails that sign-ups and changes of address have caused for one abuse key."""

    last_day: int
    last_month: int

    @property
    def spent(self) -> bool:
        """Whether the mailbox has had its share (E-05)."""
        return self.last_day >= DAY_LIMIT or self.last_month >= MONTH_LIMIT


def check_form_token(
    token: Token | None, *, form_id: int, language: Language, now: datetime, min_seconds: float, lifetime: timedelta
) -> Freshness:
    """Whether a person can have filled in this form, in this language, just now (E-06)."""
    if token is None:
        return Freshness.MISSING
    age = now.timestamp() - token.second / 1000
    other_words = token.first != form_id or token.small != list(Language).index(language)
    if other_words or age < 0 or age > lifetime.total_seconds():
        return Freshness.STALE
    if age < seconds_to_wait(shown_again=token.flag == 1, min_seconds=min_seconds):
        return Freshness.TOO_FAST
    return Freshness.FRESH


def seconds_to_wait(*, shown_again: bool, min_seconds: float) -> float:
    return min(SHOWN_AGAIN_SECONDS, min_seconds) if shown_again else min_seconds


def decide_signup(
    *,
    ticked: frozenset[Purpose],
    active: frozenset[Purpose],
    suppressions: frozenset[SuppressionReason],
    mails: MailsSent,
) -> SignupState:
    """What becomes of a sign-up. The one who typed it in never learns which (E-04)."""
    if suppressions - LIFTABLE:
        return SignupState.SUPPRESSED
    if mails.spent:
        return SignupState.LIMITED
    if ticked <= active:
        return SignupState.ALREADY_ACTIVE
    return SignupState.ASKED
