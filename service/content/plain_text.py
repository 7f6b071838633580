"""HTML from strangers to plain text of bounded length, and the first image in it."""

import html
import re
import unicodedata
from html.parser import HTMLParser

import nh3

LONGEST_HTML = 50_000
"""Characters looked at: far more than any summary needs, few enough for nested markup that costs quadratic time."""

_BLOCK = re.compile(
    r"<(?=/?(?:p|br|div|li|ul|ol|dl|d[dt]|h[1-6]|tr|t[dh]|table|blockquote|pre|hr|figure|figcaption)\b)", re.IGNORECASE
)
_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that can show a text in another order than it has; a title must not be able to."""


def from_html(markup: str, longest: int) -> str:
    """The words of this HTML, tags gone, entities decoded once."""
    spaced = _BLOCK.sub(" <", markup[:LONGEST_HTML])
    return tidy(html.unescape(nh3.clean(spaced, tags=set())), longest)


def tidy(text: str, longest: int) -> str:
    """One line of printable text; cut between words, with an ellipsis, if it is longer than `longest` characters."""
    # Twice: a very long text is cut before the work and again after it.
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text[: longest * 20])
    text = " ".join("".join(c for c in text if c not in _BIDI).split())
    if len(text) <= longest:
        return text
    cut = text[: longest - 1]
    return f"{cut.rsplit(' ', 1)[0].rstrip(' ,;:.-') or cut}…"


class _FirstImage(HTMLParser):
    found: tuple[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        # A single pixel is there to count readers.
        tiny = values.get("width") in ("0", "1") or values.get("height") in ("0", "1")
        if tag == "img" and self.found is None and values.get("src") and not tiny:
            self.found = values["src"], values.get("alt", "")


def first_image(markup: str) -> tuple[str, str] | None:
    """Address (as written) and alternative text of the first image that is one."""
    if "<img" not in markup[:LONGEST_HTML].lower():
        return None
    parser = _FirstImage()
    parser.feed(markup[:LONGEST_HTML])
    return parser.found
