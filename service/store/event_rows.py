"""Rows of the ledger as tuples, a few thousand at a time, as sealing and verifying read them.

Whoever rules the database may have lifted its constraints: what no event can be (a time that never ends, no number) is
read as what fits no hash, and never as an error.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from service.store.transaction import Transaction

AT_ONCE = 2000
"""Rows per round trip; with events of a kilobyte about 2 MB."""
_names = (f"milepost_stream_{number}" for number in itertools.count())

EVENT_COLUMNS = (
    *("id", "record_id", "subscriber_id", "seq", "list_id", "purpose", "state", "channel", "lawful_basis"),
    *("occurred_at", "recorded_at", "signup_id", "statement_id", "notice_id", "form_id", "context_id", "delivery_id"),
    *("actor", "suspect_scanner", "address_hmac", "address_version", "personal", "prev_hash", "hash", "mac"),
)


def spell_time_column(name: str) -> str:
    """The time, or NULL for what Python has no word for: infinity, before Christ, after the year 9999."""
    return f"CASE WHEN {name} > '0002-01-01' AND {name} < '9999-01-01' THEN {name} END"


def _spell(name: str) -> str:
    match name:
        case "record_id":
            return "e.record_id::text"  # as it is spelled in a record
        case "occurred_at" | "recorded_at":
            return spell_time_column(f"e.{name}")
        case "subscriber_id" | "seq":
            return f"coalesce(e.{name}, 0)"
        case _:
            return f"e.{name}"


_SPELLED = ", ".join(map(_spell, EVENT_COLUMNS))


def stream_event_rows(tx: Transaction, tail: str, values: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Events as EVENT_COLUMNS. `tail`: what follows SELECT, with the events as `e`."""
    rows = stream(tx, f"SELECT {_SPELLED} {tail}", values)
    return (dict(zip(EVENT_COLUMNS, row, strict=True)) for row in rows)


def stream(tx: Transaction, sql: str, values: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Rows as tuples in binary form: nothing between the driver and the check that a million rows would pay for."""
    driver = tx.session.connection().connection.driver_connection
    assert driver is not None
    with driver.cursor(next(_names)) as cursor:
        cursor.execute(sql, values, binary=True)
        while rows := cursor.fetchmany(AT_ONCE):
            yield from rows
