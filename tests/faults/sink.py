"""An SMTP server that notes in a file, before it answers, whom it has taken: `python -m tests.faults.sink PORT FILE`.

A line is: recipient, Message-ID, Unix time.

`--hold-at N`: the N-th message is noted and never answered, so that a test can kill whoever waits for the answer.
"""

import argparse
import asyncio
import os
import re
import time

from aiosmtpd.smtp import SMTP, Envelope, Session

MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]+)>", re.MULTILINE | re.IGNORECASE)


class Handler:
    def __init__(self, file: str, hold_at: int | None) -> None:
        self.file = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self.hold_at = hold_at
        self.taken = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        found = MESSAGE_ID.search(envelope.content)
        message_id = found[1].decode() if found else "none"
        for recipient in envelope.rcpt_tos:
            os.write(self.file, f"{recipient} {message_id} {time.time():.3f}\n".encode())
        self.taken += 1
        if self.taken == self.hold_at:
            await asyncio.Event().wait()
        return "250 2.0.0 taken"


async def serve(port: int, file: str, hold_at: int | None) -> None:
    handler = Handler(file, hold_at)
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
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.file, given.hold_at))
