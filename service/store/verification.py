"""The ledger read from end to end, in order, with server-side cursors: rows as tuples, a few thousand at a time."""

import itertools
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text

from service.domain.beside_checks import Followed, KeptMail
from service.domain.seal_checks import Sealed, StoredCheckpoint
from service.domain.wording_checks import Wording, shown_by
from service.store.event_rows import spell_time_column, stream, stream_event_rows
from service.store.seals import WORDING_TABLES
from service.store.transaction import Transaction

GIVEN_AT, RECORDED_AT = spell_time_column("given_at"), spell_time_column("e.recorded_at")


def begin_one_moment(tx: Transaction) -> None:
    """Let everything that this transaction reads be of one moment. Only as the first thing in it."""
    tx.session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    tx.session.execute(text("SET LOCAL statement_timeout = 0"))


def stream_events(tx: Transaction) -> Iterator[dict[str, Any]]:
    """Every event, chain by chain, as EVENT_COLUMNS."""
    return stream_event_rows(tx, "FROM consent_events e ORDER BY e.subscriber_id, e.seq")


def stream_sealed(tx: Transaction) -> Iterator[Sealed]:
    rows = stream(
        tx,
        "SELECT s.position, s.event_id, e.record_id, CASE WHEN e.id IS NOT NULL THEN coalesce(e.subscriber_id, 0) END, "
        "CASE WHEN e.id IS NOT NULL THEN coalesce(e.seq, 0) END, e.hash FROM event_seals s "
        "LEFT JOIN consent_events e ON e.id = s.event_id WHERE s.position IS NOT NULL ORDER BY s.position, s.event_id",
    )
    return itertools.starmap(Sealed, rows)


def stream_checkpoints(tx: Transaction) -> Iterator[StoredCheckpoint]:
    sealed_at = spell_time_column("sealed_at")
    rows = stream(
        tx,
        f"SELECT coalesce(number, 0), size, frontier, line, members, {sealed_at} "  # noqa: S608 - our own names
        "FROM checkpoints ORDER BY number NULLS FIRST",
    )
    return itertools.starmap(StoredCheckpoint, rows)


def stream_subscriptions(tx: Transaction) -> Iterator[Followed]:
    """Subject by subject."""
    rows = stream(
        tx,
        f"SELECT coalesce(subscriber_id, 0), list_id, purpose, state, event_id, given_at IS NOT NULL, {GIVEN_AT} "  # noqa: S608 - our own names
        "FROM subscriptions ORDER BY subscriber_id",
    )
    return itertools.starmap(Followed, rows)


def stream_subject_keys(tx: Transaction) -> Iterator[tuple[int, bytes]]:
    return stream(
        tx, "SELECT subscriber_id, wrapped FROM subject_keys WHERE subscriber_id IS NOT NULL ORDER BY subscriber_id"
    )


def stream_readers(tx: Transaction) -> Iterator[tuple[int, str]]:
    """(subject, address) of everybody who can be mailed."""
    return stream(tx, "SELECT id, address FROM subscribers WHERE id IS NOT NULL ORDER BY id")


def stream_confirmations(tx: Transaction) -> Iterator[KeptMail]:
    """Subject by subject."""
    rows = stream(
        tx,
        "SELECT coalesce(m.subscriber_id, 0), m.delivery_id, m.sealed, m.sha256, t.sha256 FROM confirmation_mails m "
        "LEFT JOIN mail_templates t ON t.id = m.template_id ORDER BY m.subscriber_id",
    )
    return itertools.starmap(KeptMail, rows)


def stream_erasures(tx: Transaction) -> Iterator[tuple[int, int | None, bytes]]:
    """(number, subject, hash of the line in the log)."""
    return stream(tx, "SELECT number, subscriber_id, line_sha256 FROM erasures ORDER BY number")


def stream_wordings(tx: Transaction) -> Iterator[Wording]:
    """With the hash of what each says now, made as `store/wordings.py` and `store/contexts.py` make it."""
    for table in WORDING_TABLES:
        said = "list_id, coalesce(definition::text, 'null')" if table == "forms" else "coalesce(body, '')"
        filed = {"notices": "language", "statements": "concat_ws(' ', language, purpose)"}.get(table, "NULL")
        columns = f"id, coalesce(sha256, ''), {filed}, {said}"
        for row in stream(tx, f"SELECT {columns} FROM {table} ORDER BY id"):  # noqa: S608 - our own names
            if table == "forms":
                definition = json.loads(row[4])
                whole = json.dumps([row[3], definition], sort_keys=True)
                shows = tuple(shown_by(definition))
            else:
                whole, shows = row[3], ()
            yield Wording(table, row[0], row[1], sha256(whole.encode()).digest(), row[2], shows)


class Unsealed(NamedTuple):
    events: int
    oldest_at: datetime | None


def get_unsealed(tx: Transaction) -> Unsealed:
    """What waits for the next checkpoint."""
    row = tx.session.execute(
        text(
            f"SELECT count(*), min({RECORDED_AT}) "  # noqa: S608 - our own names
            "FROM event_seals s JOIN consent_events e ON e.id = s.event_id WHERE s.position IS NULL"
        )
    ).one()
    return Unsealed(*row)


def stream_without_seal(tx: Transaction) -> Iterator[tuple[int, UUID, int, int]]:
    """(event id, record id, subject, number) of events that have no row of seals at all."""
    return stream(
        tx,
        "SELECT e.id, e.record_id, coalesce(e.subscriber_id, 0), coalesce(e.seq, 0) FROM consent_events e "
        "WHERE NOT EXISTS (SELECT FROM event_seals s WHERE s.event_id = e.id) ORDER BY e.id",
    )


def stream_without_event(tx: Transaction) -> Iterator[tuple[int]]:
    return stream(
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
