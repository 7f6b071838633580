"""Whether the relay answers, as one worker sees it: kept in memory while it sends, told to the database by its heart.

The wire waits for minutes, as it must (RFC 5321 §4.5.3.2); people are told after seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from service.domain.outcomes import Outcome, Phase

SILENT_AFTER = timedelta(seconds=8)
"""With work to send and no answer for so long, the relay counts as not answering: with a heartbeat (4 s) and a command
that looks (some 2 s) that is within 20 s. A relay that greets late on purpose takes about 6 s."""

FORGOTTEN_AFTER = timedelta(minutes=6)
"""A worker in trouble tries again within five minutes (LONGEST_HOLD), so what is older is known to nobody."""

TOLD_AFTER = timedelta(seconds=60)
"""Operators are not mailed about a relay that was restarted."""

LONGEST_TEXT = 300
"""Characters of what the relay said."""


class TroubleKind(StrEnum):
    REFUSING = "refusing"
    """It said, or made plain, that it cannot be used now: refused connections, 421, a rejected password."""
    SILENT = "silent"
    """It takes connections or mails and says nothing."""
    REPLACED = "replaced"
    """It cannot be used, and the second relay carries the mail meanwhile."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A relay that cannot be used."""

    kind: TroubleKind
    relay: str
    phase: Phase
    code: int | None
    text: str
    """What it said; empty if it said nothing."""
    lasted: timedelta


@dataclass
class RelayWatch:
    """Written by the thread that sends, read by the heart; each field by itself is enough, so there is no lock."""

    relay: str
    """host:port, for what nobody has answered."""
    replaced: Callable[[], Trouble | None] = lambda: None
    """Why the second relay carries the mail, if it does; asked when there is no other trouble."""
    _since: float | None = field(default=None, init=False)
    """The first failure in a row, or since when something has waited for an answer; monotonic."""
    _failure: Outcome | None = field(default=None, init=False)
    _flying: bool = field(default=False, init=False)

    def waiting(self, now: float, *, flying: bool) -> None:
        """There is mail to start (or under way, `flying`)."""
        self._flying = flying
        if self._since is None:
            self._since = now

    def idle(self) -> None:
        """Nothing waits for the relay; what failed before stays true until it answers."""
        if self._failure is None:
            self._since = None

    def answered(self) -> None:
        """It said something about a mail, good or bad."""
        self._since = self._failure = None

    def failed(self, outcome: Outcome, now: float) -> None:
        """It cannot be used (scope relay)."""
        if self._since is None:
            self._since = now
        self._failure = outcome

    def trouble(self, now: float) -> Trouble | None:
        """What there is to tell, if anything."""
        since, failure = self._since, self._failure
        if since is None:
            return self.replaced()
        lasted = timedelta(seconds=now - since)
        if failure is not None:
            text = failure.text[:LONGEST_TEXT]
            return Trouble(TroubleKind.REFUSING, failure.relay, failure.phase, failure.code, text, lasted)
        if lasted < SILENT_AFTER:
            return self.replaced()
        # What is under way got as far as a message; before that the relay has not let us in.
        phase = Phase.EOM if self._flying else Phase.CONNECT
        return Trouble(TroubleKind.SILENT, self.relay, phase, None, "", lasted)


def explain(kind: TroubleKind, relay: str, phase: Phase, code: int | None, text: str) -> str:
    """In words, for people who run the place."""
    if kind is TroubleKind.SILENT:
        where = "it does not let us in" if phase is Phase.CONNECT else "mails are under way"
        return f"{relay} does not answer ({where})"
    said = " ".join(part for part in (str(code) if code else "", text) if part)
    what = f"{relay} cannot be used ({phase}: {said or 'no answer'})"
    return f"{what}; the second relay carries the mail" if kind is TroubleKind.REPLACED else what


def remedy(kind: TroubleKind) -> str:
    return REPLACED_REMEDY if kind is TroubleKind.REPLACED else REMEDY


REMEDY = (
    "Nothing fails and no attempt is used up; sending goes on by itself when it answers. `milepost doctor` tries it "
    "from here; look at the relay, the network, MILEPOST_RELAY_USER and MILEPOST_RELAY_PASSWORD"
)
REPLACED_REMEDY = (
    "Nothing waits, but no other relay is left. The first one is called again every minute, and gets the mail back "
    "when it answers; `milepost doctor` tries both from here"
)
