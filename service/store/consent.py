"""The ledger of consent. Only `append` and `append_many` write events, their chain, and the subscriptions that follow.

Subscriptions are written beside their events, in the same statement; nothing else writes either.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from service.domain.event_records import record_of
from service.domain.evidence import Evidence
from service.domain.ledger import (
    BEGINNING,
    LedgerKeys,
    encrypt,
    event_hash,
    new_record_id,
)
from service.domain.subscriptions import state_after
from service.domain.words import Channel, ConsentState, LawfulBasis, Purpose, SubscriptionState
from service.store.schema import ConsentEvent, SubjectKey, Subscription
from service.store.transaction import Transaction

NOBODY = Evidence()


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One event to append. What is left out is not known or does not apply."""

    subscriber_id: int
    list_id: int
    purpose: Purpose
    state: ConsentState
    channel: Channel
    lawful_basis: LawfulBasis = LawfulBasis.CONSENT_DOI
    occurred_at: datetime | None = None
    """None: now."""
    signup_id: int | None = None
    statement_id: int | None = None
    notice_id: int | None = None
    form_id: int | None = None
    delivery_id: int | None = None
    evidence: Evidence = NOBODY
    personal: Mapping[str, Any] = field(default_factory=dict)
    """What else the event says about the person, as JSON values; encrypted with the evidence."""
    actor: str = "subscriber"
    suspect_scanner: bool = False


def append(tx: Transaction, ledger: LedgerKeys, event: NewEvent) -> int:
    """Append one event and make the subscription follow from it. Returns the event's id.

    Events of one subscriber are serialised, so that their ids are in the order in which they took effect.
    Raises LookupError if there is no such subscriber.
    """
    tx.session.flush()
    connection = tx.session.connection()
    found = connection.exec_driver_sql(
        _BEFORE,
        {
            "subscriber": event.subscriber_id,
            "list": event.list_id,
            "purpose": event.purpose.value,
            "statement": event.statement_id,
            "notice": event.notice_id,
            "form": event.form_id,
        },
    ).one_or_none()
    if found is None:
        raise LookupError("an event needs a subscriber")
    if found.wrapped is None:
        key, wrapped = ledger.new_subject_key(event.subscriber_id)
    else:
        key, wrapped = ledger.unwrap(event.subscriber_id, found.wrapped), None
    chain = _Chain(
        key,
        found.address,
        found.address_hmac,
        found.address_version,
        found.seq or 0,
        found.hash or BEGINNING,
    )
    shas = {"statement": found.statement, "notice": found.notice, "form": found.form, "context": found.context}
    row = _row(tx, ledger, event, chain, shas, found.context_id)
    before = SubscriptionState(found.before) if found.before else None
    follows = {
        "new_key": wrapped,
        "after": state_after(event.state, before).value,
        "given_at": row["occurred_at"] if gives(event.state) else found.given_at,
        "now": tx.now,
    }
    return int(connection.exec_driver_sql(_APPEND, row | follows).scalar_one())


# One round trip for everything that the next link of the chain has to know, once nobody else can append to it.
_BEFORE = """
SELECT * FROM lock_chain(%(subscriber)s, %(list)s, %(purpose)s, %(statement)s, %(notice)s, %(form)s)
"""

# Column → its type, in the order of the table; `id` is the database's.
_COLUMNS = {
    "record_id": "uuid",
    "subscriber_id": "bigint",
    "seq": "integer",
    "list_id": "bigint",
    "purpose": "text",
    "state": "text",
    "channel": "text",
    "lawful_basis": "text",
    "occurred_at": "timestamptz",
    "recorded_at": "timestamptz",
    "signup_id": "bigint",
    "statement_id": "bigint",
    "notice_id": "bigint",
    "form_id": "bigint",
    "context_id": "bigint",
    "delivery_id": "bigint",
    "actor": "text",
    "suspect_scanner": "boolean",
    "address_hmac": "bytea",
    "address_version": "smallint",
    "personal": "bytea",
    "prev_hash": "bytea",
    "hash": "bytea",
    "mac": "bytea",
}

# And one for everything that an event brings with it.
_APPEND = f"""
WITH event AS (
    INSERT INTO consent_events ({", ".join(_COLUMNS)}) VALUES ({", ".join(f"%({name})s" for name in _COLUMNS)})
    RETURNING id
), seal AS (
    INSERT INTO event_seals (event_id) SELECT id FROM event
), key AS (
    INSERT INTO subject_keys (subscriber_id, wrapped, created_at)
    SELECT %(subscriber_id)s, %(new_key)s::bytea, %(now)s WHERE %(new_key)s::bytea IS NOT NULL
)
INSERT INTO subscriptions (subscriber_id, list_id, purpose, state, event_id, given_at, updated_at)
SELECT %(subscriber_id)s, %(list_id)s, %(purpose)s, %(after)s, id, %(given_at)s, %(now)s FROM event
ON CONFLICT (subscriber_id, list_id, purpose) DO UPDATE
SET state = excluded.state, event_id = excluded.event_id, given_at = excluded.given_at, updated_at = excluded.updated_at
RETURNING event_id
"""  # noqa: S608 - our own names


def append_many(tx: Transaction, ledger: LedgerKeys, events: Sequence[NewEvent]) -> None:
    """Append the whole pasts of subscribers whom this transaction has just added, in the order in which they happened.

    Nobody else can know them yet, so nothing is locked or read first.
    """
    if not events:
        return
    tx.session.flush()
    chains = _new_chains(tx, ledger, {event.subscriber_id for event in events})
    shas = _Shas(tx)
    in_order = sorted(events, key=lambda event: event.occurred_at or tx.now)
    rows = [_row(tx, ledger, event, chains[event.subscriber_id], shas.of(event), shas.context_id) for event in in_order]
    connection = tx.session.connection()
    columns = {name: [row[name] for row in rows] for name in _COLUMNS}
    ids = {record_id: number for number, record_id in connection.exec_driver_sql(_APPEND_MANY, columns)}
    follows: dict[tuple[int, int, Purpose], dict[str, Any]] = {}
    for event, row in zip(in_order, rows, strict=True):
        key = (event.subscriber_id, event.list_id, event.purpose)
        before = follows.get(key, {})
        follows[key] = {
            "state": state_after(event.state, before.get("state")),
            "event_id": ids[row["record_id"]],
            "given_at": row["occurred_at"] if gives(event.state) else before.get("given_at"),
            "updated_at": row["occurred_at"],
        }
    connection.exec_driver_sql(
        _FOLLOW_MANY,
        {
            "subscriber_id": [subscriber_id for subscriber_id, _, _ in follows],
            "list_id": [list_id for _, list_id, _ in follows],
            "purpose": [purpose.value for _, _, purpose in follows],
            "state": [follow["state"].value for follow in follows.values()],
            **{name: [follow[name] for follow in follows.values()] for name in ("event_id", "given_at", "updated_at")},
        },
    )


_APPEND_MANY = f"""
WITH event AS (
    INSERT INTO consent_events ({", ".join(_COLUMNS)})
    SELECT {", ".join(_COLUMNS)}
    FROM unnest({", ".join(f"%({name})s::{kind}[]" for name, kind in _COLUMNS.items())})
        WITH ORDINALITY AS given({", ".join(_COLUMNS)}, place)
    ORDER BY place
    RETURNING id, record_id
), seal AS (
    INSERT INTO event_seals (event_id) SELECT id FROM event
)
SELECT id, record_id FROM event
"""  # noqa: S608 - our own names

_FOLLOW_MANY = """
INSERT INTO subscriptions (subscriber_id, list_id, purpose, state, event_id, given_at, updated_at)
SELECT * FROM unnest(%(subscriber_id)s::bigint[], %(list_id)s::bigint[], %(purpose)s::text[], %(state)s::text[],
                     %(event_id)s::bigint[], %(given_at)s::timestamptz[], %(updated_at)s::timestamptz[])
"""


def gives(state: ConsentState) -> bool:
    return state in (ConsentState.GIVEN, ConsentState.REAFFIRMED)


@dataclass
class _Chain:
    """A subject while events are appended to it."""

    key: bytes
    address: str
    address_hmac: bytes
    address_version: int
    seq: int = 0
    head: bytes = BEGINNING


class _Shas:
    """Hashes of the wordings that many events name, each read once."""

    def __init__(self, tx: Transaction) -> None:
        self._known: dict[str, dict[int | None, bytes]] = {
            table: {row.id: row.sha256 for row in tx.session.execute(text(f"SELECT id, sha256 FROM {table}"))}  # noqa: S608 - our own names
            for table in ("statements", "notices", "forms")
        }
        newest = tx.session.execute(text("SELECT id, sha256 FROM contexts ORDER BY id DESC LIMIT 1")).one_or_none()
        self.context_id: int | None = newest.id if newest else None
        self._context: bytes | None = newest.sha256 if newest else None

    def of(self, event: NewEvent) -> dict[str, bytes | None]:
        return {
            "statement": self._known["statements"].get(event.statement_id),
            "notice": self._known["notices"].get(event.notice_id),
            "form": self._known["forms"].get(event.form_id),
            "context": self._context,
        }


def _row(
    tx: Transaction,
    ledger: LedgerKeys,
    event: NewEvent,
    chain: _Chain,
    shas: Mapping[str, bytes | None],
    context_id: int | None,
) -> dict[str, Any]:
    """The row of the next event, with `chain` moved on to it."""
    record_id = new_record_id(tx.now.timestamp())
    named = event.state not in (ConsentState.REQUESTED, ConsentState.EXPIRED)  # D-18
    chain.seq += 1
    row: dict[str, Any] = {
        "record_id": record_id,
        "subscriber_id": event.subscriber_id,
        "seq": chain.seq,
        "list_id": event.list_id,
        "purpose": event.purpose.value,
        "state": event.state.value,
        "channel": event.channel.value,
        "lawful_basis": event.lawful_basis.value,
        "occurred_at": event.occurred_at or tx.now,
        "recorded_at": tx.now,
        "signup_id": event.signup_id,
        "statement_id": event.statement_id,
        "notice_id": event.notice_id,
        "form_id": event.form_id,
        "context_id": context_id,
        "delivery_id": event.delivery_id,
        "actor": event.actor,
        "suspect_scanner": event.suspect_scanner,
        "address_hmac": chain.address_hmac if named else None,
        "address_version": chain.address_version if named else None,
        "personal": encrypt(chain.key, _personal(event, chain.address), record_id.bytes),
        "prev_hash": chain.head,
    }
    chain.head = row["hash"] = event_hash(record_of(row, shas))
    row["mac"] = ledger.mac(chain.head)
    return row


def _personal(event: NewEvent, address: str) -> bytes:
    known = {
        "address": address,
        "ip": str(event.evidence.ip) if event.evidence.ip else None,  # the driver gives an address object
        "user_agent": event.evidence.user_agent,
        "page_url": event.evidence.page_url,
        **event.personal,
    }
    return json.dumps({name: value for name, value in known.items() if value is not None}).encode()


def _new_chains(tx: Transaction, ledger: LedgerKeys, subscriber_ids: set[int]) -> dict[int, _Chain]:
    rows = tx.session.execute(
        text("SELECT id, address, address_hmac, address_version FROM subscribers WHERE id = ANY(:ids)"),
        {"ids": list(subscriber_ids)},
    ).all()
    made = {row.id: ledger.new_subject_key(row.id) for row in rows}
    tx.session.execute(
        text(
            "INSERT INTO subject_keys (subscriber_id, wrapped, created_at) "
            "SELECT subscriber_id, wrapped, :now FROM unnest(CAST(:ids AS bigint[]), CAST(:wrapped AS bytea[])) "
            "AS made(subscriber_id, wrapped)"
        ),
        {"ids": list(made), "wrapped": [wrapped for _, wrapped in made.values()], "now": tx.now},
    )
    return {row.id: _Chain(made[row.id][0], row.address, row.address_hmac, row.address_version) for row in rows}


def find_subject_key(tx: Transaction, ledger: LedgerKeys, subscriber_id: int) -> bytes | None:
    """The key that the subject's personal fields are encrypted with; None once it is destroyed."""
    wrapped = tx.session.scalar(select(SubjectKey.wrapped).where(SubjectKey.subscriber_id == subscriber_id))
    return ledger.unwrap(subscriber_id, wrapped) if wrapped is not None else None


def list_events(tx: Transaction, subscriber_id: int) -> Sequence[ConsentEvent]:
    """Everything that this subscriber agreed to or took back, oldest first."""
    return tx.session.scalars(
        select(ConsentEvent).where(ConsentEvent.subscriber_id == subscriber_id).order_by(ConsentEvent.seq)
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
            ConsentEvent.state.in_((ConsentState.GIVEN, ConsentState.REAFFIRMED)),
        )
        .order_by(ConsentEvent.seq.desc())
        .limit(1)
    )
