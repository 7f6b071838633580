"""The audit log: which operator took out, took over, looked at or changed personal data, and why (D-22)."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from service.errors import Kind, ServiceError
from service.store.schema import AuditEntry
from service.store.transaction import Transaction

SHORTEST_REASON = 5
"""Characters. "x" is no reason; "court order 12/26" is one."""


def note(tx: Transaction, *, actor: str, act: str, reason: str, **details: Any) -> int:
    """Note one act, in the transaction that does it. `details` are ids and counts, never an address.

    Raises ServiceError (INVALID, field `reason`) when no reason is given.
    """
    reason = reason.strip()
    if len(reason) < SHORTEST_REASON or "@" in reason:
        raise ServiceError(
            Kind.INVALID,
            "reason_missing",
            f"This needs a reason of at least {SHORTEST_REASON} characters, without addresses: it stands in the audit "
            "log. Nothing was done.",
            field="reason",
        )
    entry = AuditEntry(at=tx.now, actor=actor, act=act, reason=reason, details=details)
    tx.session.add(entry)
    tx.session.flush()
    return entry.id


def count_lately(tx: Transaction, acts: Collection[str], within: timedelta) -> int:
    """How often any of these acts was noted within this time. Who counts at the same time waits until this commits."""
    tx.session.execute(select(func.pg_advisory_xact_lock(func.hashtext("milepost audit " + " ".join(acts)))))
    counted = select(func.count()).where(AuditEntry.act.in_(acts), AuditEntry.at > tx.now - within)
    return tx.session.scalar(counted) or 0


def list_entries(tx: Transaction, *, limit: int = 100, before: int | None = None) -> Sequence[AuditEntry]:
    """The newest entries first; `before` pages on from an entry's id."""
    entries = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if before is not None:
        entries = entries.where(AuditEntry.id < before)
    return tx.session.scalars(entries).all()
