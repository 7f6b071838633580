"""Mails whose bytes something on the way could spoil, and how to tell that nothing did."""

import re
from collections.abc import Sequence

from service.domain.outcomes import Message
from tests.mtas.servers import READERS

BODIES = {
    "plain": b"Hello.\r\n",
    "a dot alone": b"before\r\n.\r\nafter\r\n",
    "dots first": b".\r\n..\r\n...three\r\n.hidden\r\n\r\n.\r\n",
    "a dialogue": b".\r\nMAIL FROM:<x@reader.example>\r\n.\r\nQUIT\r\n",
    "as long as a line may be": b"x" * 998 + b"\r\n" + b"." + b"y" * 997 + b"\r\n",
    "blanks at the ends": b"a \r\nb\t\r\n \r\n\t\r\n-- \r\n",
    "empty lines": b"\r\n\r\na\r\n\r\n\r\n",
    "From at the start": b"From here on\r\n>From there\r\nFrom: nobody\r\n",
    "every printable letter": bytes(range(32, 127)) + b"\r\n",
    "no line end": b"the end",
    "big": b"".join(b"%06d %s\r\n" % (number, b"z" * 69) for number in range(1000)),
    "empty": b"",
}
"""Seven bits only, lines of at most 998 octets: what Milepost writes (A-01)."""

TRACE = re.compile(
    rb"(?:(?:Return-Path|Received|X-Original-To|Delivered-To|X-Client-(?:Addr|Proto)|X-(?:Helo|Mail|Rcpt)-Args)"
    rb":[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)*",
    re.IGNORECASE,
)
"""What a server may put before a message; it may change nothing in it (RFC 5321 §4.4)."""


def mails(marker: str) -> list[Message]:
    """One of each kind; `marker` tells them from those of other tests."""
    return [a_mail(number, marker, body) for number, body in enumerate(BODIES.values())]


def a_mail(
    number: int, marker: str, body: bytes = b"Hello.\r\n", *, to: str = "", sender: str = "b+token@bounce.example"
) -> Message:
    head = (
        "From: Fjellsko Training Hub <training@fjellsko.example>\r\n"
        f"To: <reader-{number}@{READERS}>\r\n"
        f"Subject: {marker} {number}\r\n"
        "Date: Mon, 02 Mar 2026 09:00:00 +0000\r\n"
        f"Message-ID: <{marker}.{number}@news.fjellsko.example>\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        f"X-Long: {'l' * 900}\r\n\r\n"
    )
    return Message(number, sender, to or f"reader-{number}@{READERS}", head.encode() + body)


def as_sent(message: Message) -> bytes:
    """A message ends with a line end: the transport adds it where it is missing."""
    return message.data if message.data.endswith(b"\r\n") else message.data + b"\r\n"


def of_marker(stored: Sequence[bytes], marker: str) -> list[bytes]:
    """Those in which it stands. With line ends as on the wire: files have those of this system."""
    wanted = marker.encode()
    return [re.sub(rb"(?<!\r)\n", b"\r\n", mail) for mail in stored if wanted in mail]


def find_spoilt(sent: Sequence[Message], stored: Sequence[bytes]) -> dict[int, str]:
    """Which of `sent` did not arrive once, byte for byte behind the trace of its way."""
    wrong = {}
    for message in sent:
        data = as_sent(message)
        copies = [mail for mail in stored if mail.endswith(data) and TRACE.fullmatch(mail[: -len(data)])]
        if len(copies) != 1:
            wrong[message.delivery_id] = f"{len(copies)} copies"
    return wrong
