"""Scripts on the publisher's own pages may send sign-ups; nobody else's may (E-12)."""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS = ("/subscribe", "/subscribe/token")


class OwnOriginsOnly:
    """Small enough to be read: Starlette's would open every path of the application."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str]) -> None:
        self.app = app
        self.origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in PATHS or not self.origins:
            await self.app(scope, receive, send)
            return
        origin = Headers(scope=scope).get("origin", "")
        allowed = {"Access-Control-Allow-Origin": origin} if origin in self.origins else {}

        if scope["method"] == "OPTIONS":
            preflight = {
                "Access-Control-Allow-Methods": "GET, POST",
                "Access-Control-Allow-Headers": "Content-Type",
                "Access-Control-Max-Age": "600",
            }
            headers = {"Vary": "Origin"} | (allowed | preflight if allowed else {})
            await Response(status_code=204 if allowed else 403, headers=headers)(scope, receive, send)
            return

        async def send_with_origin(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                headers.update(allowed)
            await send(message)

        await self.app(scope, receive, send_with_origin)
