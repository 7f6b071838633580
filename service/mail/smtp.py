"""The wire, simple: one connection to the relay over smtplib, kept across batches.

Low-level commands instead of `sendmail`, so that the journal is written before the final dot and every reply keeps its
phase. Timeouts are RFC 5321 §4.5.3.2's (A-46). Replies lose addresses before anybody sees them (C-06).
"""

import re
import smtplib
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from service.domain.outcomes import Message, Outcome, Phase
from service.domain.words import RelayTls
from service.ports import Journal

CONNECT_SECONDS = 30.0
"""Until TCP answers; RFC 5321 names none, and a relay of our own is near."""

REPLY_SECONDS = {Phase.DATA: 120.0, Phase.EOM: 600.0}
"""RFC 5321 §4.5.3.2.4, .6. A relay that gives up on us earlier closes the connection, so this is for silence only."""

BLOCK_SECONDS = 180.0
"""RFC 5321 §4.5.3.2.5: while the message is being written."""

OTHER_REPLY_SECONDS = 300.0
"""RFC 5321 §4.5.3.2.1 to .3: greeting, MAIL, RCPT."""

RECONNECT_SECONDS = 1.0
"""A message that has been pulled waits no longer for another connection: an unsubscribe counts within 5 s."""

GOODBYE_SECONDS = 2.0
"""After QUIT nothing is at stake any more."""

READY, TEMPORARY, GO_AHEAD = 2, 4, 354
CLOSING = 421
LONGEST_TEXT = 500

_BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?!\n)|\x00|[\x80-\xff]")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)
_ENVELOPE = re.compile(r"[!-;=?A-~]+@[!-;=?A-~]+")
"""ASCII without blanks and angle brackets: what can stand in MAIL and RCPT without SMTPUTF8."""
_ENHANCED = re.compile(r"\W{0,2}([245]\.\d{1,3}\.\d{1,3})\b[ :-]*")
_ADDRESS = re.compile(r"[^\s<>()\[\]:;,\"']+@[^\s<>()\[\]:;,\"']+")


@dataclass(frozen=True, slots=True)
class Relay:
    """The smart host, and how to speak to it."""

    host: str
    port: int
    tls: RelayTls
    user: str | None
    password: str | None
    helo_name: str | None


class _ReplyError(Exception):
    """The relay said no, or nothing at all, in this phase."""

    def __init__(self, phase: Phase, code: int | None, text: str) -> None:
        super().__init__(text)
        self.phase, self.code, self.text = phase, code, text


class SmtpTransport:
    """The port `Transport` over one connection."""

    def __init__(self, relay: Relay, journal: Journal) -> None:
        self._relay = relay
        self._journal = journal
        self._connection: _Connection | None = None
        self._untold: _ReplyError | None = None
        """Why there was no connection, where no message was left to tell it of: told of the next one instead."""

    def send(self, messages: Iterable[Message | None]) -> Iterator[Outcome | None]:
        # First a session, then a message: a relay may take minutes to let us in.
        self._drop_if_dead()
        failure = self._untold = self._untold or self._connect_if_needed()
        for message in messages:
            if message is None:
                yield None
                time.sleep(0.002)
                continue
            outcome = self._send_one(message, failure)
            failure = self._untold = None
            self._journal.answered(outcome)
            yield outcome

    def rest(self) -> None:
        """One idle connection is nobody's burden."""

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.wait_up_to(GOODBYE_SECONDS)
            with suppress(OSError, smtplib.SMTPException):
                connection.docmd("QUIT")
            connection.close()

    def _drop_if_dead(self) -> None:
        """What is kept from an earlier batch may have been closed meanwhile, or lead nowhere any more."""
        if self._connection is not None:
            with suppress(_ReplyError):
                self._command(self._connection, Phase.MAIL, "NOOP")

    def _connect_if_needed(self) -> _ReplyError | None:
        """Why there is no connection; None if there is one."""
        try:
            self._connection = self._connection or _connect(self._relay)
        except _ReplyError as error:
            return error
        return None

    def _send_one(self, message: Message, failure: _ReplyError | None) -> Outcome:
        defect = _defect(message)
        if defect is not None:
            return defect
        try:
            if failure is not None:
                raise failure
            connection = self._begin(message)
            code, text = self._transfer(connection, message)
        except _ReplyError as error:
            return _outcome(message, error.phase, error.code, error.text, self._relay)
        return _outcome(message, Phase.EOM, code, text, self._relay)

    def _begin(self, message: Message) -> "_Connection":
        """A connection on which MAIL has been accepted. One that the relay closed is replaced unseen, if at once."""
        command = f"MAIL FROM:<{message.envelope_from}>"
        if self._connection is not None:
            try:
                self._command(self._connection, Phase.MAIL, command)
            except _ReplyError as error:
                if error.code not in (None, CLOSING):
                    raise
                self._drop()
            else:
                return self._connection
        began = time.monotonic()
        self._connection = _connect(self._relay)
        if time.monotonic() - began > RECONNECT_SECONDS:
            raise _ReplyError(Phase.CONNECT, None, "The relay let us in too late for this message; it goes back.")
        self._command(self._connection, Phase.MAIL, command)
        return self._connection

    def _transfer(self, connection: "_Connection", message: Message) -> tuple[int | None, str]:
        self._command(connection, Phase.RCPT, f"RCPT TO:<{message.rcpt_to}>")
        self._command(connection, Phase.DATA, "DATA", expect=GO_AHEAD)
        connection.wait_up_to(BLOCK_SECONDS)
        data = _LEADING_DOT.sub(b"..", message.data)  # RFC 5321 §4.5.2
        try:
            connection.send(data if data.endswith(b"\r\n") else data + b"\r\n")
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            raise _ReplyError(Phase.DATA, None, _reason(error)) from None
        try:
            self._journal.started(message.delivery_id)
        except OSError:
            self._drop()  # without the final dot the relay discards what it has (RFC 5321 §4.1.1.4)
            raise
        code, text = self._reply(connection, Phase.EOM, b".\r\n")
        if code == CLOSING:
            self._drop()
        return code, text

    def _command(self, connection: "_Connection", phase: Phase, line: str, expect: int | None = None) -> None:
        """Say one command; raises _ReplyError for every answer but the expected one."""
        code, text = self._reply(connection, phase, line.encode("ascii") + b"\r\n")
        if code is not None and (code == expect if expect else code // 100 == READY):
            return
        if code is None or code == CLOSING or code // 100 < TEMPORARY:
            self._drop()  # the last: an answer to something else, so nobody knows where the dialogue stands
        elif phase is not Phase.MAIL:
            reset, _ = self._reply(connection, Phase.MAIL, b"RSET\r\n")
            if reset is None or reset // 100 != READY:
                self._drop()
        raise _ReplyError(phase, code, text)

    def _reply(self, connection: "_Connection", phase: Phase, line: bytes) -> tuple[int | None, str]:
        connection.wait_up_to(REPLY_SECONDS.get(phase, OTHER_REPLY_SECONDS))
        try:
            connection.send(line)
            code, text = connection.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            return None, _reason(error)
        if code < 0:
            self._drop()
            return None, "The relay's answer could not be read as SMTP."
        return code, text.decode("utf-8", "replace")

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _Connection(smtplib.SMTP):
    """smtplib's dialogue over a socket with our own time limits."""

    def __init__(self, relay: Relay, context: ssl.SSLContext | None) -> None:
        super().__init__(local_hostname=relay.helo_name, timeout=OTHER_REPLY_SECONDS)
        self._host = relay.host  # the name that STARTTLS verifies
        self._implicit = context

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = socket.create_connection((host, port), CONNECT_SECONDS)
        # Body and final dot are two writes; without this the second waits for the first one's acknowledgement.
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.settimeout(timeout)
        if self._implicit is None:
            return connected
        try:
            return self._implicit.wrap_socket(connected, server_hostname=host)
        except BaseException:
            connected.close()
            raise

    def wait_up_to(self, seconds: float) -> None:
        if self.sock is not None:
            self.sock.settimeout(seconds)


def _connect(relay: Relay) -> _Connection:
    """A session on which MAIL may be said. Raises _ReplyError with the phase that failed."""
    context = _tls_context()
    connection = _Connection(relay, context if relay.tls is RelayTls.IMPLICIT else None)
    try:
        _open(connection, relay, context)
    except BaseException:
        connection.close()
        raise
    return connection


def _open(connection: _Connection, relay: Relay, context: ssl.SSLContext) -> None:
    with _phase(Phase.CONNECT):
        _require(Phase.CONNECT, connection.connect(relay.host, relay.port))
    with _phase(Phase.EHLO):
        connection.ehlo_or_helo_if_needed()
    if relay.tls in (RelayTls.REQUIRED, RelayTls.OPPORTUNISTIC):
        if connection.has_extn("starttls"):
            with _phase(Phase.TLS):
                _require(Phase.TLS, connection.starttls(context=context))
            with _phase(Phase.EHLO):
                connection.ehlo_or_helo_if_needed()  # RFC 3207 §4.2: what was said before does not count
        elif relay.tls is RelayTls.REQUIRED:
            raise _ReplyError(Phase.TLS, None, "The relay offers no STARTTLS, and relay_tls=required forbids less.")
    if relay.user is not None and relay.password is not None:
        encrypted = isinstance(connection.sock, ssl.SSLSocket)
        if not encrypted and relay.tls is not RelayTls.NONE:
            raise _ReplyError(Phase.AUTH, None, "The password is not said over a connection that is not encrypted.")
        with _phase(Phase.AUTH):
            connection.login(relay.user, relay.password)


@contextmanager
def _phase(phase: Phase) -> Iterator[None]:
    """Turns what smtplib and the socket raise into a reply of this phase."""
    try:
        yield
    except ssl.SSLError as error:
        raise _ReplyError(Phase.TLS, None, _reason(error)) from None
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error
        said = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        raise _ReplyError(phase, error.smtp_code, said) from None
    except (OSError, smtplib.SMTPException) as error:
        raise _ReplyError(phase, None, _reason(error)) from None


def _require(phase: Phase, reply: tuple[int, bytes]) -> None:
    code, text = reply
    if code // 100 != READY:
        raise _ReplyError(phase, code if code > 0 else None, text.decode("utf-8", "replace"))


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()  # verifies the chain and the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _defect(message: Message) -> Outcome | None:
    """A refusal of our own for what must not reach the wire: it would be another message to the next hop (A-01)."""
    if not (_ENVELOPE.fullmatch(message.envelope_from) and _ENVELOPE.fullmatch(message.rcpt_to)):
        text = "Not sent: an envelope address is not plain ASCII."
        return Outcome(message.delivery_id, Phase.RCPT, 550, "5.6.7", text, "milepost")
    if _BARE_LINE_END.search(message.data):
        text = "Not sent: the message holds a bare line end, a NUL or a byte above 0x7F."
        return Outcome(message.delivery_id, Phase.DATA, 554, "5.6.0", text, "milepost")
    return None


def _outcome(message: Message, phase: Phase, code: int | None, text: str, relay: Relay) -> Outcome:
    enhanced, words = None, []
    for line in text.splitlines():
        found = _ENHANCED.match(line)
        if found:
            enhanced = enhanced or found[1]
            line = line[found.end() :]  # noqa: PLW2901
        words.append(line.strip())
    said = _scrub(" ".join(words), message.rcpt_to)
    return Outcome(message.delivery_id, phase, code, enhanced, said, f"{relay.host}:{relay.port}")


def _scrub(text: str, rcpt_to: str) -> str:
    """Without addresses, also where the relay names the mailbox by its local part alone (C-06)."""
    text = _ADDRESS.sub("[address]", text)
    local = rcpt_to.rpartition("@")[0]
    text = re.sub(rf"(?<!\w){re.escape(local)}(?!\w)", "[address]", text, flags=re.IGNORECASE)
    return "".join(letter if letter.isprintable() else " " for letter in text)[:LONGEST_TEXT]


def _reason(error: Exception) -> str:
    """What went wrong with the connection, in a few words that hold no address."""
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "No answer within the time that RFC 5321 allows."
    return str(error) or type(error).__name__
