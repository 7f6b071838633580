"""Reading sources: fetched outside of any transaction, then stored in one transaction per source."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from service.content.feeds import parse_feed
from service.content.fetch import Fetched, Fetcher, NotModified
from service.domain.articles import (
    ArticleDraft,
    FeedItem,
    Reading,
    SkippedItem,
    draft_articles,
    match_topics,
    normalise_label,
)
from service.domain.words import Language
from service.errors import Kind, ServiceError
from service.store import articles, lists, sources
from service.store.articles import Stored
from service.store.schema import Source
from service.store.transaction import Transaction, TransactionFactory

log = structlog.get_logger(__name__)

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_TAKEN = "its new address is that of another article, which keeps it"


@dataclass(frozen=True, slots=True)
class PullResult:
    """What one pull of one source did."""

    source: str
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: tuple[SkippedItem, ...] = ()
    """Items that became no article, and why."""
    unmapped: tuple[str, ...] = ()
    """Categories that named no topic, of articles without any; only readers who chose no topics get those."""
    not_modified: bool = False
    """The feed is the same as last time, so nothing was looked at."""
    error: str | None = None
    """Why nothing was read and nothing was changed."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A source as it was when it was fetched."""

    id: int
    slug: str
    location: str
    etag: str | None
    last_modified: str | None


def add_source(
    tx: Transaction,
    *,
    slug: str,
    list_slug: str,
    location: str,
    language: Language | None = None,
    topic_map: Mapping[str, str] | None = None,
) -> int:
    """Add a source, or change the one with this slug; it is read with the next pull. Returns its id.

    `location` is an http(s) or file URL or an absolute path; whether its host may be read is decided at each pull.
    `topic_map` leads from categories to slugs of topics where the two are not called the same.
    """
    if not _SLUG.fullmatch(slug):
        raise _invalid("slug", f"{slug!r} is no name for a source: use small letters, digits and hyphens.")
    if not _is_location(location):
        raise _invalid("location", f"{location!r} is neither an http(s) address nor an absolute path of a file.")
    list_id = lists.get_list(tx, list_slug).id
    known = {topic.slug for topic in lists.list_topics(tx, list_id)}
    mapped = {normalise_label(category): topic for category, topic in (topic_map or {}).items()}
    if unknown := sorted(set(mapped.values()) - known):
        raise _invalid("topic_map", f"The list has no topic {unknown[0]!r}; it has {', '.join(sorted(known))}.")
    return sources.add_source(tx, slug=slug, list_id=list_id, location=location, language=language, topic_map=mapped)


def pull_sources(transaction: TransactionFactory, fetcher: Fetcher, *, slug: str | None = None) -> list[PullResult]:
    """Read every source, or the one with this slug. Raises ServiceError (NOT_FOUND) if there is no such source.

    A source in trouble keeps its articles and notes its error; the others are read all the same.
    """
    with transaction() as tx:
        chosen = [sources.get_source(tx, slug)] if slug else sources.list_sources(tx)
        asked = [_Asked(s.id, s.slug, s.location, s.etag, s.last_modified) for s in chosen]
    return [_pull(transaction, fetcher, source) for source in asked]


def _pull(transaction: TransactionFactory, fetcher: Fetcher, asked: _Asked) -> PullResult:
    try:
        answer = fetcher.fetch(asked.location, etag=asked.etag, last_modified=asked.last_modified)
        items = (
            []
            if isinstance(answer, NotModified)
            else parse_feed(answer.body, location=answer.location, charset=answer.charset)
        )
    except ServiceError as refusal:
        log.warning("pull_failed", source=asked.slug, code=refusal.code)
        with transaction() as tx:
            sources.mark_failed(tx, asked.id, refusal.message)
        return PullResult(asked.slug, error=refusal.message)
    with transaction() as tx:
        result = _store(tx, asked, answer, items)
    log.info("pulled", source=asked.slug, new=result.new, updated=result.updated, skipped=len(result.skipped))
    return result


def _store(tx: Transaction, asked: _Asked, answer: Fetched | NotModified, items: list[FeedItem]) -> PullResult:
    source = sources.lock_source(tx, asked.id)
    if source.location != asked.location:
        return PullResult(
            source.slug, error="The source was changed while it was read. Nothing was stored; pull again."
        )
    sources.mark_pulled(tx, source.id)
    if isinstance(answer, NotModified):
        return PullResult(source.slug, not_modified=True)
    sha256 = hashlib.sha256(answer.body).digest()
    same = sha256 == source.body_sha256
    sources.mark_read(tx, source.id, etag=answer.etag, last_modified=answer.last_modified, body_sha256=sha256)
    if same:
        return PullResult(source.slug, not_modified=True)
    reading = _reading(tx, source)
    drafted = list(draft_articles(items, reading, tx.now))
    skipped = [draft for draft in drafted if isinstance(draft, SkippedItem)]
    stored = articles.store_drafts(tx, source.id, [draft for draft in drafted if isinstance(draft, ArticleDraft)])
    fates = [fate for _, fate in stored]
    return PullResult(
        source.slug,
        new=fates.count(Stored.NEW),
        updated=fates.count(Stored.UPDATED),
        unchanged=fates.count(Stored.UNCHANGED),
        skipped=(*skipped, *(SkippedItem(draft.title, _TAKEN) for draft, fate in stored if fate is Stored.TAKEN)),
        unmapped=_unmapped(items, reading),
    )


def _reading(tx: Transaction, source: Source) -> Reading:
    topics = lists.list_topics(tx, source.list_id)
    ids = {topic.slug: topic.id for topic in topics}
    labels = {normalise_label(name): topic.id for topic in topics for name in (*topic.names.values(), topic.slug)}
    labels |= {category: ids[slug] for category, slug in source.topic_map.items() if slug in ids}
    return Reading(source.language, labels)


def _unmapped(items: list[FeedItem], reading: Reading) -> tuple[str, ...]:
    lost = (item.categories for item in items if not match_topics(item.categories, reading.topics))
    return tuple(sorted({category for categories in lost for category in categories}))


def _is_location(location: str) -> bool:
    if not location.isprintable():
        return False
    try:
        parts = urlsplit(location)
    except ValueError:
        return False
    if parts.scheme in ("http", "https"):
        return bool(parts.hostname) and parts.username is None
    return parts.scheme == "file" or Path(location).is_absolute()


def _invalid(field: str, message: str) -> ServiceError:
    return ServiceError(Kind.INVALID, f"source_{field}", f"{message} Nothing was added.", field=field)
