"""Where an act came from: kept with the consent event as evidence and used for nothing else (D1 #8, #10; D-20)."""

import unicodedata
from dataclasses import dataclass
from urllib.parse import urlsplit

USER_AGENT_LENGTH = 256
PAGE_LENGTH = 500
HOST_LENGTH = 270
"""A name of 253 characters, a port and some; a longer one, cut, could not be read again."""

_DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They make text read as something that it is not."""


@dataclass(frozen=True, slots=True)
class Evidence:
    ip: str | None = None
    user_agent: str | None = None
    page_url: str | None = None


def make_evidence(ip: str | None, user_agent: str | None, page_url: str | None) -> Evidence:
    """Evidence as it may be stored: printable, cut to length, page addresses without query and fragment."""
    return Evidence(ip, _printable(user_agent, USER_AGENT_LENGTH), _page(page_url))


def has_control(text: str) -> bool:
    """Whether `text` holds what no field of a form may hold: C0, C1, line separators, bidi overrides (A-16)."""
    return any(
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _DIRECTION_MARKS
        for character in text
    )


def _printable(text: str | None, length: int) -> str | None:
    return "".join("?" if has_control(character) else character for character in (text or "")[:length]).strip() or None


def _page(url: str | None) -> str | None:
    if not url or has_control(url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or len(parts.netloc) > HOST_LENGTH:
        return None
    # A query may carry anything, also what identifies the reader elsewhere.
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:PAGE_LENGTH]
