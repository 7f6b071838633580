"""The last look at a mail before it leaves: it names no foreign host, and its links are what they look like.

Reads the rendered HTML as a client would, parts for Outlook in conditional comments included, so that what a
template, a library or an editor let slip is found here (invariant 6, design §7).
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from html.parser import HTMLParser
from urllib.parse import urlsplit

from service.mail.links import host_of

LARGEST_HTML = 102_000
"""Bytes; Gmail cuts a mail off there (A-43)."""

_LOADS = frozenset({"src", "srcset", "background", "poster", "data", "action", "formaction", "codebase", "manifest"})
_FORBIDDEN_TAGS = frozenset({"script", "iframe", "object", "embed", "form", "base", "link", "svg", "video", "audio"})
"""A-39, and whatever else loads or acts."""
_CONDITIONAL = re.compile(r"<!--\[if[^\]]*\]>(<!-->)?|(<!--)?<!\[endif\]-->")
_CSS_URL = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""", re.IGNORECASE)
_LENGTH = re.compile(r"(?<![-\w])(?:max-)?(?:width|height)\s*:\s*([\d.]+)\s*(?:px|pt)?\s*(?:;|!|$)", re.IGNORECASE)
_WEB = ("http", "https")

SMALLEST_IMAGE = 3
"""Pixels. What is smaller shows nothing and only counts who looks (D-24)."""


class LintError(ValueError):
    """The mail must not leave. The message says what is wrong with it."""


def check_html(
    html: str, own_hosts: frozenset[str], links: Iterable[str], personal: Mapping[str, str] | None = None
) -> None:
    """Raises `LintError`. `links` are what articles and editors brought: hosts to link to, never to load from.

    `personal` says what stands for the reader's own words and links while the rest is read: reading costs more than
    rendering, so what many readers' mails have in common is read once.
    """
    if (size := len(html.encode())) > LARGEST_HTML:
        raise LintError(f"The mail has {size:,} bytes of HTML; mail clients cut it off at {LARGEST_HTML:,}.")
    for own, stand_in in (personal or {}).items():
        html = html.replace(own, stand_in)
    _read(html, own_hosts, frozenset(links))


def check_block(html: str, own_hosts: frozenset[str], links: Iterable[str]) -> None:
    """The same for a part of a mail, which has to end as it began: it can hide nothing behind it."""
    reader = _Reader(own_hosts, own_hosts | {host for link in links if (host := host_of(link))})
    reader.feed(_CONDITIONAL.sub("", html) + "<br>")
    if reader.is_within():
        raise LintError("A part of the mail ends within an element that reaches over what follows.")
    reader.close()


@lru_cache(maxsize=128)
def _read(html: str, own_hosts: frozenset[str], links: frozenset[str]) -> None:
    reader = _Reader(own_hosts, own_hosts | {host for link in links if (host := host_of(link))})
    reader.feed(_CONDITIONAL.sub("", html))
    reader.close()


class _Reader(HTMLParser):
    def __init__(self, loadable: frozenset[str], linkable: frozenset[str]) -> None:
        super().__init__()
        self._loadable = loadable
        self._linkable = linkable
        self._href: str | None = None
        self._link_text = ""
        self._in_style = False

    def is_within(self) -> bool:
        """Whether what is read next would be taken for something else than by itself."""
        return bool(self.rawdata or self.cdata_elem or self._href is not None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _FORBIDDEN_TAGS:
            raise LintError(f"The mail holds a <{tag}> element, which mails may not hold.")
        self._in_style = tag == "style"
        if tag == "img":
            self._check_size(dict(attrs))
        for name, value in attrs:
            if name.startswith("on"):
                raise LintError(f"The mail holds a script in an attribute ({name}).")
            if name in _LOADS:
                self._check_loads(part.split()[0] for part in (value or "").split(",") if part.strip())
            elif name == "style":
                self._check_loads(_CSS_URL.findall(value or ""))
            elif name == "href" or name.endswith(":href"):
                self._check_link(value or "")
                self._href, self._link_text = value, ""
            elif name == "http-equiv" and (value or "").lower() == "refresh":
                raise LintError("The mail would lead the reader away by itself (meta refresh).")

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False
        if tag == "a" and self._href is not None:
            self._check_looks(self._link_text.strip(), self._href)
            self._href = None

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self._check_loads(_CSS_URL.findall(data))
        self._link_text += data

    def _check_loads(self, urls: Iterable[str]) -> None:
        for url in urls:
            if _scheme_of(url) not in _WEB or host_of(url) not in self._loadable:
                raise LintError(f"The mail would load {url}, which is not on a host of the publisher's.")
            if urlsplit(url).query:
                raise LintError(f"The mail would load {url}; what follows the ? could tell who opens it (D-24).")

    def _check_size(self, attributes: dict[str, str | None]) -> None:
        given = [attributes.get("width") or "", attributes.get("height") or ""]
        lengths = [
            float(found[0]) for value in given if (found := re.match(r"\d+(?:\.\d+)?(?!\d*\s*%)", value.strip()))
        ]
        lengths += [float(length) for length in _LENGTH.findall(attributes.get("style") or "") if length.strip(".")]
        if any(length < SMALLEST_IMAGE for length in lengths):
            raise LintError("The mail holds an image that is too small to be seen, as tracking pixels are (D-24).")

    def _check_link(self, url: str) -> None:
        scheme = _scheme_of(url)
        if scheme == "mailto":
            return
        if scheme not in _WEB or host_of(url) not in self._linkable:
            raise LintError(f"The mail links to {url}, which neither the publisher, an article nor an editor named.")

    def _check_looks(self, text: str, href: str) -> None:
        """Text that looks like a URL leads where it says (A-41)."""
        if text.startswith(("http://", "https://", "www.")) and " " not in text:
            shown = host_of(text if "://" in text else f"https://{text}")
            if shown != host_of(href):
                raise LintError(f"The mail shows {text} as a link, but it leads to {href}.")


def _scheme_of(url: str) -> str | None:
    """None for what is no URL at all, like "https://[broken"."""
    try:
        return urlsplit(url).scheme
    except ValueError:
        return None
