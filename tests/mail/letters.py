"""Letters for the mail tests, and how a stranger's parser reads what became of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

from hypothesis import strategies as st

from service.domain.letters import Letter, Publisher
from service.domain.outcomes import Message
from service.domain.tokens import Keys
from service.domain.words import LIST_MAIL, Language, MailKind
from service.mail.samples import load_sample
from service.mail.writer import Writer

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEYS = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu")
LONG_HOST = "newsletter-about-training.departments.fjellsko-sport.example"
"""Sixty characters: the standard library's generator would fold its links in two (A-15)."""
PUBLISHER = Publisher(
    name="Fjellsko Sport AS",
    postal_address="Løypa 1, 0000 Fjellby, Norway",
    contact="privacy@fjellsko.example",
    site_url="https://www.fjellsko.example",
    public_url="https://news.fjellsko.example",
    sender_name="Fjellsko Training Hub",
    sender_address="training@fjellsko.example",
    reply_to="coach@fjellsko.example",
    bounce_domain="bounces.fjellsko.example",
    own_hosts=frozenset({"news.fjellsko.example"}),
)
WRITER = Writer(PUBLISHER, KEYS)
"""Building one compiles all templates, so most tests share it."""
EVERY_MAIL = [(kind, language) for kind in MailKind for language in Language]
EVERY_LIST_MAIL = [(kind, language) for kind, language in EVERY_MAIL if kind in LIST_MAIL]
BREAKING = ["\r\n", *"\r\n\0\x0b\x0c\x1b\x1c\x1e\x7f\x85\x9f\u2028\u2029"]
"""CR, LF and NUL; C0 and C1 (U+0085 among them); what str.splitlines splits at (A-16)."""

_STRANGE = st.characters() | st.sampled_from(sorted(set("".join(BREAKING)) | set('=?_ <>,;:"@()\\.äø漢🏃')))
text = st.text(_STRANGE, max_size=90)
"""Anything at all, dense in what breaks headers; lone surrogates are among it."""
hostile = st.builds(
    lambda before, breaking, name, after: f"{before}{breaking}{name}: {after}",
    text,
    st.sampled_from(BREAKING),
    st.sampled_from(["Bcc", "X-Injected", "Subject", "List-Unsubscribe", "Content-Type"]),
    text,
)
"""What somebody types who wants a header of his own."""


def a_letter(kind: MailKind, language: Language = Language.EN, **changes: Any) -> Letter:
    """The sample letter of this kind, changed."""
    return replace(load_sample(kind, language), **changes)


def parsed(message: Message | bytes) -> EmailMessage:
    """Read by the standard library's parser, which must have nothing to complain about."""
    data = message if isinstance(message, bytes) else message.data
    mail = message_from_bytes(data, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    for part in mail.walk():
        assert not part.defects, part.defects
    return mail


def parts(message: Message) -> tuple[str, str]:
    """The decoded text and HTML, with the line ends of the templates."""
    plain, html = parsed(message).iter_parts()
    assert (plain.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    return plain.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n")


def raw_field(message: Message, name: str) -> str:
    """The field as its bytes stand there, unfolded by nobody."""
    found = re.findall(rf"(?im)^{name}: ((?:.*\r\n)(?:[ \t].*\r\n)*)", head(message))
    assert len(found) == 1, f"{len(found)} × {name}"
    return str(found[0]).removesuffix("\r\n")


def head(message: Message) -> str:
    return message.data.partition(b"\r\n\r\n")[0].decode("ascii") + "\r\n"


def links_of_text(body: str) -> set[str]:
    return {address.rstrip(".,;:!?)") for address in re.findall(r"https?://\S+", body)}


def links_of_html(html: str) -> set[str]:
    """Where a reader can be led; mailto left out, which the text part shows as an address."""
    hrefs = (element.attributes.get("href") for element in elements(html) if element.tag == "a")
    return {href for href in hrefs if href and not href.startswith("mailto:")}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    path: tuple["Element", ...]
    """Its ancestors, the outermost first."""
    text: str = ""
    """Its own, without that of the elements in it."""

    @property
    def style(self) -> dict[str, str]:
        pairs = (part.split(":", 1) for part in self.attributes.get("style", "").split(";") if ":" in part)
        return {name.strip(): value.strip() for name, value in pairs}


_VOID = frozenset({"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Element] = []
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(self.open))
        self.found.append(element)
        if tag not in _VOID:
            self.open.append(element)
        elif tag == "br":
            self.handle_data("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1].text += data


def elements(html: str, *, outlook: bool = False) -> Iterator[Element]:
    """As most clients read it; or as Outlook does, to whom the conditional comments are markup."""
    if outlook:
        html = re.sub(r"<!--\[if[^\]]*\]>(<!-->)?|(<!--)?<!\[endif\]-->", "", html)
    tree = _Tree()
    tree.feed(html)
    tree.close()
    return iter(tree.found)
