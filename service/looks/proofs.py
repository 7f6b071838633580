"""A proof as one printable page: no script, nothing loaded from anywhere, made from the exported document alone."""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from hashlib import sha256
from typing import Any
from urllib.parse import SplitResult, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from service.looks.forms import templates

SHOWN_HEADERS = ("Date", "From", "To", "Subject", "Message-ID")


def render_proof(proof: Mapping[str, Any]) -> str:
    """The page, in English; the words that people saw in the language in which they saw them."""
    exhibits = proof["exhibits"]
    forms = _forms(proof)
    html: str = (
        templates()
        .get_template("proof.html")
        .render(
            proof=proof,
            notices={sha: _markdown(notice["body"]) for sha, notice in exhibits["notices"].items()},
            forms=forms,
            policy=lambda style: _policy([style, *_styles(form.html for form in forms)]),
            mails=[_mail(mail) for subject in proof["subjects"] for mail in subject["confirmation_mails"]],
            contexts={sha: json.loads(body) for sha, body in exhibits["contexts"].items()},
            moment=_moment,
            words=_words,
            items=_items,
        )
    )
    return html


@dataclass(frozen=True, slots=True)
class _Form:
    sha: str
    slug: str
    language: str
    published_at: str
    rendering: str
    """"page": Milepost's own; "snippet": on the publisher's site, in that site's style."""
    place_known: bool
    """Whether the page that it stood on is recorded; if not, it is shown as on Milepost's own."""
    html: str


def _forms(proof: Mapping[str, Any]) -> list[_Form]:
    """Each form in each language in which somebody used it here."""
    used = {
        (consent["fields"]["8"]["value"]["version"], consent["language"], consent["fields"]["8"]["value"]["page"])
        for subject in proof["subjects"]
        for consent in subject["consents"]
        if isinstance(consent["fields"]["8"]["value"], dict)
    }
    services = {json.loads(body)["service"] for body in proof["exhibits"]["contexts"].values()}
    shown = {}
    for sha, language, page in sorted(used):
        form = proof["exhibits"]["forms"][sha]
        look = form["snapshots"].get(language)
        if look is not None:
            known = urlsplit(page).scheme in ("http", "https")
            rendering = "snippet" if known and not any(_is_within(page, service) for service in services) else "page"
            html = json.loads(look)[rendering]
            shown[sha, language, rendering, known] = _Form(
                sha, form["slug"], language, form["published_at"], rendering, known, html
            )
    return list(shown.values())


def _is_within(page: str, service: str) -> bool:
    """Whether a page is the service's: the same origin (RFC 6454), and below its path."""
    try:
        ours, theirs = urlsplit(service), urlsplit(page)
        same = _origin(ours) == _origin(theirs)
    except ValueError:  # a port that is no number, say
        return False
    below = ours.path.rstrip("/")
    return same and (theirs.path == below or theirs.path.startswith(f"{below}/"))


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _policy(styles: Sequence[str]) -> str:
    """Content Security Policy (CSP3): nothing is loaded, and no style holds but these; frames inherit it."""
    digests = dict.fromkeys(base64.b64encode(sha256(style.encode()).digest()).decode() for style in styles)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; style-src {allowed}; form-action 'none'; base-uri 'none'"


def _styles(pages: Iterable[str]) -> list[str]:
    return [style for page in pages for style in re.findall(r"<style>(.*?)</style>", page, re.DOTALL)]


def _mail(mail: Mapping[str, Any]) -> dict[str, Any]:
    message = message_from_string(mail["message"], EmailMessage, policy=default)
    plain = message.get_body(("plain",))
    return {
        "delivery": mail["delivery"],
        "sha256": mail["sha256"],
        "headers": [(name, message[name]) for name in SHOWN_HEADERS if message[name]],
        "language": message["Content-Language"] or "",
        "text": plain.get_content() if plain else "",
    }


def _markdown(body: str) -> Markup:
    """The notice's headings come below the page's own."""
    parser = MarkdownIt("commonmark", {"html": False})
    parser.add_render_rule("image", _image)
    html = parser.render(body)
    for level in (3, 2, 1):
        html = html.replace(f"<h{level}>", f"<h{level + 3}>").replace(f"</h{level}>", f"</h{level + 3}>")
    return Markup(html)  # noqa: S704 - made by a parser that lets no HTML through


def _image(_renderer: object, tokens: Sequence[Token], place: int, _options: object, _env: object) -> str:
    """Its words and its address: a page that is opened years later asks nobody for anything."""
    token = tokens[place]
    return f"[{escape(token.content)}: {escape(str(token.attrs.get('src', '')))}]"


def _moment(at: str) -> str:
    """2 March 2026, 09:02:20 UTC; what is no time stays as it is."""
    try:
        utc = datetime.fromisoformat(at).astimezone(UTC)
    except ValueError:
        return at
    return f"{utc.day} {utc:%B %Y, %H:%M:%S} UTC"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _items(value: object) -> list[tuple[str, object]] | None:
    """The rows of an object or of a list; None for a plain value."""
    if isinstance(value, Mapping):
        return [(_words(str(name)), part) for name, part in value.items()]
    if isinstance(value, list):
        return [("" if not isinstance(part, Mapping) else str(number), part) for number, part in enumerate(value, 1)]
    return None
