"""An SMTP server that notes in a file, before it answers, whom it has taken: `python -m tests.faults.sink PORT FILE`.

A line is: recipient, Message-ID, Unix time.

`--hold-at N [--hold-phase mail|rcpt|eom]`: the N-th message is never answered in that phase, so that a test can kill
whoever waits for the answer. At eom it is noted first: the sink has it. On other connections everything goes on.
"""

import argparse
import asyncio
import os
import re
import time

from aiosmtpd.smtp import SMTP, Envelope, Session

MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]+)>", re.MULTILINE | re.IGNORECASE)


class Handler:
    def __init__(self, file: str, hold_at: int | None, hold_phase: str) -> None:
        self.file = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self.hold_at = hold_at
        self.hold_phase = hold_phase
        self.begun = 0
        self.held: Envelope | None = None

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.begun += 1
        if self.begun == self.hold_at:
            self.held = envelope
        await self.hold("mail", envelope)
        envelope.mail_from = address
        return "250 2.1.0 ok"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await self.hold("rcpt", envelope)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        found = MESSAGE_ID.search(envelope.content)
        message_id = found[1].decode() if found else "none"
        for recipient in envelope.rcpt_tos:
            os.write(self.file, f"{recipient} {message_id} {time.time():.3f}\n".encode())
        await self.hold("eom", envelope)
        return "250 2.0.0 taken"

    async def hold(self, phase: str, envelope: Envelope) -> None:
        if phase == self.hold_phase and envelope is self.held:
            print("holding", *envelope.rcpt_tos, flush=True)  # noqa: T201
            await asyncio.Event().wait()


async def serve(port: int, handler: Handler) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="sink.example"), "127.0.0.1", port
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("file")
    parser.add_argument("--hold-at", type=int)
    parser.add_argument("--hold-phase", default="eom")
    given = parser.parse_args()
    asyncio.run(serve(given.port, Handler(given.file, given.hold_at, given.hold_phase)))
