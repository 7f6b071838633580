"""Who may use the operators' API, and for what: bearer tokens, shown once, kept as hashes, and their roles (D-22)."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from service.domain.tokens import api_token_hash
from service.domain.words import Role
from service.errors import Kind, ServiceError
from service.store import audit, tokens
from service.store.transaction import Transaction

PREFIX = "milepost_"
"""So that people and secret scanners recognise one."""
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Operator:
    """Who is asking, by a token."""

    name: str
    roles: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True)
class TokenCreated:
    name: str
    roles: tuple[Role, ...]
    token: str = field(repr=False)
    """The only time that anybody sees it."""


def create_token(tx: Transaction, name: str, roles: Iterable[Role], *, by: str = "cli") -> TokenCreated:
    """A new token of 256 random bits. Refuses a name that was ever used: reports would mix two programs up; and a token
    without a role, which would open nothing.

    Roles are given now or never; that `by` gave them stands in the audit log.
    """
    given = tuple(role for role in Role if role in set(roles))
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
    if not given:
        raise ServiceError(
            Kind.INVALID,
            "token_roles_missing",
            f"A token without a role opens nothing; no token was made. Say what it is for: --role {' or '.join(Role)}.",
            field="roles",
        )
    text = PREFIX + secrets.token_urlsafe(32)
    token = tokens.add_token(tx, name, api_token_hash(text), [role.value for role in given])
    audit.note(
        tx,
        actor=by,
        act="roles_given",
        reason="a token was made with these roles",
        token_id=token.id,
        roles=[role.value for role in given],
    )
    return TokenCreated(name, given, text)


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


def find_operator(tx: Transaction, text: str) -> Operator | None:
    """Whom a token acts for, or None for a token that is unknown or revoked. Notes its use.

    A role that this version does not know gives nothing.
    """
    token = tokens.find_token(tx, api_token_hash(text))
    if token is None or token.revoked_at is not None:
        return None
    tokens.mark_used(tx, token.id)
    return Operator(token.name, frozenset(role for role in Role if role.value in token.roles))


def require_role(operator: Operator, role: Role) -> None:
    """Raises ServiceError (FORBIDDEN) unless the operator has the role."""
    if role not in operator.roles:
        raise ServiceError(
            Kind.FORBIDDEN,
            "role_missing",
            f"This needs the role {role.value}, which the token {operator.name} does not have; nothing was done. "
            f"Roles cannot be added: `milepost token create NAME --role {role.value}` makes a token that has it.",
        )
