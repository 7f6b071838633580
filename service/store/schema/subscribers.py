"""Lists, topics, subscribers, their subscriptions, and standing orders not to mail an address."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.domain.words import Language, Purpose, Rhythm, SubscriptionState, SuppressionReason
from service.store.schema.base import At, Base, CreatedAt, Json, Key, Ref, Small, word


class List(Base):
    """A named publication that people join. `list_id` never changes, whatever the list is called later (A-32)."""

    __tablename__ = "lists"
    id: Mapped[Key]
    slug: Mapped[str] = mapped_column(unique=True)
    names: Mapped[Json]
    """Language → name."""
    list_id: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[CreatedAt]


class Topic(Base):
    """An interest a subscriber ticks within a list."""

    __tablename__ = "topics"
    __table_args__ = (UniqueConstraint("list_id", "slug"),)
    id: Mapped[Key]
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"))
    slug: Mapped[str]
    names: Mapped[Json]
    position: Mapped[int] = mapped_column(server_default="0")


class Subscriber(Base):
    """A person as known by one address. The three keys of an address are E-02's. Erasing deletes the row (D-15)."""

    __tablename__ = "subscribers"
    __table_args__ = (CheckConstraint("local_hour BETWEEN 0 AND 23", name="hour_of_a_day"),)
    id: Mapped[Key]
    address: Mapped[str]
    """Normalised, as to be mailed; the case of the local part is the reader's."""
    dedupe_key: Mapped[str] = mapped_column(unique=True)
    address_hmac: Mapped[bytes] = mapped_column(unique=True)
    """HMAC-SHA-256 of the dedupe key: what suppressions are matched by (D-16, D-17)."""
    address_version: Mapped[Small] = mapped_column(server_default=text("current_address_version()"))
    """How many keys the fingerprint has gone through (D-16)."""
    language: Mapped[Language] = mapped_column(word(Language))
    first_name: Mapped[str | None]
    paused_until: Mapped[At | None]
    rhythm: Mapped[Rhythm] = mapped_column(word(Rhythm), server_default=Rhythm.DAILY.value)
    """At most one digest per day, week, fortnight or month; `daily` takes every run."""
    local_hour: Mapped[Small | None]
    """0 to 23 in `time_zone`: when digests are to arrive. NULL: as soon as they are ready."""
    time_zone: Mapped[str | None]
    """An IANA name; NULL: UTC."""
    address_changed_at: Mapped[At | None]
    """When the reader last moved to another address: fresh links of before then are void (D-14)."""
    created_at: Mapped[CreatedAt]


class SubscriberTopic(Base):
    __tablename__ = "subscriber_topics"
    __table_args__ = (PrimaryKeyConstraint("subscriber_id", "topic_id"),)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"))
    topic_id: Mapped[int] = mapped_column(ForeignKey("topics.id"), index=True)


class Subscription(Base):
    """The state that follows from the consent events of one subscriber for one list and purpose.

    Written only beside an event, in the same transaction; `test_subscriptions_follow_from_events` rebuilds it.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        PrimaryKeyConstraint("subscriber_id", "list_id", "purpose"),
        Index(
            "ix_subscriptions_active",
            "list_id",
            "purpose",
            "subscriber_id",
            postgresql_where="state = 'active'",
        ),
    )
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"))
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"))
    purpose: Mapped[Purpose] = mapped_column(word(Purpose))
    state: Mapped[SubscriptionState] = mapped_column(word(SubscriptionState))
    event_id: Mapped[Ref]
    """The consent event that this state follows from."""
    given_at: Mapped[At | None]
    """When consent was last given; printed in every list mail ("you signed up on …")."""
    updated_at: Mapped[CreatedAt]


class Suppression(Base):
    """A standing order not to mail an address. Never deleted; it can be lifted. list_id NULL: all lists (C-13)."""

    __tablename__ = "suppressions"
    __table_args__ = (
        CheckConstraint("lifted_at >= created_at", name="lifted_later"),
        Index("ix_suppressions_in_force", "address_hmac", postgresql_where="lifted_at IS NULL"),
    )
    id: Mapped[Key]
    address_hmac: Mapped[bytes]
    address_version: Mapped[Small] = mapped_column(server_default=text("current_address_version()"))
    list_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("lists.id"))
    reason: Mapped[SuppressionReason] = mapped_column(word(SuppressionReason))
    source: Mapped[str]
    created_at: Mapped[CreatedAt]
    lifted_at: Mapped[At | None]
