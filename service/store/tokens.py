"""API tokens at rest: a hash, a name, roles, and when it was last used."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import or_, select, update

from service.store.schema import ApiToken
from service.store.transaction import Transaction

USE_IS_NOTED_EVERY = timedelta(minutes=1)
"""A busy script would otherwise turn every read into a write."""


def add_token(tx: Transaction, name: str, token_sha256: bytes, roles: list[str]) -> ApiToken:
    token = ApiToken(
        name=name, token_sha256=token_sha256, roles=roles, created_at=tx.now, last_used_at=None, revoked_at=None
    )
    tx.session.add(token)
    tx.session.flush()
    return token


def find_token(tx: Transaction, token_sha256: bytes) -> ApiToken | None:
    """Found by the index over hashes, so how long it takes says nothing about a token that nearly fits."""
    return tx.session.scalar(select(ApiToken).where(ApiToken.token_sha256 == token_sha256))


def find_token_by_name(tx: Transaction, name: str) -> ApiToken | None:
    return tx.session.scalar(select(ApiToken).where(ApiToken.name == name))


def list_tokens(tx: Transaction) -> Sequence[ApiToken]:
    """Revoked ones too, oldest first."""
    return tx.session.scalars(select(ApiToken).order_by(ApiToken.id)).all()


def mark_used(tx: Transaction, token_id: int) -> None:
    """Note the use, at most once a minute."""
    stale = or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at <= tx.now - USE_IS_NOTED_EVERY)
    tx.session.execute(update(ApiToken).where(ApiToken.id == token_id, stale).values(last_used_at=tx.now))


def mark_revoked(tx: Transaction, token_id: int) -> None:
    tx.session.execute(update(ApiToken).where(ApiToken.id == token_id).values(revoked_at=tx.now))
