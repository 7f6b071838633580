"""From a name to a session on which MAIL may be said: connect, greeting, EHLO, TLS, AUTH.

Step by step, with nothing sent ahead, so nothing of ours and nothing that somebody slipped in crosses STARTTLS.
"""

import asyncio
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.domain.outcomes import Phase
from service.domain.words import RelayTls
from service.mail import smtp_limits as limits
from service.mail.smtp_replies import Reply, ReplyError, UnreadableError, read_reply, reason

READY, MORE, REFUSED = 2, 3, 5
"""RFC 5321 §4.2.1: the first digit of a reply."""
NO_SUCH_MECHANISM = 504


@dataclass(frozen=True, slots=True)
class Relay:
    """The smart host, and how to speak to it."""

    host: str
    port: int
    tls: RelayTls
    user: str | None
    password: str | None
    helo_name: str | None

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Session:
    """An open connection, and what the relay offers on it."""

    transport: asyncio.Transport
    pipelining: bool
    largest: int
    """Octets of a message (RFC 1870); 0: the relay names no limit."""
    size: bool
    dsn: bool
    eight_bit: bool
    smtputf8: bool


def tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()  # verifies the chain and the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def open_session(relay: Relay, context: ssl.SSLContext) -> Session:
    """Raises ReplyError with the phase that failed. Whoever takes the session gives its transport another protocol."""
    talk = _Talk()
    try:
        await _connect(talk, relay, context)
        offers = await _introduce(talk, relay, context)
        await _log_in(talk, relay, offers.get("AUTH", ""))
    except BaseException:
        talk.abort()
        raise
    if talk.heard:  # an answer to what was never said
        talk.abort()
        raise ReplyError(Phase.EHLO, None, limits.UNREADABLE)
    limit = offers.get("SIZE", "")
    return Session(
        transport=talk.transport,
        pipelining="PIPELINING" in offers,
        largest=int(limit) if limit.isdecimal() else 0,
        size="SIZE" in offers,
        dsn="DSN" in offers,
        eight_bit="8BITMIME" in offers,
        smtputf8="SMTPUTF8" in offers and "8BITMIME" in offers,  # RFC 6531 §3.1: not the one without the other
    )


class _Talk(asyncio.Protocol):
    """A dialogue in which each command waits for its answer."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.heard = b""
        self.encrypted = False
        self._lost: BaseException | None = None
        self._over = False
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost, self._over = exc, True
        self._news.set()

    def abort(self) -> None:
        if hasattr(self, "transport"):
            self.transport.abort()

    async def ask(self, phase: Phase, line: str) -> Reply:
        self.transport.write(line.encode() + b"\r\n")
        return await self.hear(phase)

    async def hear(self, phase: Phase) -> Reply:
        try:
            async with asyncio.timeout(limits.reply_seconds(phase)):
                while (reply := read_reply(self.heard)) is None:
                    if self._over:
                        raise ReplyError(phase, None, reason(self._lost))
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise ReplyError(phase, None, limits.NO_ANSWER) from None
        except UnreadableError:
            raise ReplyError(phase, None, limits.UNREADABLE) from None
        self.heard = self.heard[reply.end :]
        return reply

    async def require(self, phase: Phase, line: str | None) -> Reply:
        """Say `line`, if any; raises ReplyError for every answer but a 2xx."""
        reply = await (self.hear(phase) if line is None else self.ask(phase, line))
        if reply.code // 100 != READY:
            raise _error(phase, reply)
        return reply


async def _connect(talk: _Talk, relay: Relay, context: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    abandoned = threading.Event()
    dialled: list[socket.socket] = []

    def dial() -> socket.socket:
        # Python's own socket: the egress guard does not see those that a loop opens in native code (D-31).
        connected = socket.create_connection((relay.host, relay.port), limits.CONNECT_SECONDS)
        dialled.append(connected)
        if abandoned.is_set():
            connected.close()
            raise ConnectionAbortedError
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setblocking(False)
        return connected

    with _phase(Phase.CONNECT):
        try:
            connected = await loop.run_in_executor(None, dial)
        except asyncio.CancelledError:
            abandoned.set()
            for late in dialled:
                late.close()
            raise
        try:
            if relay.tls is RelayTls.IMPLICIT:
                talk.encrypted = True
                with _phase(Phase.TLS):
                    await loop.create_connection(
                        lambda: talk,
                        sock=connected,
                        ssl=context,
                        server_hostname=relay.host,
                        ssl_handshake_timeout=limits.OTHER_REPLY_SECONDS,
                    )
            else:
                await loop.create_connection(lambda: talk, sock=connected)
        except BaseException:
            connected.close()
            raise
    await talk.require(Phase.CONNECT, None)


async def _introduce(talk: _Talk, relay: Relay, context: ssl.SSLContext) -> dict[str, str]:
    """EHLO, and TLS where it is wanted. Returns what the relay offers."""
    loop = asyncio.get_running_loop()
    name = relay.helo_name
    if name is None:
        name = await loop.run_in_executor(None, _own_name)  # it may have to ask a name server
    offers = await _say_hello(talk, name)
    if relay.tls not in (RelayTls.REQUIRED, RelayTls.OPPORTUNISTIC):
        return offers
    if "STARTTLS" not in offers:
        if relay.tls is RelayTls.REQUIRED:
            raise ReplyError(Phase.TLS, None, "The relay offers no STARTTLS, and relay_tls=required forbids less.")
        return offers
    await talk.require(Phase.TLS, "STARTTLS")
    if talk.heard:  # said by nobody we know, to be taken for an answer within TLS
        raise ReplyError(Phase.TLS, None, "Something was said in clear after the relay's answer to STARTTLS.")
    with _phase(Phase.TLS):
        encrypted = await loop.start_tls(
            talk.transport,
            talk,
            context,
            server_hostname=relay.host,
            ssl_handshake_timeout=limits.OTHER_REPLY_SECONDS,
        )
        if encrypted is None:
            raise ConnectionResetError(limits.CLOSED)
    talk.transport, talk.encrypted = encrypted, True
    talk.heard = b""
    return await _say_hello(talk, name)  # RFC 3207 §4.2: what was said before does not count


async def _say_hello(talk: _Talk, name: str) -> dict[str, str]:
    """What the relay offers: keyword → parameters."""
    reply = await talk.ask(Phase.EHLO, f"EHLO {name}")
    if reply.code // 100 == REFUSED:
        await talk.require(Phase.EHLO, f"HELO {name}")
        return {}
    if reply.code // 100 != READY:
        raise _error(Phase.EHLO, reply)
    offers: dict[str, str] = {}
    for line in reply.text.decode("utf-8", "replace").split("\n")[1:]:
        keyword, _, parameters = line.strip().upper().replace("AUTH=", "AUTH ").partition(" ")
        offers[keyword] = f"{offers.get(keyword, '')} {parameters}".strip()
    return offers


async def _log_in(talk: _Talk, relay: Relay, mechanisms: str) -> None:
    if relay.user is None or relay.password is None:
        return
    if not talk.encrypted and relay.tls is not RelayTls.NONE:
        raise ReplyError(Phase.AUTH, None, "The password is not said over a connection that is not encrypted.")
    offered = mechanisms.split()
    if "PLAIN" in offered:  # RFC 4616
        reply = await talk.ask(Phase.AUTH, f"AUTH PLAIN {_b64(f'{chr(0)}{relay.user}{chr(0)}{relay.password}')}")
        if reply.code != NO_SUCH_MECHANISM or "LOGIN" not in offered:
            _check_login(reply)
            return
    if "LOGIN" not in offered:
        raise ReplyError(Phase.AUTH, None, "The relay offers neither AUTH PLAIN nor AUTH LOGIN.")
    for line in ("AUTH LOGIN", _b64(relay.user)):
        reply = await talk.ask(Phase.AUTH, line)
        if reply.code // 100 != MORE:
            raise _error(Phase.AUTH, reply)
    _check_login(await talk.ask(Phase.AUTH, _b64(relay.password)))


def _check_login(reply: Reply) -> None:
    if reply.code // 100 != READY:
        raise _error(Phase.AUTH, reply)


def _b64(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")


def _error(phase: Phase, reply: Reply) -> ReplyError:
    return ReplyError(phase, reply.code, reply.text.decode("utf-8", "replace"))


def _own_name() -> str:
    """A-46: the full name of this host; where it has none, an address literal (RFC 5321 §4.1.4)."""
    name = socket.getfqdn()
    return name if "." in name else "[127.0.0.1]"


@contextmanager
def _phase(phase: Phase) -> Iterator[None]:
    """Turns what the socket and TLS raise into a reply of this phase."""
    try:
        yield
    except ssl.SSLError as error:
        raise ReplyError(Phase.TLS, None, reason(error)) from None
    except OSError as error:
        raise ReplyError(phase, None, reason(error)) from None
