"""One row per recipient, one per attempt, and who is working on what."""

import uuid

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from service.domain.outcomes import Phase
from service.domain.words import DeliveryStatus, Lane, Language, MailKind, Purpose, SkipReason
from service.store.schema.base import At, Base, CreatedAt, Key, Ref, word


class Delivery(Base):
    """One message to one recipient. (campaign, subscriber) is unique: nobody is planned twice (invariant 4).

    What is never deleted is referred to without a foreign key: checking it for each row cost more than writing it. So
    is the subscriber: whoever adds rows keeps readers from being erased, and an erasure takes them out of rows first.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("campaign_id", "subscriber_id"),
        CheckConstraint("num_nonnulls(subscriber_id, test_address, erased_at) = 1", name="one_recipient"),
        CheckConstraint("(test_address IS NULL) = (test_language IS NULL)", name="tests_have_a_language"),
        CheckConstraint("(status = 'sending') = (claimed_by IS NOT NULL)", name="claimed_while_sending"),
        CheckConstraint("(status = 'skipped') = (skip_reason IS NOT NULL)", name="skips_have_reasons"),
        Index("ix_deliveries_due", "lane", "campaign_id", "due_at", "id", postgresql_where="status = 'queued'"),
        Index("ix_deliveries_sending", "lease_until", postgresql_where="status = 'sending'"),
        Index("ix_deliveries_campaign_id_status", "campaign_id", "status"),
        Index("ix_deliveries_subscriber_id_id", "subscriber_id", "id"),
        # Few rows have these: an erasure finds them, and a change that goes away lets go of its mail.
        Index("ix_deliveries_test_address", text("lower(test_address)"), postgresql_where="test_address IS NOT NULL"),
        Index("ix_deliveries_signup_id", "signup_id", postgresql_where="signup_id IS NOT NULL"),
        Index("ix_deliveries_address_change_id", "address_change_id", postgresql_where="address_change_id IS NOT NULL"),
    )
    id: Mapped[Key]
    lane: Mapped[Lane] = mapped_column(word(Lane))
    kind: Mapped[MailKind] = mapped_column(word(MailKind))
    subscriber_id: Mapped[Ref | None]
    erased_at: Mapped[At | None]
    """When its reader was erased, or its time in the send log was over: the row still counts in its campaign's report,
    and leads to nobody (D-15, D-19)."""
    test_address: Mapped[str | None]
    """Set on test sends only: an operator's address instead of a subscriber."""
    test_language: Mapped[Language | None] = mapped_column(word(Language))
    """Set with test_address: a test has no subscriber whose language could be used."""
    list_id: Mapped[Ref]
    purpose: Mapped[Purpose | None] = mapped_column(word(Purpose))
    """What the mail is for; NULL on transactional mail, which needs no consent of its own."""
    campaign_id: Mapped[Ref | None]
    """NULL on interactive mail, test sends included (so that a test never takes a reader's place)."""
    revision_id: Mapped[Ref | None]
    issue_id: Mapped[Ref | None]
    signup_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("signups.id", ondelete="SET NULL"))
    address_change_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("address_changes.id", ondelete="SET NULL")
    )
    """Set on mail that asks a new address: it goes there and not to the subscriber's."""
    status: Mapped[DeliveryStatus] = mapped_column(word(DeliveryStatus))
    skip_reason: Mapped[SkipReason | None] = mapped_column(word(SkipReason))
    due_at: Mapped[At]
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """Attempts that counted; a failure of the relay counts against nobody."""
    claimed_by: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    lease_until: Mapped[At | None]
    message_id: Mapped[str | None]
    """Without angle brackets; made at the first claim and kept across retries (A-11)."""
    finished_at: Mapped[At | None]
    created_at: Mapped[CreatedAt]


class Attempt(Base):
    """One SMTP transaction tried for a delivery, as the relay answered it (C-06)."""

    __tablename__ = "attempts"
    id: Mapped[Key]
    delivery_id: Mapped[Ref] = mapped_column(index=True)
    at: Mapped[At]
    phase: Mapped[Phase] = mapped_column(word(Phase))
    code: Mapped[int | None] = mapped_column(SmallInteger)
    enhanced: Mapped[str | None]
    text: Mapped[str]
    fate: Mapped[str]
    scope: Mapped[str]
    relay: Mapped[str]


class WorkerProcess(Base):
    """A worker process, alive or not. Its id is the name of its journal; a busy solo worker beats here (design §4)."""

    __tablename__ = "worker_processes"
    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    lane: Mapped[Lane] = mapped_column(word(Lane))
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[CreatedAt]
    beat_at: Mapped[CreatedAt]
    ended_at: Mapped[At | None]
    """Set when its journal has been settled, or when an operator declared it lost."""


class SendingRate(Base):
    """One row: the moment from which on no mail has been permitted yet, for all workers together."""

    __tablename__ = "sending_rate"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)
    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    next_at: Mapped[At]
