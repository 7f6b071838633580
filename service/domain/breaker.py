"""When a campaign is paused by itself: going on would harm readers, or the publisher's name as a sender (C-17, F-15).

Answers are counted in windows, anew after each and after a person resumed the campaign. A window is judged whenever
some of its answers are recorded, against a share of all of it: so nothing is decided on one bad answer or on ten.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum

from service.domain.smtp_replies import Fate, Scope, Verdict

WINDOW = 500
"""Answers. Mailbox providers judge a mailing by its beginning, and so do we: C-17 speaks of the first 500."""

STORM_PERCENT = 10.0
"""C-14: where more of a paused campaign's answers than this say that nobody is there, the one who answers is believed
to be wrong: a directory that is down says so of everybody. Whoever is suppressed would have to sign up again (C-16)."""

POLICY_CLASSES = ("5.6", "5.7")
"""RFC 3463 §3.7, §3.8: the content or a policy was the reason, also where RCPT was answered with it."""


class Cause(StrEnum):
    """Why the breaker paused a campaign."""

    DEAD = "dead"
    """Addresses that do not exist: an old or bought list, which costs the sender's reputation for every mail after."""
    REFUSED = "refused"
    """The mail itself: policy, spam, content, a signature. Everybody else would be refused as well, and for good."""
    FAILED = "failed"
    """Permanent failures of all kinds together."""
    UNCERTAIN = "uncertain"
    """Answers that never came: a person would have to decide about each."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Shares of a window above which a campaign is paused, in percent."""

    dead: float = 2.0
    """Of the first window (C-17); later ones fall under `failed`."""
    failed: float = 5.0
    """C-17. Refusals of the mail and dead addresses count together here."""
    uncertain: float = 10.0


NORMAL = Limits()
_ACCEPTED = Fate.ACCEPTED
"""Looking into an enumeration takes longer than all the rest of counting."""


@dataclass(slots=True)
class Tally:
    """What became of some deliveries of one campaign. What is given back to be tried again was not tried."""

    answered: int = 0
    """With a reply that counts for the delivery, good or bad; or with one that never came after the final dot."""
    dead: int = 0
    refused: int = 0
    failed: int = 0
    """All permanent failures, dead and refused ones included."""
    uncertain: int = 0

    def count(self, verdict: Verdict, enhanced: str | None) -> None:
        """One attempt. On the hot path, so what is accepted is decided first."""
        fate = verdict.fate
        if fate is _ACCEPTED:
            self.answered += 1
            return
        if fate is Fate.GIVE_BACK:
            return
        self.answered += 1
        if fate is Fate.GIVE_UP:
            self.failed += 1
            if verdict.suppress:
                self.dead += 1
            elif verdict.scope is Scope.MESSAGE or (enhanced is not None and enhanced.startswith(POLICY_CLASSES)):
                self.refused += 1
        elif fate is Fate.UNKNOWN:
            self.uncertain += 1

    def add(self, other: "Tally") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def tally(attempts: Iterable[tuple[Verdict, str | None]]) -> Tally:
    """Of verdicts, each with the enhanced code that it was given for."""
    counted = Tally()
    for verdict, enhanced in attempts:
        counted.count(verdict, enhanced)
    return counted


@dataclass(frozen=True, slots=True)
class Trip:
    """Why a campaign is paused: `number` of `answered`, where `percent` would have been borne."""

    cause: Cause
    number: int
    answered: int
    percent: float


def decide_trip(window: Tally, *, is_first: bool, limits: Limits) -> Trip | None:
    """Whether to pause a campaign of which this came back since its window began.

    A window that is not full yet is judged as if all that is missing went well.
    """
    whole = max(window.answered, WINDOW)
    judged = [
        (Cause.DEAD, window.dead, limits.dead if is_first else limits.failed),
        (Cause.REFUSED, window.refused, limits.failed),
        (Cause.FAILED, window.failed, limits.failed),
        (Cause.UNCERTAIN, window.uncertain, limits.uncertain),
    ]
    for cause, number, percent in judged:
        if number * 100 > percent * whole:
            return Trip(cause, number, window.answered, percent)
    return None


def is_storm(window: Tally) -> bool:
    """Whether the dead addresses of a window whose campaign was paused are too many to be believed (C-14)."""
    return window.dead * 100 > STORM_PERCENT * window.answered


def is_over(window: Tally) -> bool:
    """Whether the next answer begins another window."""
    return window.answered >= WINDOW


WORDS = {
    Cause.DEAD: "{number} of {answered} addresses do not exist (more than {percent:g} %). A list with so many dead "
    "addresses harms every mail that you send",
    Cause.REFUSED: "{number} of {answered} mails were refused for good because of what they say or how they are signed "
    "(more than {percent:g} %), and the others would be as well",
    Cause.FAILED: "{number} of {answered} mails failed for good (more than {percent:g} %)",
    Cause.UNCERTAIN: "of {number} of {answered} mails nobody knows whether the relay took them (more than "
    "{percent:g} %)",
}
REMEDIES = {
    Cause.DEAD: "Find out where these addresses come from",
    Cause.REFUSED: "Read what the relay said, and mend the text, the signature or the relay",
    Cause.FAILED: "Read what the relay said",
    Cause.UNCERTAIN: "Find out why the relay does not answer",
}


SPARED = (
    " So many at once are more often a fault of the relay than of the list, so none of these addresses was suppressed."
)


def say_why(trip: Trip, campaign_id: int, *, is_storm: bool = False) -> str:
    """For the report: what happened, what was not done, what to do."""
    words = WORDS[trip.cause].format(number=trip.number, answered=trip.answered, percent=trip.percent)
    spared = SPARED if is_storm else ""
    resume = f"`milepost campaign resume {campaign_id}`"
    return f"{words}.{spared} Nothing more is sent. {REMEDIES[trip.cause]}; then {resume}, or `cancel`."
