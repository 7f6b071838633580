"""A proof as one printable page: no script, nothing loaded from anywhere, made from the exported document alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from service.looks.forms import templates

SHOWN_HEADERS = ("Date", "From", "To", "Subject", "Message-ID")


def render_proof(proof: Mapping[str, Any]) -> str:
    """The page, in English; the words that people saw in the language in which they saw them."""
    exhibits = proof["exhibits"]
    html: str = (
        templates()
        .get_template("proof.html")
        .render(
            proof=proof,
            notices={sha: _markdown(notice["body"]) for sha, notice in exhibits["notices"].items()},
            forms=_forms(proof),
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
            rendering = "page" if page.startswith(tuple(services)) or not page.startswith("http") else "snippet"
            html = json.loads(look)[rendering]
            shown[sha, language, rendering] = _Form(sha, form["slug"], language, form["published_at"], rendering, html)
    return list(shown.values())


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
    html = parser.render(body)
    for level in (3, 2, 1):
        html = html.replace(f"<h{level}>", f"<h{level + 3}>").replace(f"</h{level}>", f"</h{level + 3}>")
    return Markup(html)  # noqa: S704 - made by a parser that lets no HTML through


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
