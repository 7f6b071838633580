"""Who is affected by a breach, and until when the authority has to know (GDPR 33, 34; D-23)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.domain.deadlines import BREACH
from service.errors import Kind, ServiceError
from service.store import audit, inventory
from service.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Affected:
    subjects: Sequence[int]
    """Erased ones included: their data was held then."""
    addresses: dict[int, str]
    """Only where asked for, and only of who is not erased."""
    authority_due_at: datetime
    """72 hours after it became known."""


def list_affected(
    tx: Transaction,
    *,
    since: datetime,
    until: datetime,
    known_at: datetime,
    actor: str,
    reason: str,
    touched: bool = False,
    touched_by: str | None = None,
    with_addresses: bool = False,
) -> Affected:
    """Whoever was held at some moment of the window; with `touched`, only whom operators' acts of that time concern.

    Leaves an audit entry. Raises ServiceError (INVALID) for a window that ends before it begins, for a breach that is
    known in the future only, and without a reason.
    """
    if until < since:
        raise ServiceError(
            Kind.INVALID, "window_reversed", "The window ends before it begins; nothing was listed.", field="until"
        )
    if known_at > tx.now:
        raise ServiceError(
            Kind.INVALID,
            "known_in_future",
            f"It became known by now at the latest, {tx.now:%Y-%m-%d %H:%M} UTC; nothing was listed.",
            field="known_at",
        )
    if touched or touched_by:
        subjects = inventory.list_touched_between(tx, since, until, touched_by)
    else:
        subjects = inventory.list_held_between(tx, since, until)
    audit.note(
        tx,
        actor=actor,
        act="breach_list",
        reason=reason,
        count=len(subjects),
        with_addresses=with_addresses,
    )
    addresses = inventory.list_addresses(tx, subjects) if with_addresses else {}
    return Affected(subjects, addresses, known_at + BREACH)
