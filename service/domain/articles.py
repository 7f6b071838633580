"""What makes an item of a feed an article: its identity, its plausible dates, its topics. Pure."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from service.domain.words import Language

LONGEST_URL = 2000
"""Characters. Longer ones are cut or refused by mail clients and proxies."""
LONGEST_GUID = 1000
"""Octets; longer ones are stored as their hash, since an index entry must stay below 2,700."""
EARLIEST = datetime(1991, 1, 1, tzinfo=UTC)
"""Before the web: the date is a mistake (1900, 1970) and not the age of an article."""
FURTHEST = timedelta(days=366)
"""A date further ahead is a mistake (2999), not a plan to publish."""

_TRACKING = re.compile(
    r"utm_\w+|mtm_\w+|pk_\w+|matomo_\w+|mc_[ce]id|hsa_\w+|_hs(?:enc|mi)|vero_\w+|oly_\w+|wt_?mc"
    r"|fbclid|gclid|gclsrc|dclid|gbraid|wbraid|msclkid|yclid|twclid|igshid|mkt_tok|s_cid|ref_src|at_(?:medium|campaign)",
    re.IGNORECASE,
)
"""Parameters that tell who sent a visitor, never what is shown."""
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
"""Names and IPv4 addresses; nobody publishes under a bare IPv6 address."""
_BARE_ADDRESS = re.compile(r"(https?://|www\.)\S*", re.IGNORECASE)
_KEPT_IN_PATH = "/:@!$&'()*+,;=~-._"
"""RFC 3986 §3.3: what may stand in a path without being encoded."""


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One item as a feed says it: addresses are absolute and texts are plain, but nothing else is decided."""

    guid: str | None
    url: str | None
    title: str
    summary: str = ""
    author: str | None = None
    image_url: str | None = None
    image_alt: str | None = None
    language: str | None = None
    """As the item or its channel says: "en-GB"."""
    published: str | None = None
    """As written; for messages."""
    published_at: datetime | None = None
    """None if there is no date, or none that can be understood."""
    categories: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What names it in a message."""
        return self.title or self.url or self.guid or "(an item without title, address and GUID)"


@dataclass(frozen=True, slots=True)
class ArticleDraft:
    """An article as one source says it now."""

    guid: str
    url_key: str
    canonical_url: str
    title: str
    summary: str
    author: str | None
    image_url: str | None
    image_alt: str | None
    language: Language
    published_at: datetime
    topic_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """An item of a feed that became no article, and why."""

    item: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source's items are read."""

    language: Language | None
    """Overrides what the feed says."""
    topics: Mapping[str, int]
    """Label of a topic (slug, name in any language, or a category mapped to it), normalised → topic id."""


def draft_articles(items: Iterable[FeedItem], reading: Reading, now: datetime) -> Iterator[ArticleDraft | SkippedItem]:
    """Each item as an article, or why it is none. Two items for one article: the first one counts."""
    items = list(items)
    guids = _telling_guids(items)
    seen: set[str] = set()
    for item in items:
        draft = _draft(item, item.guid if item.guid in guids else None, reading, now)
        if isinstance(draft, ArticleDraft):
            if draft.url_key in seen or f"guid {draft.guid}" in seen:
                draft = SkippedItem(item.name, "the feed holds the same article further up")
            else:
                seen |= {draft.url_key, f"guid {draft.guid}"}
        yield draft


def canonical_url(url: str) -> str | None:
    """The address as linked in mails: normalised, without fragment and tracking; None if nobody can open it.

    RFC 3986 §6.2.2: the case of scheme, host and percent-encoding means nothing.
    """
    parts = _split(url)
    if parts is None:
        return None
    scheme, netloc, path, query = parts
    # Only touched if there is something to take out: some sites depend on how their query is written.
    if any(_TRACKING.fullmatch(name) for name, _ in parse_qsl(query, keep_blank_values=True)):
        query = urlencode([(n, v) for n, v in parse_qsl(query, keep_blank_values=True) if not _TRACKING.fullmatch(n)])
    whole = urlunsplit((scheme, netloc, path or "/", query, ""))
    return whole if len(whole) <= LONGEST_URL else None


def url_key(url: str) -> str | None:
    """What two addresses of the same article have in common; None for what is no web address.

    Without scheme, fragment, tracking and trailing slash; the order of the query's parameters means nothing.
    """
    canonical = canonical_url(url)
    if canonical is None:
        return None
    parts = urlsplit(canonical)
    query = urlencode(sorted(parse_qsl(parts.query, keep_blank_values=True)))
    return f"{parts.netloc}{parts.path.rstrip('/')}{'?' if query else ''}{query}"


def read_language(tag: str | None) -> Language | None:
    """The language of ours that a BCP 47 tag means: en-GB is English; None for no tag and for other languages."""
    primary = re.split(r"[-_]", (tag or "").strip().lower(), maxsplit=1)[0]
    return Language(primary) if primary in set(Language) else None


def normalise_label(label: str) -> str:
    return " ".join(label.split()).casefold()


def match_topics(categories: Iterable[str], topics: Mapping[str, int]) -> frozenset[int]:
    """The ids of the topics that these categories name."""
    return frozenset(topics[label] for c in categories if (label := normalise_label(c)) in topics)


def _telling_guids(items: list[FeedItem]) -> set[str]:
    """GUIDs that tell articles apart. Broken generators give every item the same one."""
    addresses: dict[str, set[str | None]] = {}
    for item in items:
        if item.guid:
            addresses.setdefault(item.guid, set()).add(url_key(item.url or ""))
    return {guid for guid, keys in addresses.items() if len(keys) == 1}


def _draft(item: FeedItem, guid: str | None, reading: Reading, now: datetime) -> ArticleDraft | SkippedItem:
    address, key = canonical_url(item.url or ""), url_key(item.url or "")
    language = reading.language or read_language(item.language)
    flaw = _title_flaw(item.title) or _flaw(item, address, language) or _date_flaw(item, now)
    if flaw:
        return SkippedItem(item.name, flaw)
    assert address is not None
    assert key is not None
    assert language is not None
    assert item.published_at is not None
    image_url = canonical_url(item.image_url) if item.image_url else None
    return ArticleDraft(
        guid=_storable(guid or key),
        url_key=key,
        canonical_url=address,
        title=item.title,
        summary=item.summary,
        author=item.author,
        image_url=image_url,
        image_alt=item.image_alt if image_url else None,
        language=language,
        published_at=item.published_at,
        topic_ids=match_topics(item.categories, reading.topics),
    )


def _flaw(item: FeedItem, address: str | None, language: Language | None) -> str | None:
    """Why this item can be no article."""
    if not item.url:
        return "it has no web address"
    if address is None:
        return f"its address cannot be opened: {item.url[:100]}"
    if language is not None:
        return None
    if item.language:
        return (
            f"its language is {item.language[:20]}, which no reader can choose; set one for the source if it is wrong"
        )
    return "neither it nor the feed says its language; set one for the source"


def _title_flaw(title: str) -> str | None:
    if not title:
        return "it has no title"
    # linked to the article, it may lead elsewhere than it says, and no mail with it would leave.
    return "its title is a web address" if _BARE_ADDRESS.fullmatch(title) else None


def _date_flaw(item: FeedItem, now: datetime) -> str | None:
    """A missing date is not guessed: an old article would be mailed as news, again and again (peers §2.2)."""
    if item.published_at is None:
        return f"its date cannot be understood: {item.published[:50]}" if item.published else "it has no date"
    if not EARLIEST <= item.published_at <= now + FURTHEST:
        return f"its date is a mistake: {item.published_at:%Y-%m-%d}"
    return None


def _storable(guid: str) -> str:
    return guid if len(guid.encode()) <= LONGEST_GUID else f"sha256:{hashlib.sha256(guid.encode()).hexdigest()}"


def _split(url: str) -> tuple[str, str, str, str] | None:
    """Scheme, network location, path and query in normal form, or None if this is no http(s) address."""
    url = url.strip()
    if not url.isprintable():
        return None
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "").encode("idna").decode().rstrip(".")
    except (ValueError, UnicodeError):
        return None
    if parts.scheme not in _PORTS or parts.username is not None or not _HOST.fullmatch(host):
        return None
    netloc = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    return parts.scheme, netloc, _normal_path(parts.path), quote(parts.query, safe=_KEPT_IN_PATH + "?%")


def _normal_path(path: str) -> str:
    """Each octet encoded or not as RFC 3986 §6.2.2.2 has it; an encoded slash stays encoded."""
    segments = (
        quote(unquote(s, errors="surrogateescape").encode(errors="surrogateescape"), safe=_KEPT_IN_PATH[1:])
        for s in path.split("/")
    )
    return "/".join(segments)
