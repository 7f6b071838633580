"""What we say of one message: its envelope with the parameters that the relay offers, its bytes, or why not at all."""

import re

from service.domain.outcomes import Message, Outcome, Phase
from service.mail.smtp_opening import Session

_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)
_NOT_XTEXT = re.compile(r"[^!-*,-<>-~]")
_ENVELOPE = re.compile(r"[!-;=?A-~]+@[!-;=?A-~]+")
"""ASCII without blanks and angle brackets: what can stand in MAIL and RCPT without SMTPUTF8."""
_ENVELOPE_UTF8 = re.compile(r"[!-;=?A-~\u00a1-\U0010ffff]+@[!-;=?A-~\u00a1-\U0010ffff]+")


def envelope(session: Session, message: Message) -> bytes:
    """The whole group."""
    if not session.dsn and (not session.smtputf8 or message.rcpt_to.isascii()):  # what follows, for the usual relay
        sender, to = message.envelope_from, message.rcpt_to
        if not session.size:
            return f"MAIL FROM:<{sender}>\r\nRCPT TO:<{to}>\r\nDATA\r\n".encode()
        if sender.isascii():
            size = len(message.data)
            return f"MAIL FROM:<{sender}> SIZE={size}\r\nRCPT TO:<{to}>\r\nDATA\r\n".encode()
    return mail_line(session, message) + rcpt_line(session, message) + b"DATA\r\n"


def mail_line(session: Session, message: Message) -> bytes:
    line = f"MAIL FROM:<{message.envelope_from}>"
    if session.size:
        line += f" SIZE={len(message.data)}"
    if session.dsn:  # RFC 3461 §4.3, .4: the token, so that a report can be told from a forged one (C-02)
        line += f" RET=HDRS ENVID={xtext(message.envelope_from.partition('@')[0])}"
    if session.smtputf8 and not (message.envelope_from.isascii() and message.rcpt_to.isascii()):
        line += " SMTPUTF8"
        if not message.data.isascii():
            line += " BODY=8BITMIME"
    return f"{line}\r\n".encode()


def rcpt_line(session: Session, message: Message) -> bytes:
    to = message.rcpt_to
    if not session.dsn:
        return f"RCPT TO:<{to}>\r\n".encode()
    if not to.isascii():  # RFC 6533 §3 has another form for these, which few understand
        return f"RCPT TO:<{to}> NOTIFY=FAILURE\r\n".encode()
    return f"RCPT TO:<{to}> NOTIFY=FAILURE ORCPT=rfc822;{xtext(to)}\r\n".encode()


def body(message: Message) -> bytes:
    """All but the final dot."""
    data = message.data
    if not message.clean and (b"\r\n." in data or data[:1] == b"."):
        data = _LEADING_DOT.sub(b"..", data)  # RFC 5321 §4.5.2
    return data if data[-2:] == b"\r\n" else data + b"\r\n"


def xtext(text: str) -> str:
    """RFC 3461 §4: `+`, `=` and whatever is not printable ASCII as +XX."""
    if text.isascii() and text.isprintable() and " " not in text:  # the usual case, at a tenth of the time
        return text.replace("+", "+2B").replace("=", "+3D")
    return _NOT_XTEXT.sub(lambda found: f"+{ord(found[0]):02X}", text)


def find_defect(session: Session, message: Message) -> Outcome | None:
    """A refusal of our own for what must not reach the wire: it would be another message to the next hop (A-01)."""
    data = message.data
    utf8 = False
    if not (_ENVELOPE.fullmatch(message.envelope_from) and _ENVELOPE.fullmatch(message.rcpt_to)):
        utf8 = session.smtputf8 and bool(
            _ENVELOPE_UTF8.fullmatch(message.envelope_from) and _ENVELOPE_UTF8.fullmatch(message.rcpt_to)
        )
        if not utf8:
            text = "Not sent: an envelope address is not plain ASCII."
            return Outcome(message.delivery_id, Phase.RCPT, 550, "5.6.7", text, "milepost")
    if not message.clean:
        lines = data.count(b"\r\n")
        same = data.count(b"\n") == lines == data.count(b"\r")
        if not same or b"\0" in data or not (utf8 or data.isascii()):
            text = "Not sent: the message holds a bare line end, a NUL or a byte above 0x7F."
            return Outcome(message.delivery_id, Phase.DATA, 554, "5.6.0", text, "milepost")
    if session.largest and len(data) > session.largest:  # RFC 1870 §6.1
        text = f"Not sent: the message has {len(data)} octets, and the relay takes {session.largest}."
        return Outcome(message.delivery_id, Phase.MAIL, 552, "5.3.4", text, "milepost")
    return None
