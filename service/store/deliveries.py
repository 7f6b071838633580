"""Deliveries: one row per recipient, claimed, given back and recorded in sets."""

from service.domain.letters import Letter
from service.domain.words import DeliveryStatus, Lane, MailKind, Purpose
from service.ports import Hint
from service.store.schema import Delivery
from service.store.transaction import Transaction


def add_interactive(
    tx: Transaction,
    *,
    kind: MailKind,
    subscriber_id: int,
    list_id: int,
    purpose: Purpose | None = None,
    signup_id: int | None = None,
) -> int:
    """Queue one mail to one subscriber, due now, and hint the interactive lane. Returns the delivery's id."""
    delivery = Delivery(
        lane=Lane.INTERACTIVE,
        kind=kind,
        subscriber_id=subscriber_id,
        list_id=list_id,
        purpose=purpose,
        signup_id=signup_id,
        status=DeliveryStatus.QUEUED,
        due_at=tx.now,
        created_at=tx.now,
    )
    tx.session.add(delivery)
    tx.session.flush()
    tx.hint(Hint.SEND_DUE, Lane.INTERACTIVE)
    return delivery.id


def read_letters(tx: Transaction, delivery_ids: list[int]) -> list[Letter]:
    """What each mail says, in the order of the ids."""
    raise NotImplementedError
