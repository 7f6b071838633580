"""The mail catcher: takes every mail by real SMTP, passes none on, and shows them on a page and as JSON."""

import asyncio
import contextlib
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from service.demo.catcher_pages import catcher_site
from service.demo.mailbox import Mailbox
from service.errors import ConfigurationError

MESSAGE_BYTES = 25 * 1024 * 1024
"""Said in SIZE; more than any mail of ours, as much as large providers take."""


class Catching:
    """What aiosmtpd asks: every recipient is welcome, and 250 comes after the mail is on disk."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        # A tenth of a millisecond in SQLite's write-ahead log: not worth a thread.
        self._mailbox.add(envelope.mail_from or "", envelope.rcpt_tos, _bytes(envelope))
        return "250 2.0.0 caught"


def _bytes(envelope: Envelope) -> bytes:
    content = envelope.original_content
    return content if content is not None else b""


async def listen(mailbox: Mailbox, host: str, port: int) -> asyncio.Server:
    """An SMTP server on `port`. Raises ConfigurationError if somebody else has it."""
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        return SMTP(
            Catching(mailbox), data_size_limit=MESSAGE_BYTES, hostname="catcher.localhost", ident="Milepost catcher"
        )

    try:
        return await loop.create_server(protocol, host, port, backlog=256)
    except OSError as error:
        raise ConfigurationError(
            f"The catcher cannot listen on {host}:{port} ({error.strerror}); nothing was started. Choose --smtp-port."
        ) from None


def serve(database: Path, host: str, smtp_port: int, http_port: int) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigurationError if a port is taken."""
    try:
        pages = catcher_site(database).server(host, http_port)
    except OSError as error:
        raise ConfigurationError(
            f"The catcher cannot listen on {host}:{http_port} ({error.strerror}); nothing was started. "
            "Choose --http-port."
        ) from None
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    try:
        asyncio.run(_serve(database, host, smtp_port, http_port))
    finally:
        pages.shutdown()
        pages.server_close()


async def _serve(database: Path, host: str, smtp_port: int, http_port: int) -> None:
    mailbox = Mailbox(database)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_quiet_about_closed_connections)
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stopped.set)
    server = await listen(mailbox, host, smtp_port)
    sys.stderr.write(f"Catching mail on {host}:{smtp_port}; showing it on http://{host}:{http_port}\n")
    sys.stderr.flush()
    await stopped.wait()
    server.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(server.wait_closed(), 2)
    mailbox.close()


def _quiet_about_closed_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A client that is killed while it sends is no error of ours."""
    if not isinstance(context.get("exception"), ConnectionError):
        loop.default_exception_handler(context)
