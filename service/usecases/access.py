"""Who may use the operators' API: bearer tokens that are shown once and kept as hashes."""

import secrets
from dataclasses import dataclass, field

from service.domain.tokens import api_token_hash
from service.errors import Kind, ServiceError
from service.store import tokens
from service.store.transaction import Transaction

PREFIX = "milepost_"
"""So that people and secret scanners recognise one."""
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class TokenCreated:
    name: str
    token: str = field(repr=False)
    """The only time that anybody sees it."""


def create_token(tx: Transaction, name: str) -> TokenCreated:
    """A new token of 256 random bits. Refuses a name that was ever used: reports would mix two programs up."""
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise ServiceError(
            Kind.INVALID,
            "token_name_invalid",
            f"A token's name is 1 to {LONGEST_NAME} printable characters; no token was made.",
            field="name",
        )
    if tokens.find_token_by_name(tx, name):
        raise ServiceError(
            Kind.CONFLICT,
            "token_name_taken",
            f"There is, or was, a token named {name}; no token was made. Choose another name.",
            field="name",
        )
    text = PREFIX + secrets.token_urlsafe(32)
    tokens.add_token(tx, name, api_token_hash(text))
    return TokenCreated(name, text)


def revoke_token(tx: Transaction, name: str) -> None:
    """From this commit on the token opens nothing. Revoking twice changes nothing."""
    token = tokens.find_token_by_name(tx, name)
    if token is None:
        raise ServiceError(
            Kind.NOT_FOUND,
            "token_unknown",
            f"There is no token named {name}; nothing was revoked. `milepost token list` shows them.",
            field="name",
        )
    if token.revoked_at is None:
        tokens.mark_revoked(tx, token.id)


def find_operator(tx: Transaction, text: str) -> str | None:
    """The name that a token acts under, or None for a token that is unknown or revoked. Notes its use."""
    token = tokens.find_token(tx, api_token_hash(text))
    if token is None or token.revoked_at is not None:
        return None
    tokens.mark_used(tx, token.id)
    return token.name
