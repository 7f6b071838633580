"""Whom an import brought, what they have done since, and cutting off what has not left: for taking it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from service.domain.words import Purpose
from service.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Brought:
    """A reader of an import's row, as things stand."""

    line: int
    subscriber_id: int
    sealed: bytes | None
    asked: bool
    """Had the question; else let in on the row's evidence."""
    was_here: bool
    """A reader before the row was let in."""
    acted: bool
    """By a consent event or a request of their own since. That somebody typed their address into a form is no act."""
    plain: bool
    """Daily, at any hour, not paused, same address."""
    language: str
    topic_ids: tuple[int, ...]
    """Of the import's list."""
    purposes: tuple[Purpose, ...]
    """Of the import's list, in force or waiting for the button."""


def lock_brought(tx: Transaction, import_id: int) -> list[Brought]:
    """Everybody whom the import let in or asked and who is not erased, with nobody able to change them meanwhile."""
    values = {"import": import_id}
    # Sign-ups before subscribers, as whoever presses the button locks them. In statements of their own: what the next
    # one reads is then what holds until this transaction ends.
    tx.session.execute(text(_LOCK_SIGNUPS), values)
    tx.session.execute(text(_LOCK), values)
    return [
        Brought(
            **row
            | {
                "topic_ids": tuple(row["topic_ids"]),
                "purposes": tuple(Purpose(purpose) for purpose in row["purposes"]),
            }
        )
        for row in (dict(found) for found in tx.session.execute(text(_BROUGHT), values).mappings())
    ]


_LOCK_SIGNUPS = """
SELECT g.id FROM signups g JOIN import_rows r ON r.signup_id = g.id
WHERE r.import_id = :import ORDER BY g.id FOR UPDATE OF g
"""
_LOCK = """
SELECT s.id FROM subscribers s JOIN import_rows r ON r.subscriber_id = s.id
WHERE r.import_id = :import AND r.admitted_at IS NOT NULL ORDER BY s.id FOR NO KEY UPDATE OF s
"""
_BROUGHT = """
SELECT r.line, r.subscriber_id, r.sealed, r.verdict = 'needs_confirming' AS asked,
       s.created_at < r.admitted_at AS was_here,
       EXISTS (SELECT 1 FROM consent_events e WHERE e.subscriber_id = s.id AND e.actor = 'subscriber'
                 AND e.state <> 'requested' AND e.recorded_at >= r.admitted_at)
           OR EXISTS (SELECT 1 FROM privacy_requests p WHERE p.subscriber_id = s.id AND p.asked_by = 'subscriber'
                        AND p.asked_at >= r.admitted_at) AS acted,
       s.rhythm = 'daily' AND s.local_hour IS NULL AND s.paused_until IS NULL AND s.address_changed_at IS NULL AS plain,
       s.language,
       ARRAY(SELECT c.topic_id FROM subscriber_topics c JOIN topics t ON t.id = c.topic_id
             WHERE c.subscriber_id = s.id AND t.list_id = i.list_id ORDER BY 1) AS topic_ids,
       ARRAY(SELECT b.purpose FROM subscriptions b WHERE b.subscriber_id = s.id AND b.list_id = i.list_id
               AND b.state IN ('active', 'pending') ORDER BY 1) AS purposes
FROM import_rows r JOIN imports i ON i.id = r.import_id JOIN subscribers s ON s.id = r.subscriber_id
WHERE r.import_id = :import AND r.admitted_at IS NOT NULL ORDER BY r.line
"""


def close_questions(tx: Transaction, import_id: int, lines: Sequence[int]) -> int:
    """End what was asked on behalf of these rows; who had no mail yet counts as never asked. Returns the mails cut."""
    return int(tx.session.scalars(text(_CUT), {"import": import_id, "lines": list(lines), "now": tx.now}).one())


_CUT = """
WITH rows AS (
    SELECT line, signup_id FROM import_rows
    WHERE import_id = :import AND line = ANY(:lines) AND signup_id IS NOT NULL
), closed AS (
    UPDATE signups g SET state = 'expired' FROM rows WHERE g.id = rows.signup_id AND g.state = 'asked'
), cut AS (
    UPDATE deliveries d SET status = 'cancelled', finished_at = :now FROM rows
    WHERE d.signup_id = rows.signup_id AND d.kind = 'repermission' AND d.status = 'queued'
    RETURNING d.id, rows.line
), never_asked AS (
    UPDATE import_rows r SET admitted_at = NULL FROM cut
    WHERE r.import_id = :import AND r.line = cut.line AND NOT EXISTS (
        SELECT 1 FROM attempts a WHERE a.delivery_id = cut.id AND a.fate = 'unknown')
)
SELECT count(*) FROM cut
"""


_EMPTY = """
UPDATE import_rows SET sealed = NULL, signup_id = NULL,
    subscriber_id = CASE WHEN admitted_at IS NOT NULL THEN subscriber_id END,
    address_hmac = CASE WHEN verdict = 'needs_confirming' AND admitted_at IS NOT NULL THEN address_hmac END
WHERE import_id = :import
"""


def shred(tx: Transaction, import_id: int, at: datetime) -> int:
    """Empty every row of the import and destroy the key. Returns how many rows were waiting.

    Rows stay bound to their readers, of whom more may be held; forgetting these unbinds them.
    """
    values = {"import": import_id, "at": at}
    waiting = text(
        "SELECT count(*) FROM import_rows WHERE import_id = :import AND sealed IS NOT NULL AND admitted_at IS NULL"
    )
    number = int(tx.session.scalars(waiting, values).one())
    tx.session.execute(text(_EMPTY), values)
    tx.session.execute(
        text("UPDATE imports SET wrapped = NULL, status = 'undone', undone_at = :at WHERE id = :import"), values
    )
    return number
