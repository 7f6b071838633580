"""What each rule of retention acts on, and how: counted, and done in sets (templates/privacy/retention.toml).

Some rules are about whole persons; who is due is listed here, and `usecases/retaining.py` forgets them, or only what
they never confirmed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from service.domain.words import SubscriptionState
from service.store.address_changes import EMPTIED_CHANGE
from service.store.erasures import EMPTIED_IMPORT_ROW, EMPTIED_SIGNUP
from service.store.schema import RetentionRun, Subscription
from service.store.transaction import Transaction

BATCH = 5_000


@dataclass(frozen=True, slots=True)
class _Set:
    """Rows of one table. `due`: its conditions; `act`: what becomes of those named by `due_ids`."""

    table: str
    due: str
    act: str


# A sign-up may wait long before it is decided (held): its mail counts from then.
_SETS = {
    "unconfirmed_signups": _Set(
        "signups",
        "created_at < :cutoff AND address IS NOT NULL",
        # With it the row of an import that it asks about, and the copy of a mail that nobody answered.
        f"""
        WITH rows AS (UPDATE import_rows SET sealed = NULL WHERE signup_id IN (SELECT id FROM due_ids)),
        copies AS (
            DELETE FROM confirmation_mails WHERE delivery_id IN (
                SELECT d.id FROM due_ids JOIN signups g ON g.id = due_ids.id JOIN deliveries d ON d.signup_id = g.id
                WHERE g.state <> 'confirmed')
        )
        UPDATE signups SET {EMPTIED_SIGNUP} WHERE id IN (SELECT id FROM due_ids)
        """,  # noqa: S608 - our own words
    ),
    "signup_counters": _Set(
        "signups",
        "coalesce(decided_at, created_at) < :cutoff",
        "DELETE FROM signups WHERE id IN (SELECT id FROM due_ids)",
    ),
    "address_changes": _Set(
        "address_changes",
        "created_at < :cutoff AND (address <> '' OR address_hmac <> '')",
        # With the copy of a question that nobody answered: no event names it.
        f"""
        WITH copies AS (
            DELETE FROM confirmation_mails m USING deliveries d, due_ids
            WHERE d.id = m.delivery_id AND d.address_change_id = due_ids.id AND NOT EXISTS (
                SELECT FROM consent_events e WHERE e.subscriber_id = m.subscriber_id AND e.delivery_id = m.delivery_id)
        )
        UPDATE address_changes SET {EMPTIED_CHANGE} WHERE id IN (SELECT id FROM due_ids)
        """,  # noqa: S608 - our words
    ),
    "address_change_counters": _Set(
        "address_changes", "created_at < :cutoff", "DELETE FROM address_changes WHERE id IN (SELECT id FROM due_ids)"
    ),
    "relay_texts": _Set(
        "attempts",
        "at < :cutoff AND text <> ''",
        "UPDATE attempts SET text = '' WHERE id IN (SELECT id FROM due_ids)",
    ),
    # Articles stay mailed to their reader, by a mail that nobody can name any more.
    "send_log": _Set(
        "deliveries",
        "coalesce(finished_at, due_at) < :cutoff AND created_at < :cutoff AND status NOT IN ('queued', 'sending') "
        "AND (subscriber_id IS NOT NULL OR test_address IS NOT NULL)",
        """
        WITH articles AS (UPDATE mailed_articles SET delivery_id = NULL WHERE delivery_id IN (SELECT id FROM due_ids))
        UPDATE deliveries SET subscriber_id = NULL, test_address = NULL, test_language = NULL, address_change_id = NULL,
            erased_at = :now
        WHERE id IN (SELECT id FROM due_ids)
        """,
    ),
    "privacy_requests": _Set(
        "privacy_requests", "done_at < :cutoff", "DELETE FROM privacy_requests WHERE id IN (SELECT id FROM due_ids)"
    ),
}
_OLD_ROWS = (
    "admitted_at IS NULL AND (sealed IS NOT NULL OR address_hmac IS NOT NULL) "
    "AND import_id IN (SELECT id FROM imports WHERE created_at < :cutoff)"
)
_WHOLE = {
    "repeated_requests": _Set(
        "idempotent_requests", "created_at < :cutoff", "DELETE FROM idempotent_requests WHERE created_at < :cutoff"
    ),
    "import_rows": _Set(
        "import_rows",
        _OLD_ROWS,
        f"UPDATE import_rows SET {EMPTIED_IMPORT_ROW} WHERE {_OLD_ROWS}",  # noqa: S608 - our own words
    ),
}
"""Few rows, or rare: in one statement."""

# What a reader, or an operator for them, has said: not what somebody typed into a form in their name.
_SAID = "('given', 'reaffirmed', 'withdrawn', 'invalidated')"
# Of some consent the last word is another than that the import which brought it was taken back. Whoever typed the
# address into a form since makes no difference: only what was given or taken last counts.
_RIGHTLY = f"""EXISTS (
    SELECT FROM subscriptions b
    WHERE b.subscriber_id = s.id AND b.given_at IS NOT NULL AND (b.state = 'active' OR (
        SELECT e.state FROM consent_events e
        WHERE e.subscriber_id = s.id AND e.list_id = b.list_id AND e.purpose = b.purpose
          AND e.state IN {_SAID}
        ORDER BY e.seq DESC LIMIT 1) <> 'invalidated'))
"""  # noqa: S608 - our own words
# What was never given has no `given_at`; every event moves `updated_at`. Nobody is due by two rules that end persons.
_PERSONS = {
    "unconfirmed_requests": f"""
        EXISTS (SELECT FROM subscriptions b
                WHERE b.subscriber_id = s.id AND b.state = 'pending' AND b.updated_at < :cutoff)
        AND {_RIGHTLY}
    """,
    "unconfirmed_readers": """
        s.created_at < :cutoff AND NOT EXISTS (
            SELECT FROM subscriptions b
            WHERE b.subscriber_id = s.id AND (b.given_at IS NOT NULL OR b.updated_at >= :cutoff))
        AND NOT EXISTS (SELECT FROM signups g WHERE g.address_hmac = s.address_hmac AND g.created_at >= :cutoff)
    """,
    "undone_imports": f"""
        EXISTS (SELECT FROM subscriptions b WHERE b.subscriber_id = s.id AND b.given_at IS NOT NULL)
        AND NOT EXISTS (SELECT FROM subscriptions b WHERE b.subscriber_id = s.id AND b.updated_at >= :cutoff)
        AND NOT {_RIGHTLY}
        AND NOT EXISTS (SELECT FROM signups g WHERE g.address_hmac = s.address_hmac AND g.created_at >= :cutoff)
    """,  # noqa: S608 - our own words
    "consent_proof": f"""
        NOT EXISTS (
            SELECT FROM subscriptions b WHERE b.subscriber_id = s.id AND b.state IN ('active', 'pending'))
        AND NOT EXISTS (
            SELECT FROM consent_events e
            WHERE e.subscriber_id = s.id AND e.state IN {_SAID} AND e.occurred_at >= :cutoff)
        AND {_RIGHTLY}
    """,  # noqa: S608 - our own words
}
RULES = frozenset({*_SETS, *_WHOLE, *_PERSONS})
ABOUT_PERSONS = frozenset(_PERSONS)
ENDS_REQUESTS = frozenset({"unconfirmed_requests"})
ENDS_PERSONS = ABOUT_PERSONS - ENDS_REQUESTS
ENDS_OBJECTORS = frozenset({"consent_proof"})
"""Whom it ends had agreed, and taken it back."""


def count_due(tx: Transaction, rule: str, cutoff: datetime) -> int:
    """Rows, or persons, that the rule would act on."""
    if rule in _PERSONS:
        counted = f"SELECT count(*) FROM subscribers s WHERE {_PERSONS[rule]}"  # noqa: S608
    else:
        rows = (_SETS | _WHOLE)[rule]
        counted = f"SELECT count(*) FROM {rows.table} WHERE {rows.due}"  # noqa: S608
    return int(tx.session.scalars(text(counted), {"cutoff": cutoff}).one())


def act(tx: Transaction, rule: str, cutoff: datetime, *, after: int = 0) -> tuple[int, int | None]:
    """Act on up to BATCH due rows with an id above `after`. Returns how many, and where to go on (None: done)."""
    values = {"cutoff": cutoff, "now": tx.now}
    if rule in _WHOLE:
        done = tx.session.execute(text(_WHOLE[rule].act), values, execution_options={"preserve_rowcount": True})
        return int(done.rowcount), None  # type: ignore[attr-defined]
    rows = _SETS[rule]
    tx.session.execute(text("DROP TABLE IF EXISTS due_ids"))
    tx.session.execute(text("CREATE TEMPORARY TABLE due_ids (id bigint PRIMARY KEY) ON COMMIT DROP"))
    due = tx.session.scalars(
        text(
            f"INSERT INTO due_ids SELECT id FROM {rows.table} WHERE id > :after AND {rows.due} "  # noqa: S608
            "ORDER BY id LIMIT :limit RETURNING id"
        ),
        values | {"after": after, "limit": BATCH},
    ).all()
    if due:
        tx.session.execute(text(rows.act), values)
    return len(due), max(due) if len(due) == BATCH else None


def list_due_persons(
    tx: Transaction, rule: str, cutoff: datetime, *, after: int = 0, only: int | None = None, limit: int = BATCH
) -> Sequence[int]:
    """Subscribers in whom the rule ends something, or everything, by their ids; `only` asks about one of them."""
    return tx.session.scalars(
        text(
            f"SELECT s.id FROM subscribers s WHERE s.id > :after AND {_PERSONS[rule]} "  # noqa: S608
            "AND (CAST(:only AS bigint) IS NULL OR s.id = :only) ORDER BY s.id LIMIT :limit"
        ),
        {"cutoff": cutoff, "after": after, "only": only, "limit": limit},
    ).all()


def list_due_requests(tx: Transaction, cutoff: datetime, subscriber_id: int) -> Sequence[Subscription]:
    """What this subscriber was asked before then and has not confirmed."""
    return tx.session.scalars(
        select(Subscription)
        .where(
            Subscription.subscriber_id == subscriber_id,
            Subscription.state == SubscriptionState.PENDING,
            Subscription.updated_at < cutoff,
        )
        .order_by(Subscription.list_id, Subscription.purpose)
        .execution_options(populate_existing=True)
    ).all()


def get_runs(tx: Transaction) -> dict[str, RetentionRun]:
    """When each rule was last enforced."""
    return {run.rule: run for run in tx.session.query(RetentionRun).populate_existing()}


def record_run(tx: Transaction, rule: str, affected: int) -> None:
    values = {"ran_at": tx.now, "affected": affected}
    tx.session.execute(
        insert(RetentionRun)
        .values(rule=rule, **values)
        .on_conflict_do_update(index_elements=[RetentionRun.rule], set_=values)
    )


def list_silent(tx: Transaction, months: int) -> Sequence[int]:
    """Readers with consent in force of whom nothing was heard for so long: no button, no change, no request (D-12).

    Opening a mail is no sign of life: nobody here knows of it.
    """
    return tx.session.scalars(
        text(
            """
            SELECT s.id FROM subscribers s
            WHERE EXISTS (SELECT FROM subscriptions b WHERE b.subscriber_id = s.id AND b.state = 'active')
              AND greatest(
                  s.created_at, s.address_changed_at,
                  (SELECT max(e.occurred_at) FROM consent_events e
                   WHERE e.subscriber_id = s.id AND e.actor = 'subscriber' AND e.state <> 'requested'),
                  (SELECT max(p.asked_at) FROM privacy_requests p
                   WHERE p.subscriber_id = s.id AND p.asked_by = 'subscriber')
              ) < :now - make_interval(months => :months)
            ORDER BY s.id
            """
        ),
        {"now": tx.now, "months": months},
    ).all()
