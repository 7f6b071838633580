"""API tokens of operators, of which only a hash is kept, and the log of what operators did with personal data."""

from sqlalchemy import Index, PrimaryKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.store.schema.base import At, Base, CreatedAt, Json, Key, Words


class ApiToken(Base):
    __tablename__ = "api_tokens"
    id: Mapped[Key]
    name: Mapped[str] = mapped_column(unique=True)
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    roles: Mapped[Words] = mapped_column(server_default="{}")
    """Of `Role`; empty: it opens nothing."""
    created_at: Mapped[CreatedAt]
    last_used_at: Mapped[At | None]
    revoked_at: Mapped[At | None]


class IdempotentRequest(Base):
    """One request that a program may send again without its being done again; forgotten after a day (E-12)."""

    __tablename__ = "idempotent_requests"
    __table_args__ = (
        PrimaryKeyConstraint("token_name", "key_hmac"),
        Index("ix_idempotent_requests_created_at", "created_at"),
    )
    token_name: Mapped[str]
    key_hmac: Mapped[bytes]
    """The program chooses its keys, so one may be an address: only a fingerprint is kept."""
    request_hmac: Mapped[bytes]
    """Of the body: the same key with another body is a mistake, not a repetition."""
    answer: Mapped[Json]
    created_at: Mapped[At]


class AuditEntry(Base):
    """One export, import, view or change of personal data by an operator. Append-only (D-22)."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index("ix_audit_entries_at", "at"),)
    id: Mapped[Key]
    at: Mapped[At]
    actor: Mapped[str]
    """An operator's or a token's name."""
    act: Mapped[str]
    """What was done, as a short word with an underscore: `consent_proof`, `import_undone`."""
    reason: Mapped[str]
    details: Mapped[Json] = mapped_column(server_default="{}")
    """Ids and counts; never an address."""
