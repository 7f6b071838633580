"""Standing orders not to mail an address. Lifted, never deleted."""

from sqlalchemy import or_, select, update

from service.domain.words import SuppressionReason
from service.store.schema import Suppression
from service.store.transaction import Transaction


def add_suppression(
    tx: Transaction, *, address_hmac: bytes, reason: SuppressionReason, source: str, list_id: int | None = None
) -> int:
    """Order that this address is not mailed, for one list or for all (C-13). Returns the order's id."""
    order = Suppression(
        address_hmac=address_hmac, list_id=list_id, reason=reason, source=source, created_at=tx.now, lifted_at=None
    )
    tx.session.add(order)
    tx.session.flush()
    return order.id


def list_reasons(tx: Transaction, address_hmac: bytes, list_id: int) -> frozenset[SuppressionReason]:
    """Why this address may not be mailed for this list; empty if it may."""
    return frozenset(
        tx.session.scalars(
            select(Suppression.reason).where(
                Suppression.address_hmac == address_hmac,
                Suppression.lifted_at.is_(None),
                or_(Suppression.list_id.is_(None), Suppression.list_id == list_id),
            )
        )
    )


def is_suppressed(tx: Transaction, address_hmac: bytes) -> bool:
    """Whether any order forbids mail to this address, for whatever list."""
    order = select(Suppression.id).where(Suppression.address_hmac == address_hmac, Suppression.lifted_at.is_(None))
    return tx.session.scalar(order.limit(1)) is not None


def lift(tx: Transaction, address_hmac: bytes, reason: SuppressionReason) -> None:
    """End every order of this reason for the address."""
    tx.session.execute(
        update(Suppression)
        .where(Suppression.address_hmac == address_hmac, Suppression.reason == reason, Suppression.lifted_at.is_(None))
        .values(lifted_at=tx.now)
    )


def is_ordered(tx: Transaction, address_hmac: bytes, reason: SuppressionReason) -> bool:
    """Whether an order of this reason is in force for all lists."""
    order = select(Suppression.id).where(
        Suppression.address_hmac == address_hmac,
        Suppression.reason == reason,
        Suppression.list_id.is_(None),
        Suppression.lifted_at.is_(None),
    )
    return tx.session.scalar(order.limit(1)) is not None
