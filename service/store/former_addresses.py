"""Fingerprints of the addresses that readers left for another: what they decided holds for these as well (D-14, D-15).

One that somebody else has agreed with since is that reader's, and nobody's former address any more.
"""

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from service.store.schema import FormerAddress
from service.store.transaction import Transaction

NOT_TAKEN = """NOT EXISTS (
    SELECT FROM subscribers o JOIN subscriptions b ON b.subscriber_id = o.id
    WHERE o.address_hmac = f.address_hmac AND b.given_at IS NOT NULL)
"""
"""A condition on `former_addresses f`. Whoever came back to an address has it again."""


def add_former(tx: Transaction, subscriber_id: int, address_hmac: bytes) -> None:
    """The subscriber is leaving this address."""
    tx.session.execute(
        insert(FormerAddress)
        .values(subscriber_id=subscriber_id, address_hmac=address_hmac, left_at=tx.now)
        .on_conflict_do_update(
            index_elements=[FormerAddress.subscriber_id, FormerAddress.address_hmac], set_={"left_at": tx.now}
        )
    )


def list_former(tx: Transaction, subscriber_id: int) -> tuple[bytes, ...]:
    """Of this subscriber."""
    query = f"SELECT f.address_hmac FROM former_addresses f WHERE f.subscriber_id = :id AND {NOT_TAKEN} ORDER BY 1"  # noqa: S608 - our own words
    return tuple(tx.session.scalars(text(query), {"id": subscriber_id}))


def find_who_left(tx: Transaction, address_hmac: bytes) -> int | None:
    """The subscriber who had this address last, and has another now."""
    query = f"""
        SELECT f.subscriber_id FROM former_addresses f WHERE f.address_hmac = :hmac AND {NOT_TAKEN}
        ORDER BY f.left_at DESC LIMIT 1
    """  # noqa: S608 - our own words
    found = tx.session.scalar(text(query), {"hmac": address_hmac})
    return None if found is None else int(found)
