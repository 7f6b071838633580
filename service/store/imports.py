"""Imports and their rows: in quarantine, let in, asked, taken back; and what is known here about their addresses."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from service.domain.imports import Known
from service.domain.words import ImportReason, ImportStatus, ImportVerdict, Purpose, SuppressionReason
from service.errors import Kind, ServiceError
from service.store.former_addresses import NOT_TAKEN
from service.store.schema import Import, ImportRow
from service.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class NewRow:
    line: int
    verdict: ImportVerdict
    reason: ImportReason
    address_hmac: bytes | None
    sealed: bytes | None


def add_import(tx: Transaction, **values: Any) -> int:
    """A file that is being read. Returns the import's id."""
    row = Import(status=ImportStatus.CHECKED, created_at=tx.now, file_sha256=b"", **values)
    tx.session.add(row)
    tx.session.flush()
    return row.id


def get_import(tx: Transaction, import_id: int, *, lock: bool = False) -> Import:
    """Raises ServiceError (NOT_FOUND). With `lock`, one act on an import at a time."""
    found = tx.session.get(Import, import_id, populate_existing=True, with_for_update=lock or None)
    if found is None:
        raise ServiceError(
            Kind.NOT_FOUND,
            "import_unknown",
            f"There is no import {import_id}; nothing was done. `milepost import list` shows them.",
        )
    return found


def list_imports(tx: Transaction, limit: int) -> Sequence[Import]:
    """The newest first."""
    return tx.session.scalars(select(Import).order_by(Import.id.desc()).limit(limit)).all()


def add_rows(tx: Transaction, import_id: int, rows: Sequence[NewRow]) -> None:
    columns = {
        "line": [row.line for row in rows],
        "verdict": [row.verdict.value for row in rows],
        "reason": [row.reason.value for row in rows],
        "hmac": [row.address_hmac for row in rows],
        "sealed": [row.sealed for row in rows],
    }
    tx.session.execute(text(_ADD_ROWS), columns | {"import": import_id})


_ADD_ROWS = """
INSERT INTO import_rows (import_id, line, verdict, reason, address_hmac, sealed)
SELECT :import, * FROM unnest(CAST(:line AS int[]), CAST(:verdict AS text[]), CAST(:reason AS text[]),
                              CAST(:hmac AS bytea[]), CAST(:sealed AS bytea[]))
"""


def settle_rows(tx: Transaction, import_id: int, settled: Sequence[tuple[int, ImportVerdict, ImportReason]]) -> None:
    """These lines are decided otherwise than before: they wait for nothing any more, and their text is dropped."""
    tx.session.execute(
        text(
            "UPDATE import_rows r SET verdict = g.verdict, reason = g.reason, sealed = NULL "
            "FROM unnest(CAST(:line AS int[]), CAST(:verdict AS text[]), CAST(:reason AS text[])) "
            "AS g(line, verdict, reason) WHERE r.import_id = :import AND r.line = g.line"
        ),
        {
            "import": import_id,
            "line": [line for line, _, _ in settled],
            "verdict": [verdict.value for _, verdict, _ in settled],
            "reason": [reason.value for _, _, reason in settled],
        },
    )


def read_known(tx: Transaction, address_hmacs: Iterable[bytes], list_id: int) -> dict[bytes, Known]:
    """What is known about these addresses; nothing about strangers."""
    rows = tx.session.execute(text(_KNOWN), {"hmacs": list(address_hmacs), "list": list_id}).mappings()
    return {
        row["address_hmac"]: Known(
            **{name: value for name, value in row.items() if name not in ("address_hmac", "orders")},
            orders=frozenset(SuppressionReason(reason) for reason in row["orders"]),
        )
        for row in rows
    }


# The last word about a purpose is the newest event that gave or took; a request that ran out says nothing.
_KNOWN = f"""
WITH asked AS (SELECT DISTINCT hmac FROM unnest(CAST(:hmacs AS bytea[])) AS h(hmac)),
orders AS (
    SELECT a.hmac, array_agg(DISTINCT x.reason) AS reasons
    FROM asked a JOIN suppressions x ON x.address_hmac = a.hmac
    WHERE x.lifted_at IS NULL AND (x.list_id IS NULL OR x.list_id = :list) GROUP BY a.hmac
), readers AS (
    SELECT a.hmac, s.id,
           coalesce(bool_or(b.list_id = :list AND b.state = 'active'), false) AS active_here,
           coalesce(bool_or(b.list_id = :list AND b.state = 'pending'), false) AS waiting_here,
           coalesce(bool_or(b.list_id = :list AND w.state = 'withdrawn'), false) AS withdrawn_here,
           coalesce(bool_or(b.list_id <> :list AND b.state = 'active'), false) AS active_elsewhere,
           coalesce(bool_or(b.list_id <> :list AND w.state = 'withdrawn'), false) AS withdrawn_elsewhere
    FROM asked a JOIN subscribers s ON s.address_hmac = a.hmac
    LEFT JOIN subscriptions b ON b.subscriber_id = s.id
    LEFT JOIN LATERAL (
        SELECT e.state FROM consent_events e
        WHERE e.subscriber_id = s.id AND e.list_id = b.list_id AND e.purpose = b.purpose
          AND e.state IN ('given', 'reaffirmed', 'withdrawn', 'invalidated')
        ORDER BY e.seq DESC LIMIT 1) w ON true
    GROUP BY a.hmac, s.id
), moved AS (
    SELECT DISTINCT a.hmac FROM asked a JOIN former_addresses f ON f.address_hmac = a.hmac WHERE {NOT_TAKEN}
), mailed AS (
    SELECT a.hmac FROM asked a JOIN import_rows r ON r.address_hmac = a.hmac
    WHERE r.verdict = 'needs_confirming' AND r.admitted_at IS NOT NULL
)
SELECT a.hmac AS address_hmac, r.id AS subscriber_id, coalesce(o.reasons, '{{}}') AS orders,
       coalesce(r.active_here, false) AS active_here, coalesce(r.waiting_here, false) AS waiting_here,
       coalesce(r.withdrawn_here, false) AS withdrawn_here, coalesce(r.active_elsewhere, false) AS active_elsewhere,
       coalesce(r.withdrawn_elsewhere, false) AS withdrawn_elsewhere, m.hmac IS NOT NULL AS asked_before,
       f.hmac IS NOT NULL AS left_by_a_reader
FROM asked a
LEFT JOIN orders o ON o.hmac = a.hmac LEFT JOIN readers r ON r.hmac = a.hmac LEFT JOIN mailed m ON m.hmac = a.hmac
LEFT JOIN moved f ON f.hmac = a.hmac
WHERE o.hmac IS NOT NULL OR r.hmac IS NOT NULL OR m.hmac IS NOT NULL OR f.hmac IS NOT NULL
"""  # noqa: S608 - our own words


def add_orders(tx: Transaction, orders: Mapping[bytes, SuppressionReason], source: str) -> int:
    """Standing orders for all lists, each source's own. Returns how many addresses had no such order before."""
    added = tx.session.scalars(
        text(
            """
            WITH given AS (SELECT * FROM unnest(CAST(:hmacs AS bytea[]), CAST(:reasons AS text[])) AS g(hmac, reason)),
            added AS (
                INSERT INTO suppressions (address_hmac, reason, source, created_at)
                SELECT g.hmac, g.reason, :source, :now FROM given g
            )
            SELECT g.hmac FROM given g
            WHERE NOT EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hmac = g.hmac AND x.reason = g.reason
                                AND x.list_id IS NULL AND x.lifted_at IS NULL)
            """
        ),
        {
            "hmacs": list(orders),
            "reasons": [reason.value for reason in orders.values()],
            "source": source,
            "now": tx.now,
        },
    )
    return len(added.all())


def lift_orders(tx: Transaction, source: str) -> int:
    """End the orders that an import made. Returns how many."""
    lifted = tx.session.scalars(
        text("UPDATE suppressions SET lifted_at = :now WHERE source = :source AND lifted_at IS NULL RETURNING id"),
        {"source": source, "now": tx.now},
    )
    return len(lifted.all())


@dataclass(frozen=True, slots=True)
class InForce:
    """A consent in force of somebody who, as an import says, opted out, bounced or complained."""

    address_hmac: bytes
    subscriber_id: int
    list_id: int
    purpose: Purpose


def list_in_force(tx: Transaction, address_hmacs: Iterable[bytes]) -> list[InForce]:
    rows = tx.session.execute(
        text(
            "SELECT s.address_hmac, b.subscriber_id, b.list_id, b.purpose "
            "FROM subscribers s JOIN subscriptions b ON b.subscriber_id = s.id "
            "WHERE s.address_hmac = ANY(:hmacs) AND b.state = 'active' ORDER BY s.id, b.list_id, b.purpose"
        ),
        {"hmacs": list(address_hmacs)},
    )
    return [InForce(row.address_hmac, row.subscriber_id, row.list_id, Purpose(row.purpose)) for row in rows]


def take_waiting(tx: Transaction, import_id: int, verdict: ImportVerdict, limit: int) -> Sequence[ImportRow]:
    """The first rows of this verdict that nobody has let in or asked; their text is still there."""
    return tx.session.scalars(
        select(ImportRow)
        .where(
            ImportRow.import_id == import_id,
            ImportRow.verdict == verdict,
            ImportRow.admitted_at.is_(None),
            ImportRow.sealed.is_not(None),
        )
        .order_by(ImportRow.line)
        .limit(limit)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def mark_admitted(tx: Transaction, row: ImportRow, subscriber_id: int, signup_id: int | None = None) -> None:
    row.subscriber_id = subscriber_id
    row.signup_id = signup_id
    row.admitted_at = tx.now


def find_asked(tx: Transaction, signup_id: int) -> ImportRow | None:
    """The row that a sign-up asks about."""
    return tx.session.scalar(select(ImportRow).where(ImportRow.signup_id == signup_id))


def count_admitted_since(tx: Transaction, import_id: int, verdict: ImportVerdict, since: datetime) -> int:
    counted = text(
        "SELECT count(*) FROM import_rows WHERE import_id = :import AND verdict = :verdict AND admitted_at > :since"
    )
    return int(tx.session.scalars(counted, {"import": import_id, "verdict": verdict.value, "since": since}).one())


@dataclass(frozen=True, slots=True)
class RowCount:
    verdict: ImportVerdict
    reason: str
    rows: int
    waiting: int
    """In quarantine: not let in, not asked."""
    admitted: int


def count_rows(tx: Transaction, import_id: int) -> list[RowCount]:
    """By verdict and reason, as things stand now."""
    rows = tx.session.execute(
        text(
            """
            SELECT verdict, reason, count(*) AS rows, count(admitted_at) AS admitted,
                   count(*) FILTER (WHERE admitted_at IS NULL AND sealed IS NOT NULL) AS waiting
            FROM import_rows WHERE import_id = :import GROUP BY verdict, reason ORDER BY 3 DESC, 1, 2
            """
        ),
        {"import": import_id},
    )
    return [RowCount(ImportVerdict(row.verdict), row.reason, row.rows, row.waiting, row.admitted) for row in rows]


def is_waiting(tx: Transaction, import_id: int) -> bool:
    """Whether anything of the import is still in quarantine."""
    waiting = select(ImportRow.line).where(
        ImportRow.import_id == import_id, ImportRow.admitted_at.is_(None), ImportRow.sealed.is_not(None)
    )
    return tx.session.scalar(waiting.limit(1)) is not None
