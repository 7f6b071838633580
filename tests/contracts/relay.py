"""A real SMTP server (aiosmtpd) in this process that answers as a script says, by recipient."""

import asyncio
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiosmtpd.smtp import SMTP, Envelope, Session

from service.domain.outcomes import Phase
from tests.usecases.sending import Script


@dataclass
class Taken:
    rcpt_to: str
    mail_from: str
    data: bytes


@dataclass
class ScriptedRelay:
    """`script` as for MemoryTransport. `options` are further options of aiosmtpd's SMTP class."""

    script: Script
    tls_context: ssl.SSLContext | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    """What was said, in order, over all connections; "connect" for each new one."""
    peers: list[tuple[str, str | None]] = field(default_factory=list)
    """EHLO name and TLS version of each MAIL."""
    refuse_next_mail: bool = False
    """Whether the next MAIL is answered with 421, and the connection closed."""
    _connections: list[SMTP] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def hang_up(self) -> None:
        """Close every open connection from this side, as a relay does with idle ones."""
        asyncio.run_coroutine_threadsafe(self._close_connections(), self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(self._connected, "127.0.0.1", 0)

    def _connected(self) -> SMTP:
        self.commands.append("connect")
        smtp = _Smtp(self, hostname="relay.example", tls_context=self.tls_context, loop=self._loop, **self.options)
        self._connections.append(smtp)
        return smtp

    async def _close_connections(self) -> None:
        for smtp in self._connections:
            if smtp.transport is not None:
                smtp.transport.close()

    async def _end(self) -> None:
        self._server.close()
        await self._close_connections()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    # aiosmtpd's handler

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.commands.append("EHLO")
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.commands.append("MAIL")
        protocol = server.transport.get_extra_info("ssl_object")
        self.peers.append((session.host_name or "", protocol.version() if protocol else None))
        if self.refuse_next_mail:
            self.refuse_next_mail = False
            server.transport.write(b"421 4.7.0 too many on this connection\r\n")
            server.transport.close()
        if answer := self._answer(address, Phase.MAIL):
            return answer
        envelope.mail_from = address
        return "250 2.1.0 ok"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.commands.append("RCPT")
        answer = self._answer(address, Phase.RCPT)
        if answer:
            if answer.startswith("421"):
                server.transport.write(answer.encode() + b"\r\n")
                server.transport.close()
            return answer
        if self.script.get(address, (None,))[0] is Phase.DATA:
            server.refuse_data = self._answer(address, Phase.DATA)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_RSET(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.commands.append("RSET")
        return "250 2.0.0 ok"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.commands.append("QUIT")
        return "221 2.0.0 bye"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str | None:  # noqa: N802
        (recipient,) = envelope.rcpt_tos
        self.commands.append("DATA")
        phase, code, _, _ = self.script.get(recipient, (Phase.EOM, 250, None, ""))
        if phase is Phase.EOM and (code is None or code < 300):
            self.taken.append(Taken(recipient, envelope.mail_from or "", envelope.original_content or b""))
        if phase is Phase.EOM and code is None:
            server.transport.abort()
            return None
        return self._answer(recipient, Phase.EOM) or "250 2.0.0 taken"

    def _answer(self, address: str, phase: Phase) -> str | None:
        scripted, code, enhanced, text = self.script.get(address, (None, None, None, ""))
        if scripted is not phase or code is None:
            return None
        lines = text.split("\n")
        said = [
            f"{code}{'-' if line is not lines[-1] else ' '}{f'{enhanced} ' if enhanced else ''}{line}" for line in lines
        ]
        return "\r\n".join(said)


class _Smtp(SMTP):
    refuse_data: str | None = None

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        refusal, self.refuse_data = self.refuse_data, None
        if refusal:
            await self.push(refusal)
            return
        await super().smtp_DATA(arg)
