"""API tokens of operators. Only a hash is kept."""

from sqlalchemy.orm import Mapped, mapped_column

from service.store.schema.base import At, Base, CreatedAt, Key


class ApiToken(Base):
    __tablename__ = "api_tokens"
    id: Mapped[Key]
    name: Mapped[str] = mapped_column(unique=True)
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[CreatedAt]
    last_used_at: Mapped[At | None]
    revoked_at: Mapped[At | None]
