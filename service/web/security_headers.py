"""What every answer tells the browser: load nothing of anybody else's, be framed by nobody, remember nothing (D-30)."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; connect-src 'self'"
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",  # a token in a path never reaches another site
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Set unless the handler said otherwise (only the style sheet may be kept)."""

UNLISTED = ("/u/", "/c/", "/p/", "/a/", "/r/", "/confirm/", "/subscribe/")
"""Paths that no search engine should know."""

TWO_YEARS = 63_072_000
REFUSED = 400


def headers_for(path: str, *, https: bool) -> dict[str, str]:
    """What an answer at this path says, whoever gives it."""
    headers = dict(HEADERS)
    if https:
        headers["Strict-Transport-Security"] = f"max-age={TWO_YEARS}"
    if path.startswith(UNLISTED):
        headers["X-Robots-Tag"] = "noindex, nofollow"
    return headers


class SecurityHeaders:
    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self.app = app
        self.https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"].startswith("/static/") and message["status"] < REFUSED:
                    headers["Cache-Control"] = "public, max-age=600"
                for name, value in headers_for(scope["path"], https=self.https).items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)
