"""What follows from what a relay said: the one page of policy. Everything else only carries replies about.

First match wins. The rules are C-06 to C-11 of the standards; a test holds a table of real replies against them.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from service.domain.outcomes import Outcome, Phase


class Fate(StrEnum):
    """What we do about a delivery after an attempt."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    """Later, as a counted attempt."""
    GIVE_UP = "give_up"
    GIVE_BACK = "give_back"
    """The relay could not be used: nobody's attempt is used up (C-11)."""
    UNKNOWN = "unknown"
    """The reply to the final dot was lost: the relay may have taken the message (A-46)."""


class Scope(StrEnum):
    """Whom a reply concerns."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    RELAY = "relay"


@dataclass(frozen=True, slots=True)
class Verdict:
    fate: Fate
    scope: Scope
    suppress: bool = False
    """The address is dead: do not mail it again (C-14)."""


TAKEN = Verdict(Fate.ACCEPTED, Scope.MESSAGE)
_EOM = Phase.EOM
"""Looking into an enumeration takes longer than all the rest of deciding that a message was taken."""

SESSION = frozenset({Phase.CONNECT, Phase.TLS, Phase.EHLO, Phase.AUTH})
"""Nobody's message has been mentioned yet, so a failure here is nobody's but the relay's."""

NOT_LET_IN = frozenset({421, 530, 534, 535, 538})
"""RFC 5321 §3.8: 421 closes the channel. RFC 4954 §6: with the others we are not, or not well enough, authenticated."""

ACCEPTS, REFUSES_FOR_NOW, REFUSES = 2, 4, 5
"""RFC 5321 §4.2.1: the first digit of a reply."""

MAILBOX_OR_TOO_MANY = 552

DEAD_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.7.17"})
"""RFC 3463 §3.2: no such mailbox, no such system, bad syntax, mailbox moved. RFC 7505: the domain takes no mail.

RFC 7293: the mailbox has another owner now. Exchange says 5.1.10 of a mailbox that it does not find.
"""

VAGUE = frozenset({"5.0.0", "5.1.0", "5.5.0"})
"""Say nothing of their own: the text decides. Outlook.com says 5.5.0 of a mailbox that does not exist."""

_RELAYING = re.compile(
    r"relay(ing)?( access)? (is )?(denied|not (permitted|allowed))|unable to relay|client host rejected|"
    r"authentication (is )?required|not authenticated|sender address rejected: not (owned by|logged in)|"
    r"not have permissions? to send as|email address is not verified|"
    r"credentials for relay|relay limit exceeded",
    re.IGNORECASE,
)
"""The relay does not know us; were it a refusal of people, one wrong setting would fail a whole campaign."""

_TOO_FAST = re.compile(r"throttl|sending rate exceeded|too many (concurrent )?(smtp )?connections", re.IGNORECASE)
"""The relay asks us, and no particular recipient, for patience; so does 4.7.28 (F-03)."""

_UNKNOWN_USER = re.compile(
    r"(user|mailbox|recipient|account|address)\b.{0,40}\b(unknown|not found|does ?n[o']t exist|no longer)|"
    r"unknown (user|recipient|mailbox|local)|no such (user|mailbox|recipient|person|account)|"
    r"not a known user|mailbox unavailable",
    re.IGNORECASE,
)
_SENDER = re.compile(r"\bsender\b", re.IGNORECASE)
_POLICY = re.compile(
    r"spam|block|black ?list|deny ?list|listed|policy|reputation|unsolicited|bulk|content|virus|denied|reject|"
    r"not allowed|prohibit|authoriz|banned|dnsbl|rbl|spf|dkim|dmarc|rate|limit|too many|authenticat",
    re.IGNORECASE,
)


def decide_fate(outcome: Outcome) -> Verdict:
    """What to do after this outcome. Total: there is a verdict for every outcome."""
    code, phase = outcome.code, outcome.phase
    if phase is _EOM and code is not None and code // 100 == ACCEPTS:
        return TAKEN
    if phase in SESSION or code in NOT_LET_IN or _relaying_denied(outcome) or _too_fast(outcome):
        return Verdict(Fate.GIVE_BACK, Scope.RELAY)
    if code is None:
        # Before the final dot the relay cannot have taken the message; after it, nobody knows.
        return Verdict(Fate.UNKNOWN if phase is Phase.EOM else Fate.RETRY, Scope.MESSAGE)
    scope = _scope(outcome)
    if code == MAILBOX_OR_TOO_MANY and outcome.enhanced is None:
        return Verdict(Fate.RETRY, scope)  # RFC 5321 §4.5.3.1.10: a bare 552 is to be treated as temporary
    if code // 100 == REFUSES:
        return Verdict(Fate.GIVE_UP, scope, _is_dead(outcome))  # C-08: never again
    return Verdict(Fate.RETRY, scope)  # 4xx, and whatever is no answer to what we said


def _scope(outcome: Outcome) -> Scope:
    if outcome.phase is Phase.RCPT:
        return Scope.RECIPIENT
    about_the_mailbox = outcome.enhanced is not None and outcome.enhanced.split(".")[1] in ("1", "2")
    return Scope.RECIPIENT if about_the_mailbox and outcome.phase is not Phase.MAIL else Scope.MESSAGE


def _is_dead(outcome: Outcome) -> bool:
    """Only for what says that the mailbox does not exist; policy, spam and content never suppress people (C-09)."""
    if outcome.phase is Phase.MAIL or (outcome.enhanced is None and _SENDER.search(outcome.text)):
        return False  # about the sender
    if outcome.enhanced in VAGUE:
        return outcome.phase is Phase.RCPT and bool(_UNKNOWN_USER.search(outcome.text))
    if outcome.enhanced is not None:
        return outcome.enhanced in DEAD_ADDRESS
    if outcome.phase is not Phase.RCPT or outcome.code not in (550, 551):
        return False
    return bool(_UNKNOWN_USER.search(outcome.text)) or not _POLICY.search(outcome.text)


def _too_fast(outcome: Outcome) -> bool:
    if outcome.code is None or outcome.code // 100 != REFUSES_FOR_NOW:
        return False
    return outcome.enhanced == "4.7.28" or bool(_TOO_FAST.search(outcome.text))


def _relaying_denied(outcome: Outcome) -> bool:
    if outcome.code is None or outcome.code // 100 != REFUSES:
        return False
    return outcome.enhanced == "5.7.8" or bool(_RELAYING.search(outcome.text))
