"""The ledger of consent. Only `append` and `append_many` write events and the subscriptions that follow from them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from service.domain.evidence import Evidence
from service.domain.subscriptions import state_after
from service.domain.words import Channel, ConsentState, Purpose, SubscriptionState
from service.store.schema import ConsentEvent, Subscription
from service.store.subscribers import lock_subscriber
from service.store.transaction import Transaction

NOBODY = Evidence()


def append(
    tx: Transaction,
    *,
    subscriber_id: int,
    list_id: int,
    purpose: Purpose,
    state: ConsentState,
    channel: Channel,
    occurred_at: datetime | None = None,
    signup_id: int | None = None,
    statement_id: int | None = None,
    notice_id: int | None = None,
    form_id: int | None = None,
    delivery_id: int | None = None,
    evidence: Evidence = NOBODY,
    actor: str = "subscriber",
) -> int:
    """Append one event and make the subscription follow from it. Returns the event's id.

    Events of one subscriber are serialised, so that their ids are in the order in which they took effect.
    """
    lock_subscriber(tx, subscriber_id)
    event = ConsentEvent(
        subscriber_id=subscriber_id,
        list_id=list_id,
        purpose=purpose,
        state=state,
        channel=channel,
        occurred_at=occurred_at or tx.now,
        signup_id=signup_id,
        statement_id=statement_id,
        notice_id=notice_id,
        form_id=form_id,
        delivery_id=delivery_id,
        page_url=evidence.page_url,
        ip=evidence.ip,
        user_agent=evidence.user_agent,
        actor=actor,
    )
    tx.session.add(event)
    tx.session.flush()
    _follow(tx, event)
    return event.id


def _follow(tx: Transaction, event: ConsentEvent) -> None:
    """Write the subscription that follows from `event`."""
    before = tx.session.execute(
        select(Subscription.state, Subscription.given_at).where(
            Subscription.subscriber_id == event.subscriber_id,
            Subscription.list_id == event.list_id,
            Subscription.purpose == event.purpose,
        )
    ).one_or_none()
    given_at = before.given_at if before else None
    values = {
        "state": state_after(event.state, before.state if before else None),
        "event_id": event.id,
        "given_at": event.occurred_at if event.state is ConsentState.GIVEN else given_at,
        "updated_at": tx.now,
    }
    tx.session.execute(
        insert(Subscription)
        .values(subscriber_id=event.subscriber_id, list_id=event.list_id, purpose=event.purpose, **values)
        .on_conflict_do_update(constraint="pk_subscriptions", set_=values)
    )


def append_many(tx: Transaction, events: Sequence[ConsentEvent]) -> None:
    """Append the whole pasts of subscribers whom this transaction has just added, in the order in which they happened.

    Nobody else can know them yet, so nothing is locked or read first.
    """
    tx.session.add_all(events)
    tx.session.flush()
    follows: dict[tuple[int, int, Purpose], dict[str, Any]] = {}
    for event in sorted(events, key=lambda event: event.id):
        key = (event.subscriber_id, event.list_id, event.purpose)
        before = follows.get(key, {})
        follows[key] = {
            "subscriber_id": event.subscriber_id,
            "list_id": event.list_id,
            "purpose": event.purpose,
            "state": state_after(event.state, before.get("state")),
            "event_id": event.id,
            "given_at": event.occurred_at if event.state is ConsentState.GIVEN else before.get("given_at"),
            "updated_at": event.occurred_at,
        }
    if follows:
        tx.session.execute(insert(Subscription), list(follows.values()))


def list_events(tx: Transaction, subscriber_id: int) -> Sequence[ConsentEvent]:
    """Everything that this subscriber agreed to or took back, oldest first."""
    return tx.session.scalars(
        select(ConsentEvent).where(ConsentEvent.subscriber_id == subscriber_id).order_by(ConsentEvent.id)
    ).all()


def get_active_purposes(tx: Transaction, subscriber_id: int, list_id: int) -> frozenset[Purpose]:
    return frozenset(
        tx.session.scalars(
            select(Subscription.purpose).where(
                Subscription.subscriber_id == subscriber_id,
                Subscription.list_id == list_id,
                Subscription.state == SubscriptionState.ACTIVE,
            )
        )
    )


def find_event(tx: Transaction, event_id: int) -> ConsentEvent | None:
    return tx.session.get(ConsentEvent, event_id)


def list_withdrawn_together(tx: Transaction, event: ConsentEvent) -> Sequence[ConsentEvent]:
    """The withdrawals made by the same press of a button as `event`, if each is still the last word."""
    return tx.session.scalars(
        select(ConsentEvent)
        .join(Subscription, Subscription.event_id == ConsentEvent.id)
        .where(
            ConsentEvent.subscriber_id == event.subscriber_id,
            ConsentEvent.state == ConsentState.WITHDRAWN,
            ConsentEvent.occurred_at == event.occurred_at,
        )
        .order_by(ConsentEvent.id)
    ).all()


def find_last_given(tx: Transaction, subscriber_id: int, list_id: int, purpose: Purpose) -> ConsentEvent | None:
    return tx.session.scalar(
        select(ConsentEvent)
        .where(
            ConsentEvent.subscriber_id == subscriber_id,
            ConsentEvent.list_id == list_id,
            ConsentEvent.purpose == purpose,
            ConsentEvent.state == ConsentState.GIVEN,
        )
        .order_by(ConsentEvent.id.desc())
        .limit(1)
    )
