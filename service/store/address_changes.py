"""Changes of address that wait for the new address to confirm them (D-14).

One that is over is emptied, and stays for a month: moving to and fro resets no limit of questions (E-05).
"""

from datetime import datetime

from sqlalchemy import func, select, text, update

from service.domain.addresses import Address
from service.domain.private_access import DAY
from service.store import former_addresses
from service.store.schema import AddressChange, Subscriber
from service.store.transaction import Transaction

EMPTIED_CHANGE = "address = '', dedupe_key = '', address_hmac = ''"
"""What is left of a change counts against list bombing, and shows nobody. Never while its mail is on the wire."""


def add_change(
    tx: Transaction,
    subscriber_id: int,
    address: Address,
    *,
    address_hmac: bytes,
    abuse_hmac: bytes,
    expires_at: datetime,
) -> int:
    """Wait for this address; what the subscriber asked for before is over. Returns the change's id."""
    tx.session.execute(
        update(AddressChange)
        .where(AddressChange.subscriber_id == subscriber_id, AddressChange.expires_at > tx.now)
        .values(expires_at=tx.now)
    )
    change = AddressChange(
        subscriber_id=subscriber_id,
        address=address.address,
        dedupe_key=address.dedupe_key,
        address_hmac=address_hmac,
        abuse_hmac=abuse_hmac,
        created_at=tx.now,
        expires_at=expires_at,
    )
    tx.session.add(change)
    tx.session.flush()
    return change.id


def count_of_subscriber(tx: Transaction, subscriber_id: int) -> int:
    """Changes asked for within a day."""
    return (
        tx.session.scalar(
            select(func.count())
            .select_from(AddressChange)
            .where(AddressChange.subscriber_id == subscriber_id, AddressChange.created_at > tx.now - DAY)
        )
        or 0
    )


def find_change(tx: Transaction, change_id: int) -> AddressChange | None:
    return tx.session.get(AddressChange, change_id, populate_existing=True)


def lock_change(tx: Transaction, change_id: int) -> AddressChange | None:
    return tx.session.scalar(
        select(AddressChange)
        .where(AddressChange.id == change_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def move_subscriber(
    tx: Transaction, subscriber_id: int, change: AddressChange, *, address_hmac: bytes, address_version: int
) -> None:
    """The subscriber is known by the new address from now on, and the change is done."""
    before = tx.session.scalars(select(Subscriber.address_hmac).where(Subscriber.id == subscriber_id)).one()
    former_addresses.add_former(tx, subscriber_id, before)
    tx.session.execute(
        update(Subscriber)
        .where(Subscriber.id == subscriber_id)
        .values(
            address=change.address,
            dedupe_key=change.dedupe_key,
            address_hmac=address_hmac,
            address_version=address_version,
            address_changed_at=tx.now,
        )
    )
    tx.session.execute(  # the fingerprint stays for a week: a question that is still on the wire may bounce
        update(AddressChange)
        .where(AddressChange.subscriber_id == subscriber_id)
        .values(address="", dedupe_key="", expires_at=func.least(AddressChange.expires_at, tx.now))
    )


def lock_signups(tx: Transaction, subscriber_id: int) -> None:
    """Those that `close_signups` will close. Before the subscriber, as when one is confirmed: no deadlock."""
    tx.session.execute(
        text("SELECT FROM signups WHERE subscriber_id = :id AND state = 'asked' ORDER BY id FOR UPDATE"),
        {"id": subscriber_id},
    )


def close_signups(tx: Transaction, subscriber_id: int) -> None:
    """Whoever still reads the old mailbox can confirm nothing for the new one."""
    tx.session.execute(
        text("UPDATE signups SET state = 'expired' WHERE subscriber_id = :id AND state = 'asked'"),
        {"id": subscriber_id},
    )
