"""Digests, their runs and issues, and the ledger that makes "never twice" a primary key (invariant 7)."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, PrimaryKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.domain.words import Language
from service.store.schema.base import At, Base, CreatedAt, Ids, Json, Key, word


class Digest(Base):
    """The recurring publication: which list, how many articles, how old they may be."""

    __tablename__ = "digests"
    __table_args__ = (CheckConstraint("0 < min_items AND min_items <= max_items", name="item_bounds"),)
    id: Mapped[Key]
    slug: Mapped[str] = mapped_column(unique=True)
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"))
    names: Mapped[Json]
    min_items: Mapped[int]
    max_items: Mapped[int]
    max_age_days: Mapped[int]
    """Counted from when Milepost first saw the article; what was older than that already is never new."""


class Run(Base):
    """One dated execution of a digest; it is sent as a campaign."""

    __tablename__ = "runs"
    id: Mapped[Key]
    digest_id: Mapped[int] = mapped_column(ForeignKey("digests.id"), index=True)
    cutoff_at: Mapped[At]
    """Articles published later wait for the next run."""
    created_at: Mapped[CreatedAt]


class Issue(Base):
    """One distinct content of a run, shared by its cohort."""

    __tablename__ = "issues"
    id: Mapped[Key]
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    language: Mapped[Language] = mapped_column(word(Language))
    article_ids: Mapped[Ids]
    """In the order they are shown."""


class MailedArticle(Base):
    """This reader is, or will be, mailed this article by this delivery. The primary key refuses a second time."""

    __tablename__ = "mailed_articles"
    __table_args__ = (PrimaryKeyConstraint("subscriber_id", "article_id"),)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"))
    article_id: Mapped[int] = mapped_column(ForeignKey("articles.id"), index=True)
    delivery_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("deliveries.id"), index=True)
    """NULL: mailed before Milepost, as imported history says."""
