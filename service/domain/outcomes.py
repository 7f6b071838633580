"""One message on its way to the wire, and what came back: plain values that cross the Transport port.

An outcome says what the relay said and in which phase; what to do about it is policy and lives in smtp_replies.
"""

from enum import StrEnum

from service.domain.values import quick_value


class Phase(StrEnum):
    """Where in the SMTP dialogue a reply came, or failed to come (C-06)."""

    CONNECT = "connect"
    TLS = "tls"
    EHLO = "ehlo"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    """The DATA command, before any byte of the message."""
    EOM = "eom"
    """After the final dot: a lost reply here means nobody knows (A-46)."""


@quick_value(frozen=True, slots=True)
class Message:
    """Ready bytes for one recipient: CRLF line ends, not yet dot-stuffed, below 0x80 only."""

    delivery_id: int
    envelope_from: str
    rcpt_to: str
    data: bytes
    clean: bool = False
    """Whoever made it has seen to the above, and that no line begins with a dot: the wire need not look."""


@quick_value(frozen=True, slots=True)
class Outcome:
    """What became of one attempt. `code` is the RFC 5321 reply, or None when none came.

    `enhanced` is the RFC 3463 code, kept apart from `text`; `text` has addresses scrubbed (C-06).
    """

    delivery_id: int
    phase: Phase
    code: int | None
    enhanced: str | None
    text: str
    relay: str
