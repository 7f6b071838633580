"""Campaigns (an operator's message, or what a run of a digest sends) and their frozen revisions."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from service.domain.words import CampaignStatus, Layout, Purpose
from service.store.schema.base import At, Base, CreatedAt, Key, word


class Campaign(Base):
    """One message for one audience. Exactly one of a draft's content or a run stands behind it."""

    __tablename__ = "campaigns"
    __table_args__ = (
        CheckConstraint("run_id IS NULL OR revision_id IS NULL", name="one_content"),
        CheckConstraint("expire_after > 0", name="expires_later"),
    )
    id: Mapped[Key]
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"))
    purpose: Mapped[Purpose] = mapped_column(word(Purpose))
    name: Mapped[str]
    status: Mapped[CampaignStatus] = mapped_column(word(CampaignStatus))
    subject: Mapped[str | None]
    body: Mapped[str | None]
    """Markdown of the draft; what is sent is the revision."""
    layout: Mapped[Layout] = mapped_column(word(Layout), server_default=Layout.CARD.value)
    revision_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("revisions.id", use_alter=True))
    run_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("runs.id"), unique=True)
    expire_after: Mapped[int | None]
    """Hours after the order, after which nobody else is mailed (C-10); None: as long as the schedule of retries."""
    changed_by: Mapped[str]
    """Who moved it to its status: an operator's name, or "milepost" when it paused or finished itself."""
    reason: Mapped[str | None]
    """Why it stands where it stands, for people ("paused by ada: wrong subject")."""
    created_at: Mapped[CreatedAt]
    ordered_at: Mapped[At | None]
    planned_to: Mapped[int | None] = mapped_column(BigInteger)
    """The last subscriber who was planned, while it is being sent and readers are left to be planned."""
    planned_at: Mapped[At | None]
    """When all of its audience was planned."""
    finished_at: Mapped[At | None]


class Revision(Base):
    """Content frozen at the moment of sending: what the recipients got, whatever happens to the draft."""

    __tablename__ = "revisions"
    id: Mapped[Key]
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), index=True)
    subject: Mapped[str]
    body: Mapped[str]
    layout: Mapped[Layout] = mapped_column(word(Layout), server_default=Layout.CARD.value)
    sha256: Mapped[bytes]
    created_at: Mapped[CreatedAt]
