"""Sources of training content and the articles read from them."""

from sqlalchemy import BigInteger, ForeignKey, Index, PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.domain.words import Language
from service.store.schema.base import At, Base, CreatedAt, Json, Key, word


class Source(Base):
    """A feed: a URL on a configured host, or a file. Validators of the last good answer make the next one cheap."""

    __tablename__ = "sources"
    id: Mapped[Key]
    slug: Mapped[str] = mapped_column(unique=True)
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"))
    location: Mapped[str] = mapped_column(unique=True)
    """An http(s) URL or a file path."""
    language: Mapped[Language | None] = mapped_column(word(Language))
    """Overrides what the feed says of itself."""
    topic_map: Mapped[Json] = mapped_column(server_default="{}")
    """Category in lower case → topic slug; a category that equals a topic's slug or name needs no entry."""
    etag: Mapped[str | None]
    last_modified: Mapped[str | None]
    body_sha256: Mapped[bytes | None]
    pulled_at: Mapped[At | None]
    """The last good pull, also when nothing was new."""
    error: Mapped[str | None]
    """Why the last pull failed; NULL when it did not."""
    failed_at: Mapped[At | None]


class Article(Base):
    """One training article. Known again by canonical URL or by (source, GUID): edits and re-dating make no new one."""

    __tablename__ = "articles"
    __table_args__ = (
        UniqueConstraint("source_id", "guid"),
        Index("ix_articles_language_published_at", "language", "published_at"),
    )
    id: Mapped[Key]
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"))
    guid: Mapped[str]
    canonical_url: Mapped[str]
    """As linked in mails."""
    url_key: Mapped[str] = mapped_column(unique=True)
    """The canonical URL without scheme, fragment, tracking parameters and trailing slash."""
    title: Mapped[str]
    summary: Mapped[str]
    """Plain text."""
    author: Mapped[str | None]
    image_url: Mapped[str | None]
    image_alt: Mapped[str | None]
    language: Mapped[Language] = mapped_column(word(Language))
    published_at: Mapped[At]
    first_seen_at: Mapped[CreatedAt]
    """When Milepost first saw it; never changes (design §4: prune and age by this)."""
    updated_at: Mapped[CreatedAt]
    withdrawn_at: Mapped[At | None]


class ArticleTopic(Base):
    __tablename__ = "article_topics"
    __table_args__ = (PrimaryKeyConstraint("article_id", "topic_id"),)
    article_id: Mapped[int] = mapped_column(ForeignKey("articles.id"))
    topic_id: Mapped[int] = mapped_column(ForeignKey("topics.id"), index=True)
    source_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("sources.id"))
    """Which source said so and may take it back: one article can stand in several feeds. NULL: a person said so."""
