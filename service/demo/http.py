"""A small web server for the demo's own pages: routes, answers, caching by ETag. Not for the product.

The standard library's is enough here and starts in a tenth of the time of a framework, ten processes at once.
"""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import jinja2

PAGES = Path(__file__).parent / "pages"
LARGEST_FORM = 64 * 1024
OWN_ONLY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


@dataclass(frozen=True)
class Request:
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    """What the groups of the route's pattern matched."""
    form: Mapping[str, str] = field(default_factory=dict)
    """What a POST brought."""


@dataclass(frozen=True)
class Answer:
    body: bytes
    content_type: str = "text/html; charset=utf-8"
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)
    policy: str = OWN_ONLY
    """Content-Security-Policy."""
    changed_at: datetime | None = None
    """Last-Modified, for what is worth asking for again."""
    cacheable: bool = False
    """Whether it has an ETag and may be answered with 304."""


Handler = Callable[[Request], Answer]


def page(text: str, *, status: int = HTTPStatus.OK, policy: str = OWN_ONLY) -> Answer:
    return Answer(text.encode(), status=status, policy=policy)


def as_json(value: object, status: int = HTTPStatus.OK) -> Answer:
    return Answer(json.dumps(value, ensure_ascii=False).encode(), "application/json", status)


def not_found(what: str = "page") -> Answer:
    return Answer(f"No such {what}.\n".encode(), "text/plain; charset=utf-8", HTTPStatus.NOT_FOUND)


def see_other(location: str) -> Answer:
    """After a POST: what to look at now."""
    return Answer(b"", "text/plain", HTTPStatus.SEE_OTHER, {"Location": location})


def templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )


def page_file(name: str) -> Answer:
    """A style sheet, script or icon that lies beside the pages."""
    kinds = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
    path = PAGES / name
    return Answer(path.read_bytes(), kinds[path.suffix], cacheable=True)


class Site:
    """Patterns of paths and what answers them: `routes` GET and HEAD, `buttons` a POST from the site's own pages."""

    def __init__(self, routes: Mapping[str, Handler], buttons: Mapping[str, Handler] | None = None) -> None:
        self._routes = [(re.compile(pattern), handler) for pattern, handler in routes.items()]
        self._buttons = dict(buttons or {})

    def answer(self, target: str, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(target)
        for pattern, handler in self._routes:
            if match := pattern.fullmatch(parts.path):
                query = dict(parse_qsl(parts.query, max_num_fields=20))
                return handler(Request(parts.path, query, headers, match.groups(default="")))
        return not_found()

    def press(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """A POST. A page of somebody else's that is open in the same browser presses nothing."""
        path = urlsplit(target).path
        if headers.get("origin", "null") != f"http://{headers.get('host', '')}":
            return Answer(
                b"Only this site's own pages may do that.\n", "text/plain; charset=utf-8", HTTPStatus.FORBIDDEN
            )
        if path not in self._buttons:
            return not_found()
        form = dict(parse_qsl(body.decode(errors="replace"), max_num_fields=20))
        return self._buttons[path](Request(path, {}, headers, form=form))

    def server(self, host: str, port: int) -> ThreadingHTTPServer:
        """Bound and listening; call `serve_forever` on it."""
        server = _Server((host, port), _RequestHandler)
        server.site = self
        server.daemon_threads = True
        return server


class _Server(ThreadingHTTPServer):
    request_queue_size = 64
    allow_reuse_address = True
    site: "Site"


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Milepost-demo"
    sys_version = ""
    timeout = 30
    """Seconds that an idle connection keeps a thread."""
    server: _Server

    def do_GET(self) -> None:
        self._send(self.server.site.answer(self.path, self._sent_headers()))

    def do_POST(self) -> None:
        size = self.headers.get("Content-Length", "")
        if not size.isdigit() or int(size) > LARGEST_FORM:
            self.close_connection = True
            refused = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if size.isdigit() else HTTPStatus.LENGTH_REQUIRED
            self._send(Answer(b"", "text/plain", refused))
            return
        self._send(self.server.site.press(self.path, self._sent_headers(), self.rfile.read(int(size))))

    def _sent_headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _send(self, answer: Answer) -> None:
        headers = {
            "Content-Type": answer.content_type,
            "Content-Security-Policy": answer.policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        } | dict(answer.headers)
        status = answer.status
        if answer.cacheable:
            headers["ETag"] = f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
            if answer.changed_at:
                headers["Last-Modified"] = format_datetime(answer.changed_at.astimezone(UTC), usegmt=True)
            if headers["ETag"] in self.headers.get("If-None-Match", ""):
                status = HTTPStatus.NOT_MODIFIED
        body = b"" if status == HTTPStatus.NOT_MODIFIED else answer.body
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  the library's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Quiet: a path may hold a reader's token or address."""

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002
        sys.stderr.write(f"{format % args}\n")
