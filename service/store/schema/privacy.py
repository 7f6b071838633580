"""What people asked for about their data, what was erased, changes of address, and imports with their evidence."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, PrimaryKeyConstraint, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from service.domain.words import ImportStatus, ImportVerdict, PrivacyRequestKind
from service.store.schema.base import At, Base, CreatedAt, Json, Key, Ref, word


class PrivacyRequest(Base):
    """What a person asked for, by when it is due, and when it was done (D-13)."""

    __tablename__ = "privacy_requests"
    __table_args__ = (Index("ix_privacy_requests_open", "due_at", postgresql_where="done_at IS NULL"),)
    id: Mapped[Key]
    kind: Mapped[PrivacyRequestKind] = mapped_column(word(PrivacyRequestKind))
    subscriber_id: Mapped[Ref]
    """A number that leads nowhere once the person is erased."""
    asked_by: Mapped[str]
    """"subscriber", or the operator whom the person wrote to."""
    asked_at: Mapped[At]
    due_at: Mapped[At]
    done_at: Mapped[At | None]


class Erasure(Base):
    """One erased subject; the same line stands in the erasure log outside the database."""

    __tablename__ = "erasures"
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """1, 2, 3 … as in the log."""
    subscriber_id: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    """NULL: the address was no subscriber's; it stood in a sign-up or an import."""
    erased_at: Mapped[At]
    line_sha256: Mapped[bytes]


class RetentionRun(Base):
    """When a rule of retention was last enforced, and what it found (D-19)."""

    __tablename__ = "retention_runs"
    rule: Mapped[str] = mapped_column(primary_key=True)
    ran_at: Mapped[At]
    affected: Mapped[Ref]
    """Rows or persons, in that run."""


class AddressKeyVersion(Base):
    """The fingerprints of addresses were wrapped in a further key then. Without a row: version 1 (D-16)."""

    __tablename__ = "address_key_versions"
    version: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    since: Mapped[At]


class AddressChange(Base):
    """A change of address that waits for the new address to confirm it (D-14).

    Emptied when done and after a week: what is left counts questions for a month.
    """

    __tablename__ = "address_changes"
    id: Mapped[Key]
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), index=True)
    address: Mapped[str]
    dedupe_key: Mapped[str]
    address_hmac: Mapped[bytes] = mapped_column(index=True)
    abuse_hmac: Mapped[bytes] = mapped_column(index=True)
    """As a sign-up's: by this the mails that strangers could cause are limited (E-05)."""
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[At]


class FormerAddress(Base):
    """An address that its reader left for another: a fingerprint, deleted with the reader (D-14, D-15)."""

    __tablename__ = "former_addresses"
    __table_args__ = (Index("ix_former_addresses_address_hmac", "address_hmac"),)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True)
    address_hmac: Mapped[bytes] = mapped_column(primary_key=True)
    left_at: Mapped[At]


class Import(Base):
    """One file of addresses from another system, with who vouches for it (E-11, D1 #18)."""

    __tablename__ = "imports"
    id: Mapped[Key]
    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id"))
    source_system: Mapped[str]
    file_sha256: Mapped[bytes]
    mapping: Mapped[Json]
    """Field → column of the file."""
    rules: Mapped[Json] = mapped_column(server_default="{}")
    """How else the file was read: words for states, dates, purposes, the words agreed to."""
    wrapped: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The key of its rows, itself encrypted. NULL: destroyed, and the rows with it."""
    operator: Mapped[str]
    attestation: Mapped[str]
    """The words that the operator affirmed, verbatim."""
    status: Mapped[ImportStatus] = mapped_column(word(ImportStatus))
    counts: Mapped[Json] = mapped_column(server_default="{}")
    created_at: Mapped[CreatedAt]
    undone_at: Mapped[At | None]


class ImportRow(Base):
    """One row of an import in quarantine or admitted. Its text is encrypted until its reader is erased."""

    __tablename__ = "import_rows"
    __table_args__ = (
        PrimaryKeyConstraint("import_id", "line"),
        CheckConstraint("admitted_at IS NULL OR verdict IN ('mailable', 'needs_confirming')", name="admitted_readers"),
        Index("ix_import_rows_address_hmac", "address_hmac"),
        Index(
            "ix_import_rows_waiting", "import_id", "line", postgresql_where="admitted_at IS NULL AND sealed IS NOT NULL"
        ),
        # At most one re-permission mail to an address, ever, whatever is imported again.
        Index(
            "ix_import_rows_asked_once",
            "address_hmac",
            unique=True,
            postgresql_where="verdict = 'needs_confirming' AND admitted_at IS NOT NULL",
        ),
    )
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"))
    line: Mapped[int]
    """In the file; the header is line 1."""
    verdict: Mapped[ImportVerdict] = mapped_column(word(ImportVerdict))
    reason: Mapped[str]
    """Why: a code."""
    address_hmac: Mapped[bytes | None]
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The original row as JSON, encrypted under a key of the import's own; emptied when its reader is erased, and with
    the sign-up of whoever was asked."""
    subscriber_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    signup_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    """What its re-permission mail asks about. No foreign key: sign-ups are deleted after a month."""
    admitted_at: Mapped[At | None]
    """When it became mailable, or was asked."""
