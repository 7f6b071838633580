"""The ledger read from end to end, in order, with server-side cursors: rows as tuples, a few thousand at a time."""

import itertools
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text

from service.domain.chain_checks import Wording
from service.domain.seal_checks import Sealed, StoredCheckpoint
from service.store.seals import WORDING_TABLES
from service.store.transaction import Transaction

AT_ONCE = 2000
"""Rows per round trip; with events of a kilobyte about 2 MB."""
_names = (f"milepost_verify_{number}" for number in itertools.count())


def begin_one_moment(tx: Transaction) -> None:
    """Let everything that this transaction reads be of one moment. Only as the first thing in it."""
    tx.session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    tx.session.execute(text("SET LOCAL statement_timeout = 0"))


EVENT_COLUMNS = (
    *("id", "record_id", "subscriber_id", "seq", "list_id", "purpose", "state", "channel", "lawful_basis"),
    *("occurred_at", "recorded_at", "signup_id", "statement_id", "notice_id", "form_id", "context_id", "delivery_id"),
    *("actor", "suspect_scanner", "address_hmac", "address_version", "personal", "prev_hash", "hash", "mac"),
)


def stream_events(tx: Transaction) -> Iterator[dict[str, Any]]:
    """Every event, chain by chain, as EVENT_COLUMNS."""
    columns = ", ".join(EVENT_COLUMNS).replace("record_id", "record_id::text")  # as it is spelled in a record
    query = f"SELECT {columns} FROM consent_events ORDER BY subscriber_id, seq"  # noqa: S608 - our own names
    return (dict(zip(EVENT_COLUMNS, row, strict=True)) for row in _stream(tx, query))


def stream_sealed(tx: Transaction) -> Iterator[Sealed]:
    rows = _stream(
        tx,
        "SELECT s.position, s.event_id, e.record_id, e.subscriber_id, e.seq, e.hash FROM event_seals s "
        "LEFT JOIN consent_events e ON e.id = s.event_id WHERE s.position IS NOT NULL ORDER BY s.position, s.event_id",
    )
    return itertools.starmap(Sealed, rows)


def stream_checkpoints(tx: Transaction) -> Iterator[StoredCheckpoint]:
    rows = _stream(tx, "SELECT number, size, frontier, line, members FROM checkpoints ORDER BY number")
    return itertools.starmap(StoredCheckpoint, rows)


def stream_subscriptions(tx: Transaction) -> Iterator[tuple[int, int, str, str, int]]:
    """(subject, list, purpose, state, event id), subject by subject."""
    return _stream(
        tx, "SELECT subscriber_id, list_id, purpose, state, event_id FROM subscriptions ORDER BY subscriber_id"
    )


def stream_subject_keys(tx: Transaction) -> Iterator[tuple[int, bytes]]:
    return _stream(tx, "SELECT subscriber_id, wrapped FROM subject_keys ORDER BY subscriber_id")


def stream_erased(tx: Transaction) -> Iterator[tuple[int]]:
    return _stream(tx, "SELECT subscriber_id FROM erasures ORDER BY subscriber_id")


def stream_wordings(tx: Transaction) -> Iterator[Wording]:
    """With the hash of what each says now, made as `store/wordings.py` and `store/contexts.py` make it."""
    for table in WORDING_TABLES:
        said = "list_id, definition::text" if table == "forms" else "body"
        for row in _stream(tx, f"SELECT id, sha256, {said} FROM {table} ORDER BY id"):  # noqa: S608 - our own names
            whole = json.dumps([row[2], json.loads(row[3])], sort_keys=True) if table == "forms" else row[2]
            yield Wording(table, row[0], row[1], sha256(whole.encode()).digest())


class Unsealed(NamedTuple):
    events: int
    oldest_at: datetime | None


def get_unsealed(tx: Transaction) -> Unsealed:
    """What waits for the next checkpoint."""
    row = tx.session.execute(
        text(
            "SELECT count(*), min(e.recorded_at) FROM event_seals s JOIN consent_events e ON e.id = s.event_id "
            "WHERE s.position IS NULL"
        )
    ).one()
    return Unsealed(*row)


def stream_without_seal(tx: Transaction) -> Iterator[tuple[int, UUID, int, int]]:
    """(event id, record id, subject, number) of events that have no row of seals at all."""
    return _stream(
        tx,
        "SELECT e.id, e.record_id, e.subscriber_id, e.seq FROM consent_events e "
        "WHERE NOT EXISTS (SELECT FROM event_seals s WHERE s.event_id = e.id) ORDER BY e.id",
    )


def stream_without_event(tx: Transaction) -> Iterator[tuple[int]]:
    return _stream(
        tx,
        "SELECT s.event_id FROM event_seals s WHERE s.position IS NULL "
        "AND NOT EXISTS (SELECT FROM consent_events e WHERE e.id = s.event_id) ORDER BY s.event_id",
    )


def find_place(tx: Transaction, subject: int, seq: int) -> Mapping[str, Any] | None:
    """event_id, record_id, position and checkpoint of an event that is there."""
    row = (
        tx.session.execute(
            text(
                "SELECT e.id AS event_id, e.record_id, s.position, (SELECT number FROM checkpoints "
                "WHERE size > s.position ORDER BY size, number LIMIT 1) AS checkpoint "
                "FROM consent_events e LEFT JOIN event_seals s ON s.event_id = e.id "
                "WHERE e.subscriber_id = :subject AND e.seq = :seq LIMIT 1"
            ),
            {"subject": subject, "seq": seq},
        )
        .mappings()
        .one_or_none()
    )
    return dict(row) if row else None


def _stream(tx: Transaction, sql: str) -> Iterator[Any]:
    """Rows as tuples in binary form: nothing between the driver and the check that a million rows would pay for."""
    driver = tx.session.connection().connection.driver_connection
    assert driver is not None
    with driver.cursor(next(_names)) as cursor:
        cursor.execute(sql, binary=True)
        while rows := cursor.fetchmany(AT_ONCE):
            yield from rows
