"""Articles and their topics, written so that what has not changed is not touched."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from sqlalchemy import and_, delete, insert, or_, select, text

from service.domain.articles import ArticleDraft
from service.store.schema import Article, ArticleTopic
from service.store.transaction import Transaction

FIELDS = (
    "canonical_url",
    "url_key",
    "title",
    "summary",
    "author",
    "image_url",
    "image_alt",
    "language",
    "published_at",
)
"""What an edit may change. Identity and `first_seen_at` stay (design §4); the GUID follows the feed."""


class Stored(StrEnum):
    """What became of a draft."""

    NEW = "new"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    TAKEN = "taken"
    """Its new address is that of another article."""


def store_drafts(tx: Transaction, source_id: int, drafts: Sequence[ArticleDraft]) -> list[tuple[ArticleDraft, Stored]]:
    """Make the articles of a source what its drafts say; what is no longer in the feed stays as it is.

    Known again by (source, GUID), then by address. An article that another source brought keeps that source's words
    and gains this one's topics: a reader of either topic gets it, once. One pull stores at a time, so that two sources
    with the same new article do not meet.
    """
    tx.session.execute(text("SELECT pg_advisory_xact_lock(hashtext('milepost storing articles'))"))
    shelf = _Shelf(tx, source_id, drafts)
    # A GUID says more than an address, so it has the first word about which article is meant.
    results = [(draft, shelf.put(draft)) for draft in sorted(drafts, key=lambda d: d.guid not in shelf.by_guid)]
    tx.session.flush()
    shelf.write_topics()
    return results


class _Shelf:
    """The articles that a feed can be about, and what this pull does to them."""

    def __init__(self, tx: Transaction, source_id: int, drafts: Sequence[ArticleDraft]) -> None:
        self._tx = tx
        self._source_id = source_id
        known = tx.session.scalars(
            select(Article)
            .where(
                or_(
                    and_(Article.source_id == source_id, Article.guid.in_([d.guid for d in drafts])),
                    Article.url_key.in_([d.url_key for d in drafts]),
                )
            )
            .execution_options(populate_existing=True)
        ).all()
        self.by_guid = {article.guid: article for article in known if article.source_id == source_id}
        self._by_url = {article.url_key: article for article in known}
        self._said = {draft.guid for draft in drafts}
        self._topics = _read_topics(tx, [article.id for article in known])
        self._new: list[tuple[Article, frozenset[int]]] = []
        self._added: list[tuple[int, int]] = []
        self._removed: list[tuple[int, int]] = []

    def put(self, draft: ArticleDraft) -> Stored:
        article = self.by_guid.get(draft.guid) or self._by_url.get(draft.url_key)
        if article is None:
            self._add(draft)
            return Stored.NEW
        owner = self._by_url.get(draft.url_key)
        if owner is not None and owner is not article:
            return Stored.TAKEN
        changed = [] if article.source_id != self._source_id else self._edit(article, draft)
        if self._change_topics(article.id, draft.topic_ids) or changed:
            article.updated_at = self._tx.now
            return Stored.UPDATED
        return Stored.UNCHANGED

    def write_topics(self) -> None:
        self._added += [(article.id, topic_id) for article, topic_ids in self._new for topic_id in topic_ids]
        for article_id, topic_id in self._removed:
            self._tx.session.execute(
                delete(ArticleTopic).where(ArticleTopic.article_id == article_id, ArticleTopic.topic_id == topic_id)
            )
        if self._added:
            rows = [{"article_id": a, "topic_id": t, "source_id": self._source_id} for a, t in sorted(self._added)]
            self._tx.session.execute(insert(ArticleTopic), rows)

    def _add(self, draft: ArticleDraft) -> None:
        article = Article(source_id=self._source_id, guid=draft.guid, withdrawn_at=None)
        for field in FIELDS:
            setattr(article, field, getattr(draft, field))
        article.first_seen_at = article.updated_at = self._tx.now
        self._tx.session.add(article)
        self._new.append((article, draft.topic_ids))
        self.by_guid[draft.guid] = self._by_url[draft.url_key] = article

    def _edit(self, article: Article, draft: ArticleDraft) -> list[str]:
        changed = [field for field in FIELDS if getattr(article, field) != getattr(draft, field)]
        if "url_key" in changed:
            del self._by_url[article.url_key]
            self._by_url[draft.url_key] = article
        for field in changed:
            setattr(article, field, getattr(draft, field))
        if "url_key" in changed:
            self._tx.session.flush()  # before anything new takes the old address
        if self._has_new_guid(article, draft):
            # Else the next new address would make it a new article, mailed again (invariant 7).
            self.by_guid.pop(article.guid, None)
            article.guid = draft.guid
            self.by_guid[draft.guid] = article
            changed.append("guid")
        return changed

    def _has_new_guid(self, article: Article, draft: ArticleDraft) -> bool:
        """Found by its address under a GUID that is no other article's, while the feed no longer says the old one.

        Of an item without a GUID the address stands for it, which tells less than the GUID that we know.
        """
        return draft.guid not in self.by_guid and article.guid not in self._said and draft.guid != draft.url_key

    def _change_topics(self, article_id: int, wanted: frozenset[int]) -> bool:
        """A source adds topics and takes back its own, never those of others."""
        present = self._topics.get(article_id, {})
        added = wanted - present.keys()
        removed = {topic for topic, source in present.items() if source == self._source_id} - wanted
        self._added += [(article_id, topic) for topic in added]
        self._removed += [(article_id, topic) for topic in removed]
        return bool(added or removed)


def _read_topics(tx: Transaction, article_ids: Iterable[int]) -> dict[int, dict[int, int | None]]:
    """Article → topic → the source that said so."""
    topics: dict[int, dict[int, int | None]] = {}
    for row in tx.session.scalars(
        select(ArticleTopic)
        .where(ArticleTopic.article_id.in_(list(article_ids)))
        .execution_options(populate_existing=True)
    ):
        topics.setdefault(row.article_id, {})[row.topic_id] = row.source_id
    return topics
