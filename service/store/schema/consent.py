"""The ledger: wordings that never change, sign-ups as received, append-only consent events, and their seals."""

import uuid

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, INET
from sqlalchemy.orm import Mapped, mapped_column

from service.domain.words import Channel, ConsentState, Language, LawfulBasis, MailKind, Purpose, SignupState
from service.store.schema.base import At, Base, CreatedAt, Ids, Json, Key, Ref, Small, Words, word


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
    """One accepted POST of a form. The web inserts it without looking the address up; a worker decides (E-04).

    Its personal fields are emptied after a week, or when its reader is erased; the rest is counted for a month (D-18).
    What a confirmed sign-up proves stands, encrypted, in its consent events.
    """

    __tablename__ = "signups"
    __table_args__ = (
        Index("ix_signups_received", "id", postgresql_where="state = 'received'"),
        Index("ix_signups_address_hmac", "address_hmac", postgresql_where="address_hmac IS NOT NULL"),
        Index("ix_signups_abuse_hmac_created_at", "abuse_hmac", "created_at"),
        Index("ix_signups_domain_hmac_created_at", "domain_hmac", "created_at"),
        Index("ix_signups_form_id_created_at", "form_id", "created_at"),
        Index("ix_signups_held", "id", postgresql_where="state = 'held'"),
    )
    id: Mapped[Key]
    address: Mapped[str | None]
    entered: Mapped[str | None]
    """The address as it was typed (D1 #2)."""
    dedupe_key: Mapped[str | None]
    address_hmac: Mapped[bytes | None]
    abuse_hmac: Mapped[bytes]
    """HMAC of the provider-canonical form; for limits only (E-02)."""
    domain_hmac: Mapped[bytes | None]
    """HMAC of the domain; for noticing surges only (E-05)."""
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
    subscriber_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    """No foreign key: the reader may be erased, and the count remains."""
    mailed: Mapped[bool] = mapped_column(server_default="false")
    """Whether it caused a mail; counted for the limit per address (E-05)."""
    created_at: Mapped[CreatedAt]
    decided_at: Mapped[At | None]
    """While it is still `received`: when deciding it failed last."""
    released_at: Mapped[At | None]
    """It was held; a surge's end or an operator let it go. It is not held again (E-05)."""
    expires_at: Mapped[At | None]
    confirmed_at: Mapped[At | None]


class Context(Base):
    """Everything that was true of the installation when an event happened, content-addressed (D1 #3, #15, #16).

    Controller, processors, storage, retention, rights, jurisdiction: the newest row is the one in force.
    """

    __tablename__ = "contexts"
    id: Mapped[Key]
    body: Mapped[str]
    """Canonical JSON."""
    sha256: Mapped[bytes] = mapped_column(unique=True)
    published_at: Mapped[CreatedAt]


class FormSnapshot(Base):
    """A form as it looked: the HTML of one version in one language (D1 #8)."""

    __tablename__ = "form_snapshots"
    __table_args__ = (UniqueConstraint("form_id", "language"),)
    id: Mapped[Key]
    form_id: Mapped[int] = mapped_column(ForeignKey("forms.id"))
    language: Mapped[Language] = mapped_column(word(Language))
    body: Mapped[str]
    sha256: Mapped[bytes]


class MailTemplate(Base):
    """The sources of a mail's template, as used, content-addressed (D1 #11)."""

    __tablename__ = "mail_templates"
    id: Mapped[Key]
    kind: Mapped[MailKind] = mapped_column(word(MailKind))
    body: Mapped[str]
    """Canonical JSON: file name → text."""
    sha256: Mapped[bytes] = mapped_column(unique=True)
    published_at: Mapped[CreatedAt]


class ConsentEvent(Base):
    """What somebody agreed to or took back, when, how, on which words. Append-only: triggers refuse the rest (D-01).

    `service/domain/ledger.py` says how `hash` and `mac` are made; `store/consent.py` which columns they cover: all
    but `id`, and `personal` by its hash.
    """

    __tablename__ = "consent_events"
    __table_args__ = (
        UniqueConstraint("subscriber_id", "seq"),
        Index(
            "ix_consent_events_address_hmac",
            "address_hmac",
            postgresql_where="address_hmac IS NOT NULL",
        ),
    )
    id: Mapped[Key]
    record_id: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True)
    """UUIDv7 (D1 #1)."""
    subscriber_id: Mapped[Ref]
    """The subject. No foreign key: the event outlives the subscriber (D-15)."""
    seq: Mapped[int]
    """1, 2, 3 … within the subject."""
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"))
    purpose: Mapped[Purpose] = mapped_column(word(Purpose))
    state: Mapped[ConsentState] = mapped_column(word(ConsentState))
    channel: Mapped[Channel] = mapped_column(word(Channel))
    lawful_basis: Mapped[LawfulBasis] = mapped_column(word(LawfulBasis))
    occurred_at: Mapped[At]
    recorded_at: Mapped[At]
    """By the clock of the server that wrote it; differs from `occurred_at` where something was dated back."""
    signup_id: Mapped[int | None] = mapped_column(BigInteger)
    """No foreign key: an event stands by itself, whatever becomes of its sign-up."""
    statement_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("statements.id"))
    notice_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("notices.id"))
    form_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("forms.id"))
    context_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("contexts.id"))
    delivery_id: Mapped[int | None] = mapped_column(BigInteger)
    """The mail that carried the link: the confirmation, or the one that caused an unsubscribe."""
    actor: Mapped[str] = mapped_column(server_default="subscriber")
    suspect_scanner: Mapped[bool] = mapped_column(server_default="false")
    """The button was pressed sooner than a person can have read the mail (E-08)."""
    address_hmac: Mapped[bytes | None]
    """So that an erased person who names the address can still be shown the proof. Not on a request, nor where one
    expired: what was never confirmed leaves nothing that could be matched (D-18)."""
    address_version: Mapped[Small | None]
    personal: Mapped[bytes]
    """Encrypted with the subject's key, bound to `record_id`: JSON with address, ip, user_agent, page_url, and what
    else the event has to say about a person."""
    prev_hash: Mapped[bytes]
    hash: Mapped[bytes]
    mac: Mapped[bytes]


class SubjectKey(Base):
    """The key that a subject's personal fields are encrypted with, itself encrypted. Erasing deletes the row (D-15)."""

    __tablename__ = "subject_keys"
    subscriber_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    wrapped: Mapped[bytes]
    created_at: Mapped[CreatedAt]


class EventSeal(Base):
    """Where an event stands in the one sequence that checkpoints are made over; NULL: since the last checkpoint."""

    __tablename__ = "event_seals"
    __table_args__ = (Index("ix_event_seals_unsealed", "event_id", postgresql_where="position IS NULL"),)
    event_id: Mapped[int] = mapped_column(ForeignKey("consent_events.id"), primary_key=True, autoincrement=False)
    position: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    """0, 1, 2 … without gaps."""


class Checkpoint(Base):
    """A signed statement about the first `size` events, as appended to the checkpoint file."""

    __tablename__ = "checkpoints"
    __table_args__ = (Index("ix_checkpoints_size", "size"),)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """1, 2, 3 …; after a restore it goes on from the file's newest."""
    size: Mapped[Ref]
    frontier: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary))
    """Roots of the complete subtrees, largest first: what the next checkpoint needs of this one."""
    line: Mapped[str]
    """The signed statement, as it stands in the file."""
    members: Mapped[str]
    """Which events it is the first to cover, in order: `subject.seq subject.seq …`; stands in the file beside it."""
    sealed_at: Mapped[At]


class ConfirmationMail(Base):
    """The confirmation mail of one sign-up as it was handed to the relay, without its token, encrypted (D1 #11)."""

    __tablename__ = "confirmation_mails"
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"), primary_key=True, autoincrement=False)
    subscriber_id: Mapped[int] = mapped_column(BigInteger, index=True)
    template_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("mail_templates.id"))
    sealed: Mapped[bytes]
    """With the subject's key, bound to the delivery's id."""
    sha256: Mapped[bytes]
    """Of the mail without its token, before encryption; stands in the event that the button made."""
    written_at: Mapped[At]
