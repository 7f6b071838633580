"""What is watched while mail leaves: the relay as each worker sees it, campaigns' answers, who was told of trouble."""

import uuid

from sqlalchemy import BigInteger, ForeignKey, Index, SmallInteger, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from service.domain.breaker import Cause
from service.domain.outcomes import Phase
from service.domain.relay_watch import TroubleKind
from service.store.schema.base import At, Base, Json, Key, word


class RelayTrouble(Base):
    """The relay cannot be used by this worker. Written and deleted by its heart."""

    __tablename__ = "relay_troubles"
    worker_id: Mapped[uuid.UUID] = mapped_column(Uuid, ForeignKey("worker_processes.id"), primary_key=True)
    kind: Mapped[TroubleKind] = mapped_column(word(TroubleKind))
    relay: Mapped[str]
    phase: Mapped[Phase] = mapped_column(word(Phase))
    code: Mapped[int | None] = mapped_column(SmallInteger)
    text: Mapped[str]
    since: Mapped[At]
    seen_at: Mapped[At]


class CampaignWatch(Base):
    """What came back of a campaign since its window began (domain/breaker). Gone when a person resumes it."""

    __tablename__ = "campaign_watches"
    campaign_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("campaigns.id"), primary_key=True, autoincrement=False
    )
    is_first: Mapped[bool]
    answered: Mapped[int]
    dead: Mapped[int]
    refused: Mapped[int]
    failed: Mapped[int]
    uncertain: Mapped[int]
    cause: Mapped[Cause | None] = mapped_column(word(Cause))
    """Set when the campaign was paused for it."""


class OperatorNotice(Base):
    """Trouble that operators are told of: when it began, when they were told, when it was over."""

    __tablename__ = "operator_notices"
    __table_args__ = (
        Index("ix_operator_notices_open", "cause", unique=True, postgresql_where="ended_at IS NULL"),
        Index("ix_operator_notices_cause_told_at", "cause", "told_at"),
    )
    id: Mapped[Key]
    cause: Mapped[str]
    """What it is about, as a word and a name: "relay mail.example:587", "campaign 7"."""
    facts: Mapped[Json]
    """What the mail says; no reader's address is in it."""
    began_at: Mapped[At]
    told_at: Mapped[At | None]
    ended_at: Mapped[At | None]


class OperatorMail(Base):
    """A delivery that tells an operator of a notice, or that it is over."""

    __tablename__ = "operator_mails"
    delivery_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    notice_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operator_notices.id"), index=True)
    is_over: Mapped[bool]
