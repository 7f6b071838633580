"""The ledger: wordings that never change, sign-ups as received, and append-only consent events."""

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from service.domain.words import Channel, ConsentState, Language, Purpose, SignupState
from service.store.schema.base import At, Base, CreatedAt, Ids, Json, Key, Words, word


class Statement(Base):
    """The words a reader agrees to, verbatim (D1 #6). A changed text is a new row; old consents stay bound (D-05)."""

    __tablename__ = "statements"
    __table_args__ = (UniqueConstraint("purpose", "language", "sha256"),)
    id: Mapped[Key]
    purpose: Mapped[Purpose] = mapped_column(word(Purpose))
    language: Mapped[Language] = mapped_column(word(Language))
    body: Mapped[str]
    sha256: Mapped[bytes]
    published_at: Mapped[CreatedAt]


class Notice(Base):
    """A version of the privacy notice, whole (D1 #7). The newest per language is the one in force."""

    __tablename__ = "notices"
    __table_args__ = (UniqueConstraint("language", "sha256"),)
    id: Mapped[Key]
    language: Mapped[Language] = mapped_column(word(Language))
    body: Mapped[str]
    """Markdown."""
    sha256: Mapped[bytes]
    published_at: Mapped[CreatedAt]


class Form(Base):
    """A version of a sign-up form: what it asks, for which list, in which order (D1 #8)."""

    __tablename__ = "forms"
    __table_args__ = (UniqueConstraint("slug", "sha256"),)
    id: Mapped[Key]
    slug: Mapped[str]
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"))
    definition: Mapped[Json]
    """{"purposes": [...], "topics": bool, "first_name": bool, "statements": {language: {purpose: id}},
    "notices": {language: id}, "replaces": id}: a version pins the exact words that it shows."""
    sha256: Mapped[bytes]
    published_at: Mapped[CreatedAt]


class Signup(Base):
    """One accepted POST of a form. The web inserts it without looking the address up; a worker decides (E-04)."""

    __tablename__ = "signups"
    __table_args__ = (
        Index("ix_signups_received", "id", postgresql_where="state = 'received'"),
        Index("ix_signups_abuse_hmac_created_at", "abuse_hmac", "created_at"),
    )
    id: Mapped[Key]
    address: Mapped[str]
    dedupe_key: Mapped[str]
    address_hmac: Mapped[bytes]
    abuse_hmac: Mapped[bytes]
    """HMAC of the provider-canonical form; for limits only (E-02)."""
    first_name: Mapped[str | None]
    language: Mapped[Language] = mapped_column(word(Language))
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"))
    purposes: Mapped[Words]
    topic_ids: Mapped[Ids]
    form_id: Mapped[int] = mapped_column(ForeignKey("forms.id"))
    statement_ids: Mapped[Ids]
    notice_id: Mapped[int] = mapped_column(ForeignKey("notices.id"))
    page_url: Mapped[str | None]
    ip: Mapped[str | None] = mapped_column(INET)
    user_agent: Mapped[str | None]
    state: Mapped[SignupState] = mapped_column(word(SignupState))
    subscriber_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("subscribers.id"), index=True)
    mailed: Mapped[bool] = mapped_column(server_default="false")
    """Whether it caused a mail; counted for the limit per address (E-05)."""
    created_at: Mapped[CreatedAt]
    decided_at: Mapped[At | None]
    """While it is still `received`: when deciding it failed last."""
    expires_at: Mapped[At | None]
    confirmed_at: Mapped[At | None]


class ConsentEvent(Base):
    """What somebody agreed to or took back, when, how, on which words. Append-only: triggers refuse the rest (D-01)."""

    __tablename__ = "consent_events"
    __table_args__ = (Index("ix_consent_events_subscriber_id_id", "subscriber_id", "id"),)
    id: Mapped[Key]
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"))
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"))
    purpose: Mapped[Purpose] = mapped_column(word(Purpose))
    state: Mapped[ConsentState] = mapped_column(word(ConsentState))
    channel: Mapped[Channel] = mapped_column(word(Channel))
    occurred_at: Mapped[At]
    signup_id: Mapped[int | None] = mapped_column(BigInteger)
    """No foreign key: an event stands by itself, whatever becomes of its sign-up."""
    statement_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("statements.id"))
    notice_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("notices.id"))
    form_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("forms.id"))
    delivery_id: Mapped[int | None] = mapped_column(BigInteger)
    """The mail that carried the link: the confirmation, or the one that caused an unsubscribe."""
    page_url: Mapped[str | None]
    ip: Mapped[str | None] = mapped_column(INET)
    user_agent: Mapped[str | None]
    actor: Mapped[str] = mapped_column(server_default="subscriber")
