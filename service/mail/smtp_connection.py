"""One open connection to a relay, as an asyncio protocol: transactions, one recipient each, in groups where it may.

With PIPELINING (RFC 2920) MAIL, RCPT and DATA are one group, and the next message's group follows the final dot in the
same write: "the actual transfer of message content is explicitly allowed to be the first command in a group" (§3.1).
The state says which answer comes next, whether or not its command had to wait for the one before.

This is the hot path: nothing here is made per message but its bytes and its outcome, and there are no timers; the pool
looks at `since` from time to time.
"""

import asyncio
import time
from typing import Protocol

from service.domain.outcomes import Message, Outcome, Phase
from service.mail import smtp_limits as limits
from service.mail.smtp_commands import body, envelope, mail_line, rcpt_line
from service.mail.smtp_opening import Session
from service.mail.smtp_replies import Reply, UnreadableError, outcome_of, read_reply, reason, scrub
from service.mail.smtp_states import PHASES, State

READY, TEMPORARY, REFUSED, GO_AHEAD = 2, 4, 5, 354
CLOSING = 421
LARGE = 65_536
"""Octets. What is larger is written before its final dot is, so that a loss on the way is no uncertainty."""

_MAIL, _RCPT, _DATA, _EOM = State.MAIL, State.RCPT, State.DATA, State.EOM


class Pool(Protocol):
    """Whoever has the connections, gives them messages and takes the outcomes. Its methods do not raise."""

    eager: bool
    """Whether a connection may ask for its next message before the outcome of the last one is told."""

    def pull(self, connection: "Connection") -> Message | None: ...
    def start(self, delivery_id: int) -> bool:
        """Note that it is about to be on the wire; False: it could not be noted and must not be."""

    def tell(self, outcome: Outcome) -> None: ...
    def take_back(self, message: Message) -> None:
        """Nothing was said of it that counts: it may begin again elsewhere."""

    def rest_on(self, connection: "Connection") -> None:
        """It has nothing to do."""

    def forget(self, connection: "Connection") -> None:
        """It can do nothing any more."""


class Connection(asyncio.Protocol):
    def __init__(self, session: Session, pool: Pool, relay: str, most: int) -> None:
        self.session = session
        self.relay = relay
        self.state = State.IDLE
        self.since = time.monotonic()
        """When the last thing was said or heard."""
        self._pool = pool
        self._transport = session.transport
        self._write = session.transport.write
        self._write_both = session.transport.writelines
        self._left = most
        """Messages that may still begin on it."""
        self._pipelining = session.pipelining
        self._heard = b""
        self._message: Message | None = None
        self._next: Message | None = None
        """Whose envelope was said behind the final dot of `_message`."""
        self._refusal: tuple[Phase, int, str] | None = None
        """What `_message` was refused with, while answers to the rest of its group are awaited."""
        self._used = False
        """Whether a transaction has come to its end here: since then the relay may have got tired of us."""
        self._quick = False
        self._group = b""
        """What the relay says to an envelope that it takes, as heard: the same bytes again need no reading."""
        self._seen = b""
        self._usual: tuple[bytes, str | None, str, str] = (b"", None, "", "")
        """The last answer to a final dot: as heard, enhanced code, text, and the same to look for a name in."""
        self._unwritten = 0

    @property
    def has_time(self) -> bool:
        return self._left > 0

    def begin(self, message: Message) -> None:
        """Say the envelope of `message`; the connection is idle."""
        self.since = time.monotonic()
        self._message = message
        self._left -= 1
        self.state = _MAIL
        self._write(envelope(self.session, message) if self._pipelining else mail_line(self.session, message))

    def leave(self) -> None:
        """QUIT, as soon as nothing is under way."""
        self._left = 0
        if self.state is State.IDLE:
            self.state = State.LEAVING
            self.since = time.monotonic()
            self._write(b"QUIT\r\n")
            self._pool.forget(self)

    def abort(self) -> None:
        """Away, without a word. A message without its final dot is discarded by the relay (RFC 5321 §4.1.1.4)."""
        self.state = State.GONE
        self._message = self._next = None
        self._transport.abort()
        self._pool.forget(self)

    def check(self, now: float) -> None:
        """Give up if nothing has been heard for too long."""
        state = self.state
        if state is State.IDLE or state is State.GONE:
            return
        if state is State.LEAVING:
            patience = limits.GOODBYE_SECONDS
        elif state is State.BODY:
            patience = limits.BLOCK_SECONDS
            unwritten = self._transport.get_write_buffer_size()
            if unwritten != self._unwritten:
                self._unwritten, self.since = unwritten, now
        else:
            patience = limits.reply_seconds(PHASES[state])
        if now - self.since > patience:
            self._lose(limits.NO_ANSWER)

    # What asyncio calls

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._quick = now - self.since < limits.QUICK_SECONDS
        self.since = now
        state = self.state
        if not self._heard:
            group = self._group
            if state is _EOM and self._next is not None and group and data.endswith(group):
                end = len(data) - len(group)
                if data.find(b"\n") + 1 == end and data[:4] == b"250 ":
                    self._take_accepted(data[:end])
                    self._advance()
                    self._say_body()
                    return
            elif state is _MAIL and self._pipelining and data == group:
                self._say_body()
                return
        self._heard += data
        try:
            while self._heard and self.state is not State.GONE:
                reply = read_reply(self._heard)
                if reply is None:
                    return
                raw, self._heard = self._heard[: reply.end], self._heard[reply.end :]
                self._hear(reply, raw)
        except UnreadableError:
            self._lose(limits.UNREADABLE)

    def resume_writing(self) -> None:
        if self.state is State.BODY:
            self._say_dot(b"", b".\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        if self.state is not State.GONE:
            self._lose(reason(exc))

    # What the relay says

    def _hear(self, reply: Reply, raw: bytes) -> None:
        state, code = self.state, reply.code
        if state is _MAIL:
            self._hear_mail(reply, raw)
        elif state is _RCPT:
            self._hear_rcpt(reply, raw)
        elif state is _DATA:
            self._hear_data(reply, raw)
        elif state is _EOM:
            self._hear_end(reply, raw)
        elif state is State.RSET:
            self._tell_refusal()
            if code // 100 == READY:
                self._finish()
            else:
                self._drop()
        elif state is State.LONE_DOT:
            self._tell_refusal()
            if code == CLOSING or code // 100 < TEMPORARY:
                self._drop()
            else:
                self._finish()
        elif state is State.BODY:  # it does not want to hear the end, so it has not taken it
            self._fail(Phase.DATA, reply)
        else:  # the answer to QUIT, or what nobody asked for
            self._drop()

    def _hear_mail(self, reply: Reply, raw: bytes) -> None:
        if reply.code // 100 == READY:
            self._seen = raw
            self.state = _RCPT
            if not self._pipelining:
                assert self._message is not None
                self._say(rcpt_line(self.session, self._message))
        elif reply.code == CLOSING and self._used:
            self._lose(limits.CLOSED)  # the message is not what it is tired of
        elif self._ends_here(reply):
            self._fail(Phase.MAIL, reply)
        elif self._pipelining:
            self._refuse(Phase.MAIL, reply)
            self.state = _RCPT
        else:
            self._refuse(Phase.MAIL, reply)
            self._tell_refusal()
            self._finish()

    def _hear_rcpt(self, reply: Reply, raw: bytes) -> None:
        if self._refusal is not None:  # an answer to what no longer counts
            self.state = _DATA
            if reply.code == CLOSING:
                self._tell_refusal()
                self._drop()
        elif reply.code // 100 == READY:
            self._seen += raw
            self.state = _DATA
            if not self._pipelining:
                self._say(b"DATA\r\n")
        elif self._ends_here(reply):
            self._fail(Phase.RCPT, reply)
        else:
            self._refuse(Phase.RCPT, reply)
            if self._pipelining:
                self.state = _DATA
            else:
                self._reset()

    def _hear_data(self, reply: Reply, raw: bytes) -> None:
        code = reply.code
        if self._refusal is not None:
            if code == GO_AHEAD:
                self.state = State.LONE_DOT
                self._say(b".\r\n")
            elif self._ends_here(reply):
                self._tell_refusal()
                self._drop()
            else:
                self._reset()
        elif code == GO_AHEAD:
            if self._pipelining:
                self._group = self._seen + raw
            self._say_body()
        elif self._ends_here(reply):
            self._fail(Phase.DATA, reply)
        else:
            self._refuse(Phase.DATA, reply)
            self._reset()

    def _hear_end(self, reply: Reply, raw: bytes) -> None:
        code = reply.code
        if code // 100 not in (READY, TEMPORARY, REFUSED):
            self._lose(limits.UNREADABLE)
            return
        if code == 250 and reply.end == len(raw) and b"\n" not in reply.text:  # noqa: PLR2004
            self._take_accepted(raw)
        else:
            assert self._message is not None
            self._tell(Phase.EOM, code, reply.text.decode("utf-8", "replace"))
        if code == CLOSING:
            self._message = None
            self._drop()
        elif self._next is not None:
            self._advance()
        else:
            self._finish()

    def _take_accepted(self, raw: bytes) -> None:
        """250 to the final dot; most relays say the same each time but for a number."""
        message = self._message
        assert message is not None
        usual, enhanced, text, folded = self._usual
        to = message.rcpt_to
        if raw != usual:
            said = raw[4:].decode("utf-8", "replace").strip()
            outcome = outcome_of(message, Phase.EOM, 250, said, self.relay)
            enhanced, text = outcome.enhanced, outcome.text
            if b"@" not in raw and "[address]" not in text:
                self._usual = (raw, enhanced, text, text.casefold())
        elif to[: to.rfind("@")].casefold() in folded:
            text = scrub(text, to)
        self._pool.tell(Outcome(message.delivery_id, Phase.EOM, 250, enhanced, text, self.relay))

    def _ends_here(self, reply: Reply) -> bool:
        """421, or an answer to something else, after which nobody knows where the dialogue stands."""
        return reply.code == CLOSING or reply.code // 100 < TEMPORARY

    # What follows from it

    def _advance(self) -> None:
        """The envelope said behind the last final dot is the one under way now."""
        self._message, self._next = self._next, None
        self._used = True
        self._left -= 1
        self.state = _MAIL

    def _finish(self) -> None:
        """This transaction is over: the next one, or rest."""
        self._message = None
        self._used = True
        self.state = State.IDLE
        if self._heard:
            self._lose(limits.UNREADABLE)
        elif self._left <= 0:
            self.leave()
        else:
            message = self._pool.pull(self) if self._pool.eager else None
            if message is None:
                self._pool.rest_on(self)
            else:
                self.begin(message)

    def _refuse(self, phase: Phase, reply: Reply) -> None:
        self._refusal = (phase, reply.code, reply.text.decode("utf-8", "replace"))

    def _tell_refusal(self) -> None:
        assert self._refusal is not None
        phase, code, text = self._refusal
        self._refusal = None
        self._tell(phase, code, text)
        self._message = None

    def _tell(self, phase: Phase, code: int | None, text: str) -> None:
        assert self._message is not None
        self._pool.tell(outcome_of(self._message, phase, code, text, self.relay))

    def _fail(self, phase: Phase, reply: Reply) -> None:
        self._tell(phase, reply.code, reply.text.decode("utf-8", "replace"))
        self._message = None
        self._drop()

    def _reset(self) -> None:
        self.state = State.RSET
        self._say(b"RSET\r\n")

    def _lose(self, why: str) -> None:
        """The dialogue is over, with or without the connection."""
        state, message = self.state, self._message
        if message is not None:
            if self._refusal is not None:
                self._tell_refusal()
            elif state is _MAIL and self._used and why != limits.NO_ANSWER:
                self._pool.take_back(message)
            else:
                self._tell(PHASES[state], None, why)
        self._message = None
        self._drop()

    def _drop(self) -> None:
        if self._next is not None:
            self._pool.take_back(self._next)
        self.abort()

    # What we say

    def _say(self, line: bytes) -> None:
        """One command, that waited for all answers."""
        if self._heard:  # somebody answers what was not asked yet
            self._lose(limits.UNREADABLE)
        else:
            self._write(line)

    def _say_body(self) -> None:
        message = self._message
        assert message is not None
        if self._heard:
            self.state = _DATA
            self._lose(limits.UNREADABLE)
            return
        if len(data := body(message)) <= LARGE:
            self._say_dot(data, b".\r\n")
            return
        self.state = State.BODY
        self._transport.set_write_buffer_limits(high=0)
        self._write(data)
        if self.state is State.BODY and self._transport.get_write_buffer_size() == 0:  # over TLS it may be said by now
            self._say_dot(b"", b".\r\n")

    def _say_dot(self, data: bytes, dot: bytes) -> None:
        """What ends with the final dot, and the next envelope behind it."""
        message, pool = self._message, self._pool
        assert message is not None
        if self.state is State.BODY:
            self._transport.set_write_buffer_limits()
        if self._pipelining and self._quick and self._left > 0 and pool.eager:
            following = pool.pull(self)
            if following is not None:
                self._next = following
                dot += envelope(self.session, following)
        if not pool.start(message.delivery_id):
            self._drop()
            return
        self.state = _EOM
        if data:
            self._write_both((data, dot))  # not joined: that would copy the message once more
        else:
            self._write(dot)
