"""How much anybody may send us before we stop listening."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

READERS = 64 * 1024
"""A form with every field filled in has 2 KiB."""
OPERATORS = 1024 * 1024
"""A campaign's text comes through the API."""


class BodyLimit:
    """Refuses while reading, so that the refusal is a page like any other (Starlette's own answers in plain text)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = OPERATORS if scope["path"].startswith("/api/") else READERS
        declared = Headers(scope=scope).get("content-length", "")
        total = int(declared) if declared.isdecimal() and int(declared) > limit else 0

        async def receive_limited() -> Message:
            nonlocal total
            message = await receive() if total <= limit else {"type": "http.disconnect"}
            if message["type"] == "http.request":
                total += len(message.get("body", b""))
            if total > limit:
                raise HTTPException(413)
            return message

        await self.app(scope, receive_limited, send)
