"""Reading what a relay says: bytes into replies, and a reply into the `Outcome` of a message.

Nothing is decided here; that is `domain/smtp_replies`. Texts lose addresses before anybody sees them (C-06).
"""

import re
import ssl
from datetime import timedelta
from typing import NamedTuple

from service.domain.outcomes import Message, Outcome, Phase
from service.domain.relay_watch import Trouble, TroubleKind
from service.mail import smtp_limits as limits

LONGEST_TEXT = 500

_ENHANCED = re.compile(r"\W{0,2}([245]\.\d{1,3}\.\d{1,3})\b[ :-]*")
_ADDRESS = re.compile(r"[^\s<>()\[\]:;,\"']+@[^\s<>()\[\]:;,\"']+")


class Reply(NamedTuple):
    code: int
    text: bytes
    """Without codes; lines are parted by LF."""
    end: int
    """Where in what was heard the next reply begins."""


class UnreadableError(Exception):
    """This is not SMTP, or there is no end of it."""


class ReplyError(Exception):
    """The relay said no, or nothing at all, in this phase."""

    def __init__(self, phase: Phase, code: int | None, text: str) -> None:
        super().__init__(text)
        self.phase, self.code, self.text = phase, code, text


def read_reply(heard: bytes) -> Reply | None:
    """The first reply in `heard`; None while it is not complete. Raises UnreadableError (RFC 5321 §4.2)."""
    end = heard.find(b"\n") + 1
    if end and heard[3:4] == b" ":
        return Reply(_code(heard), heard[4:end].rstrip(), end)
    lines: list[bytes] = []
    start = 0
    while end:
        line = heard[start:end].rstrip()
        code = _code(line)
        if lines and code != _code(heard):
            raise UnreadableError  # a reply has one code in all its lines
        lines.append(line[4:])
        if line[3:4] != b"-":
            return Reply(code, b"\n".join(lines), end)
        start, end = end, heard.find(b"\n", end) + 1
        if start > limits.LONGEST_REPLY:
            raise UnreadableError
    if len(heard) > limits.LONGEST_REPLY:
        raise UnreadableError
    return None


def _code(line: bytes) -> int:
    digits = line[:3]
    if len(digits) == 3 and digits.isdigit() and b"2" <= digits < b"6" and not line[3:4].isalnum():  # noqa: PLR2004
        return int(digits)
    raise UnreadableError


def outcome_of(message: Message, phase: Phase, code: int | None, text: str, relay: str) -> Outcome:
    enhanced, said = _part(text)
    return Outcome(message.delivery_id, phase, code, enhanced, scrub(said, message.rcpt_to), relay)


def trouble_of(error: ReplyError, relay: str, seconds: float) -> Trouble:
    """Why a relay does not carry the mail that another one carries now."""
    text = scrub(error.text.replace("\n", " "), "")[:LONGEST_TEXT]
    return Trouble(TroubleKind.REPLACED, relay, error.phase, error.code, text, timedelta(seconds=seconds))


def _part(text: str) -> tuple[str | None, str]:
    """The enhanced code, and the words without it."""
    enhanced, words = None, []
    for line in text.splitlines():
        found = _ENHANCED.match(line)
        if found:
            enhanced = enhanced or found[1]
            line = line[found.end() :]  # noqa: PLW2901
        words.append(line.strip())
    return enhanced, " ".join(words)


def scrub(text: str, rcpt_to: str) -> str:
    """Without addresses, also where the relay names the mailbox by its local part alone (C-06)."""
    if "@" in text:
        text = _ADDRESS.sub("[address]", text)
    local = rcpt_to.rpartition("@")[0]
    if local and local.casefold() in text.casefold():
        text = re.sub(rf"(?<!\w){re.escape(local)}(?!\w)", "[address]", text, flags=re.IGNORECASE)
    if text.isprintable():
        return text[:LONGEST_TEXT]
    return "".join(letter if letter.isprintable() else " " for letter in text)[:LONGEST_TEXT]


def reason(error: BaseException | None) -> str:
    """What went wrong with the connection, in a few words that hold no address."""
    if error is None:
        return limits.CLOSED
    if isinstance(error, TimeoutError) or "timed out" in str(error) or "taking longer" in str(error):
        return limits.NO_ANSWER
    if isinstance(error, ssl.SSLError):
        return str(error)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
