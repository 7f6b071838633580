"""RSS 2.0 and Atom to `FeedItem`s: every address absolute, every text plain. Decides nothing about articles."""

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import feedparser

from service.content import media, plain_text, xml_guard
from service.domain.articles import FeedItem
from service.errors import Kind, ServiceError

LONGEST_TITLE = 200
LONGEST_SUMMARY = 600
LONGEST_AUTHOR = 100
LONGEST_ALT = 250

_HTML = ("text/html", "application/xhtml+xml")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]|$)")
_LEAP_SECOND = re.compile(r"(\d\d:\d\d:)60")
_ADDRESS = re.compile(r"\S+@\S+")
_PARSER_ERRORS = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)
"""What feedparser raises when a well-formed document is not what it expects; a feed must not stop the others."""

Entry = dict[str, Any]
"""feedparser's own dictionaries."""


def parse_feed(body: bytes, *, location: str, charset: str | None = None) -> list[FeedItem]:
    """The items in the order of the feed. Raises ServiceError (INVALID) for what is no feed that can be trusted.

    `location` is where the feed came from; addresses within it are relative to that, or for a file to the feed's site.
    """
    document = xml_guard.decode(body, charset).encode()
    xml_guard.check(document)
    document, alternatives = media.take_alternatives(document)
    parsed = _parse(document)
    channel, atom = parsed.feed, parsed.version.startswith("atom")
    site = channel.get("link", "")
    base = location if urlsplit(location).scheme in ("http", "https") else site
    return [_item(entry, base, channel.get("language"), alternatives, atom=atom) for entry in parsed.entries]


def _parse(document: bytes) -> Any:
    try:
        parsed = feedparser.parse(
            io.BytesIO(document),
            # Cleaning and resolving are ours; no location, or GUIDs would change with the feed's address.
            sanitize_html=False,
            resolve_relative_uris=False,
            response_headers={"content-type": "application/xml; charset=utf-8"},
        )
    except _PARSER_ERRORS as error:
        raise _unreadable(type(error).__name__) from error
    if parsed.bozo:  # items could be missing
        raise _unreadable(str(parsed.bozo_exception)[:200])
    return parsed


def _unreadable(reason: str) -> ServiceError:
    return ServiceError(
        Kind.INVALID,
        "feed_broken",
        f"The feed cannot be read: {reason}. Nothing was changed. Have its publisher mend it.",
    )


def _item(
    entry: Entry, base: str, channel_language: str | None, alternatives: Mapping[str, str], *, atom: bool
) -> FeedItem:
    details = [entry.get("summary_detail"), *entry.get("content", [])]
    bodies = [detail for detail in details if detail and detail.get("value", "").strip()]
    image = _image(entry, base, bodies, alternatives)
    published, published_at = _published(entry)
    return FeedItem(
        guid=entry.get("id", "").strip() or None,
        url=_url(entry, base),
        title=_text(entry.get("title_detail"), LONGEST_TITLE, atom=atom),
        summary=next((text for b in bodies if (text := _text(b, LONGEST_SUMMARY, atom=atom))), ""),
        author=_author(entry, atom=atom),
        image_url=image[0] if image else None,
        image_alt=(plain_text.tidy(image[1], LONGEST_ALT) or None) if image else None,
        language=_language(entry, bodies) or channel_language,
        published=published,
        published_at=published_at,
        categories=tuple(dict.fromkeys(_categories(entry))),
    )


def _text(detail: Entry | None, longest: int, *, atom: bool) -> str:
    if not detail:
        return ""
    value: str = detail.get("value", "")
    # Atom says what is HTML (RFC 4287 §3.1); in RSS everybody guesses.
    if detail.get("type") in _HTML or (not atom and _TAG.search(value[: plain_text.LONGEST_HTML])):
        return plain_text.from_html(value, longest)
    return plain_text.tidy(value, longest)


def _url(entry: Entry, base: str) -> str | None:
    if entry.get("links"):
        return _absolute(base, entry, entry.get("link"))
    # RSS: a GUID that is an address, and no link besides it.
    guid: str = entry.get("id", "").strip()
    return guid if _scheme(guid) in ("http", "https") else None


def _absolute(base: str, entry: Entry, address: str | None) -> str | None:
    """`address` within this entry: relative to xml:base, and that to where the feed came from (RFC 3986 §5.1)."""
    if not address or not address.strip():
        return None
    inner: str = (entry.get("title_detail") or {}).get("base") or ""
    try:
        return urljoin(urljoin(base, inner), address.strip())
    except ValueError:
        return address


def _scheme(address: str) -> str:
    """The scheme of an address, or nothing for what is none."""
    try:
        return urlsplit(address).scheme
    except ValueError:
        return ""


def _published(entry: Entry) -> tuple[str | None, datetime | None]:
    """When it was published or, failing that, updated: as written, and as a time if it can be understood."""
    written = None
    for key in ("published", "updated", "created"):
        if key not in entry:
            continue
        written = written or str(entry[key]).strip()
        if moment := read_date(str(entry[key])):
            return written, moment
    return written or None, None


def read_date(written: str) -> datetime | None:
    """RFC 5322 (RSS) or RFC 3339 (Atom), in UTC; None for anything else.

    Strict on purpose: feedparser takes "10:00" for today and the 13th month for January.
    """
    written = _LEAP_SECOND.sub(r"\g<1>59", written.strip())
    try:
        moment = datetime.fromisoformat(written) if _ISO.match(written) else parsedate_to_datetime(written)
        # RSS without a zone: UTC, as everybody reads it.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _author(entry: Entry, *, atom: bool) -> str | None:
    """Names only: nobody's address belongs into a mail to thousands."""
    people = entry.get("authors") or []
    names = [p["name"] for p in people if p.get("name") and (atom or "email" not in p)]
    written = ", ".join(names) if names else _ADDRESS.sub(" ", str(entry.get("author", "")))
    return plain_text.from_html(written, LONGEST_AUTHOR).strip(" ()<>,;") or None


def _categories(entry: Entry) -> Iterator[str]:
    for tag in entry.get("tags") or []:
        for key in ("term", "label"):
            if tag.get(key) and (text := plain_text.tidy(tag[key], LONGEST_TITLE)):
                yield text


def _language(entry: Entry, bodies: Iterable[Entry]) -> str | None:
    """dc:language, or the xml:lang that is in force."""
    title = entry.get("title_detail") or {}
    return entry.get("language") or next((d["language"] for d in (title, *bodies) if d.get("language")), None)


def _image(entry: Entry, base: str, bodies: list[Entry], alternatives: Mapping[str, str]) -> tuple[str, str] | None:
    """Address and alternative text: what the feed offers as an image, else the first one in the text."""
    offered = [link.get("href") for link in entry.get("links") or [] if _is_image(link, "enclosure")]
    offered += [media.get("url") for media in entry.get("media_content") or [] if _is_image(media, None)]
    offered += [media.get("url") for media in entry.get("media_thumbnail") or []]
    for address in offered:
        if absolute := _absolute(base, entry, address):
            return absolute, alternatives.get(address or "", "")
    for body in bodies:
        if (found := plain_text.first_image(body["value"])) and (absolute := _absolute(base, entry, found[0])):
            return absolute, found[1]
    return None


def _is_image(link: Entry, rel: str | None) -> bool:
    if rel and link.get("rel") != rel:
        return False
    return str(link.get("type", "")).startswith("image/") or link.get("medium") == "image"
