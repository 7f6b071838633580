"""A claim is a permission to send: taken in sets, checked as it is taken, and answered for row by row.

Only here does a delivery become `sending` or stop being so. Everything that ends a claim is fenced by `claimed_by`, so
whoever no longer holds a delivery changes nothing about it.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import text

from service.domain.deliveries import LEASE, PRESUMED_DEAD, Result
from service.domain.signups import LIFTABLE
from service.domain.words import DeliveryStatus, Lane
from service.store.deliveries import give_articles_back, list_due_tests, take_in_order
from service.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery that a worker holds."""

    delivery_id: int
    lane: Lane
    attempts: int


@dataclass(frozen=True, slots=True)
class Claimed:
    rows: Sequence[Sequence[Any]]
    """What is held now, in the order in which it is to be sent: ID, ATTEMPTS, and of a campaign what its letters say
    (`letters.write_bulk`), as it was when it was judged."""
    skipped: int
    """Not to be mailed any more; settled by the claim itself."""

    @property
    def ids(self) -> list[int]:
        return [row[0] for row in self.rows]

    @property
    def attempts(self) -> dict[int, int]:
        """Those that were tried before, by id."""
        return {row[0]: row[_ATTEMPTS] for row in self.rows if row[_ATTEMPTS]}


def keep_for_certain(tx: Transaction) -> None:
    """Wait for this commit to be on disk even where the server is set to be faster.

    A claim, or a settled claim, that PostgreSQL forgets in a crash is mail sent twice.
    """
    tx.session.execute(
        text("SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'")
    )


def claim(
    tx: Transaction,
    *,
    worker_id: UUID,
    lane: Lane,
    campaign_id: int | None,
    limit: int,
    message_host: str,
    fingerprint: Callable[[str], bytes],
) -> Claimed:
    """Take up to `limit` due deliveries of one campaign (None: interactive mail) for LEASE from now.

    Whom we may no longer mail becomes `skipped` in the same statement (invariant 2). A Message-ID is made at the first
    claim, of a secret that nobody keeps, and stays (A-11). `fingerprint` is asked for those of addresses to test with,
    which no table holds.
    """
    keep_for_certain(tx)
    take_in_order(tx)
    tests = list_due_tests(tx) if campaign_id is None else {}
    rows = tx.session.execute(
        text(_CLAIM_INTERACTIVE if campaign_id is None else _CLAIM_CAMPAIGN),
        {
            "worker": worker_id,
            "lane": lane.value,
            "campaign": campaign_id,
            "limit": limit,
            "host": message_host,
            "seed": secrets.token_hex(16),
            "now": tx.now,
            "until": tx.now + LEASE,
            "liftable": [reason.value for reason in LIFTABLE],
            "tests": list(tests),
            "test_hmacs": [fingerprint(key) for key in tests.values()],
        },
    ).all()
    held = sorted((row for row in rows if row[_SKIPPED] is None), key=_in_order)
    skipped = [row[0] for row in rows if row[_SKIPPED] is not None]
    give_articles_back(tx, skipped)
    return Claimed(held, len(skipped))


_DUE_OF_CAMPAIGN = """
    SELECT d.* FROM deliveries d
    WHERE d.lane = :lane AND d.campaign_id = :campaign AND d.status = 'queued' AND d.due_at <= :now
      AND EXISTS (SELECT 1 FROM campaigns c WHERE c.id = :campaign AND c.status = 'sending')
    ORDER BY d.due_at, d.id LIMIT :limit FOR UPDATE OF d SKIP LOCKED
"""
_DUE_INTERACTIVE = """
    SELECT d.* FROM deliveries d
    WHERE d.lane = :lane AND d.campaign_id IS NULL AND d.status = 'queued' AND d.due_at <= :now
      AND (d.test_address IS NULL OR d.id = ANY(CAST(:tests AS bigint[])))
    ORDER BY d.due_at, d.id LIMIT :limit FOR UPDATE OF d SKIP LOCKED
"""

# A test needs nobody's consent, but goes to nobody who wants no mail; one that was ordered this very moment waits for a
# claim that knows its fingerprint. A confirmation is what lifts some orders (LIFTABLE). The welcome answers what the
# reader did a moment ago, so a pause does not hold it up. Who wants no more newsletters still has a right to see what
# is held (GDPR 15). A question to a new address is held against that address, not the old one.
_CLAIM = """
WITH due AS MATERIALIZED ($DUE),
judged AS MATERIALIZED (
    SELECT d.id, s.address, s.language, s.first_name, c.given_at, c.event_id,
           coalesce(e.lawful_basis = 'imported', false) AS imported, CASE
        WHEN d.kind IN ('confirmation', 'repermission') AND NOT EXISTS (
            SELECT 1 FROM signups g WHERE g.id = d.signup_id AND g.state = 'asked' AND g.expires_at > :now)
            THEN 'expired'
        WHEN d.kind = 'address_change' AND (h.id IS NULL OR h.expires_at <= :now) THEN 'expired'
        WHEN d.test_address IS NOT NULL AND EXISTS (
            SELECT 1 FROM subscriptions b JOIN subscribers r ON r.id = b.subscriber_id
            WHERE r.address_hmac = t.hmac AND b.list_id = d.list_id AND b.purpose = d.purpose
              AND b.state = 'unsubscribed')
            THEN 'no_consent'
        WHEN d.test_address IS NULL AND d.kind IN ('welcome', 'digest', 'campaign') AND NOT EXISTS (
            SELECT 1 FROM subscriptions b
            WHERE b.subscriber_id = d.subscriber_id AND b.list_id = d.list_id AND b.purpose = d.purpose
              AND b.state = 'active')
            THEN 'no_consent'
        WHEN EXISTS (
            SELECT 1 FROM suppressions x
            WHERE x.address_hmac = coalesce(h.address_hmac, s.address_hmac, t.hmac) AND x.lifted_at IS NULL
              AND (x.list_id IS NULL OR x.list_id = d.list_id)
              AND NOT (d.kind = 'confirmation' AND x.reason = ANY(:liftable))
              AND NOT (d.kind = 'private_link' AND x.reason = 'unsubscribe_all'))
            THEN 'suppressed'
        WHEN d.kind IN ('digest', 'campaign') AND s.paused_until > :now THEN 'paused'
    END AS refusal
    FROM due d
    LEFT JOIN unnest(CAST(:tests AS bigint[]), CAST(:test_hmacs AS bytea[])) AS t(id, hmac) ON t.id = d.id
    LEFT JOIN subscribers s ON s.id = d.subscriber_id
    LEFT JOIN address_changes h ON h.id = d.address_change_id
    LEFT JOIN subscriptions c ON c.subscriber_id = d.subscriber_id AND c.list_id = d.list_id AND c.purpose = d.purpose
    LEFT JOIN consent_events e ON e.id = c.event_id
)
UPDATE deliveries d SET
    status = CASE WHEN j.refusal IS NULL THEN 'sending' ELSE 'skipped' END,
    skip_reason = j.refusal,
    claimed_by = CASE WHEN j.refusal IS NULL THEN CAST(:worker AS uuid) END,
    lease_until = CASE WHEN j.refusal IS NULL THEN CAST(:until AS timestamptz) END,
    finished_at = CASE WHEN j.refusal IS NOT NULL THEN CAST(:now AS timestamptz) END,
    message_id = coalesce(
        d.message_id, left(encode(sha256(convert_to(CAST(:seed AS text) || d.id, 'UTF8')), 'hex'), 40) || '@' || :host)
FROM judged j WHERE d.id = j.id
RETURNING d.id, d.attempts, d.due_at, d.skip_reason, d.kind, d.subscriber_id, j.address, j.language, j.first_name,
          d.list_id, d.purpose, d.campaign_id, d.message_id, j.given_at, j.event_id, j.imported,
          d.revision_id, d.issue_id
"""
_ATTEMPTS, _DUE_AT, _SKIPPED = 1, 2, 3
_in_order = itemgetter(_DUE_AT, 0)
_CLAIM_CAMPAIGN = _CLAIM.replace("$DUE", _DUE_OF_CAMPAIGN)
_CLAIM_INTERACTIVE = _CLAIM.replace("$DUE", _DUE_INTERACTIVE)


def list_held(tx: Transaction, worker_id: UUID) -> list[Held]:
    """What the worker holds, locked."""
    rows = tx.session.execute(
        text(
            "SELECT id, lane, attempts FROM deliveries WHERE status = 'sending' AND claimed_by = :worker "
            "ORDER BY id FOR UPDATE"
        ),
        {"worker": worker_id},
    )
    return [Held(row.id, Lane(row.lane), row.attempts) for row in rows]


def record_results(tx: Transaction, worker_id: UUID, results: Sequence[Result]) -> int:
    """Write what became of deliveries that the worker holds, their attempts, and dead addresses, in few statements.

    Returns how many it still held.
    """
    if not results:
        return 0
    keep_for_certain(tx)
    accepted: dict[tuple[int | None, str | None, str], list[Result]] = defaultdict(list)
    others: list[Result] = []
    accepting = DeliveryStatus.ACCEPTED
    for result in results:
        if result.status is accepting:
            said = result.outcome
            accepted[said.code, said.enhanced, said.relay].append(result)
        else:
            others.append(result)
    recorded = sum(_record_accepted(tx, worker_id, alike) for alike in accepted.values())
    return recorded + _record_others(tx, worker_id, others)


def _record_accepted(tx: Transaction, worker_id: UUID, alike: Sequence[Result]) -> int:
    """Nearly all of them, so with as little as they need: these differ in nothing but what the relay called them."""
    first = alike[0]
    recorded: int = tx.session.execute(
        text(_RECORD_ACCEPTED),
        {
            "id": [r.outcome.delivery_id for r in alike],
            "text": _array([r.outcome.text for r in alike]),
            "phase": first.outcome.phase.value,
            "code": first.outcome.code,
            "enhanced": first.outcome.enhanced,
            "fate": first.verdict.fate.value,
            "scope": first.verdict.scope.value,
            "relay": first.outcome.relay,
            "worker": worker_id,
            "now": tx.now,
        },
    ).scalar_one()
    return recorded


def _array(texts: Sequence[str]) -> str:
    """The literal of PostgreSQL's array (its manual, 8.15.6); the driver's own takes ten times as long."""
    quoted = [said.replace("\\", "\\\\").replace('"', '\\"') for said in texts]
    return '{"' + '","'.join(quoted) + '"}'


_RECORD_ACCEPTED = """
WITH recorded AS (
    UPDATE deliveries d SET
        status = 'accepted', attempts = d.attempts + 1, claimed_by = NULL, lease_until = NULL, finished_at = :now
    FROM unnest(CAST(:id AS bigint[]), CAST(:text AS text[])) AS g(id, text)
    WHERE d.id = g.id AND d.status = 'sending' AND d.claimed_by = :worker
    RETURNING d.id, CASE WHEN d.erased_at IS NULL THEN g.text ELSE '' END AS text
), tried AS (
    INSERT INTO attempts (delivery_id, at, phase, code, enhanced, text, fate, scope, relay)
    SELECT id, :now, :phase, :code, :enhanced, text, :fate, :scope, :relay FROM recorded
)
SELECT count(*) FROM recorded
"""


def _record_others(tx: Transaction, worker_id: UUID, results: Sequence[Result]) -> int:
    if not results:
        return 0
    columns = {
        "id": [r.outcome.delivery_id for r in results],
        "status": [r.status.value for r in results],
        "wait": [r.wait.total_seconds() for r in results],
        "counted": [int(r.counted) for r in results],
        "phase": [r.outcome.phase.value for r in results],
        "code": [r.outcome.code for r in results],
        "enhanced": [r.outcome.enhanced for r in results],
        "text": [r.outcome.text for r in results],
        "fate": [r.verdict.fate.value for r in results],
        "scope": [r.verdict.scope.value for r in results],
        "relay": [r.outcome.relay for r in results],
        "dead": [r.verdict.suppress for r in results],
    }
    values = columns | {"worker": worker_id, "now": tx.now, "settled_before": tx.now - NEW_ADDRESS}
    rows = tx.session.execute(text(_RECORD), values).all()
    give_articles_back(tx, [row.id for row in rows if row.status == "failed"])
    return len(rows)


NEW_ADDRESS = timedelta(days=1)
"""A bounce so soon after a change of address is the old one's: the new one has just confirmed that it works."""

_RECORD = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        CAST(:id AS bigint[]), CAST(:status AS text[]), CAST(:wait AS float8[]), CAST(:counted AS int[]),
        CAST(:phase AS text[]), CAST(:code AS int[]), CAST(:enhanced AS text[]), CAST(:text AS text[]),
        CAST(:fate AS text[]), CAST(:scope AS text[]), CAST(:relay AS text[]), CAST(:dead AS bool[]))
    AS g(id, status, wait, counted, phase, code, enhanced, text, fate, scope, relay, dead)
), recorded AS (
    UPDATE deliveries d SET
        status = g.status,
        due_at = CASE WHEN g.status = 'queued' THEN CAST(:now AS timestamptz) + make_interval(secs => g.wait)
                      ELSE d.due_at END,
        attempts = d.attempts + g.counted,
        claimed_by = NULL,
        lease_until = NULL,
        finished_at = CASE WHEN g.status IN ('accepted', 'failed') THEN CAST(:now AS timestamptz) END
    FROM given g WHERE d.id = g.id AND d.status = 'sending' AND d.claimed_by = :worker
    RETURNING d.id, d.status, d.kind, d.subscriber_id, d.address_change_id, d.erased_at
), tried AS (
    INSERT INTO attempts (delivery_id, at, phase, code, enhanced, text, fate, scope, relay)
    SELECT g.id, :now, g.phase, g.code, g.enhanced, CASE WHEN r.erased_at IS NULL THEN g.text ELSE '' END,
           g.fate, g.scope, g.relay
    FROM given g JOIN recorded r ON r.id = g.id
), dead AS (
    INSERT INTO suppressions (address_hmac, reason, source, created_at)
    SELECT m.address_hmac, 'permanent_bounce', 'delivery ' || min(m.id), :now
    FROM (
        SELECT r.id, CASE WHEN r.kind = 'address_change' THEN h.address_hmac
                          WHEN s.address_changed_at IS NULL OR s.address_changed_at < :settled_before
                          THEN s.address_hmac END AS address_hmac
        FROM given g JOIN recorded r ON r.id = g.id JOIN subscribers s ON s.id = r.subscriber_id
        LEFT JOIN address_changes h ON h.id = r.address_change_id
        WHERE g.dead
    ) m
    WHERE m.address_hmac IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM suppressions x
        WHERE x.address_hmac = m.address_hmac AND x.lifted_at IS NULL AND x.list_id IS NULL)
    GROUP BY m.address_hmac
)
SELECT id, status FROM recorded
"""


def give_back(tx: Transaction, worker_id: UUID, delivery_ids: Sequence[int] | None = None) -> int:
    """Queue again, as if never claimed, these of what the worker holds, or everything. Returns how many."""
    if delivery_ids is not None and not delivery_ids:
        return 0
    keep_for_certain(tx)
    rows = tx.session.scalars(
        text(
            "UPDATE deliveries SET status = 'queued', claimed_by = NULL, lease_until = NULL "
            "WHERE status = 'sending' AND claimed_by = :worker "
            "AND (CAST(:ids AS bigint[]) IS NULL OR id = ANY(:ids)) RETURNING id"
        ),
        {"worker": worker_id, "ids": None if delivery_ids is None else list(delivery_ids)},
    )
    return len(rows.all())


def release_expired(tx: Transaction) -> list[int]:
    """Interactive mail held by a worker that has been silent for long: again, at the risk of a second copy.

    Somebody waits for it. Campaign and digest mail stays where it is until its journal is found, or until an operator
    declares the worker lost (invariant 4).
    """
    return list(
        tx.session.scalars(
            text(
                """
                WITH released AS (
                    UPDATE deliveries d
                    SET status = 'queued', due_at = :now, attempts = attempts + 1, claimed_by = NULL, lease_until = NULL
                    FROM worker_processes w
                    WHERE d.status = 'sending' AND d.lane = 'interactive' AND d.lease_until < :now
                      AND w.id = d.claimed_by AND (w.beat_at < :silent_since OR w.ended_at IS NOT NULL)
                    RETURNING d.id
                ), noted AS (
                    INSERT INTO attempts (delivery_id, at, phase, text, fate, scope, relay)
                    SELECT id, :now, 'eom', 'The worker that held this mail fell silent; nobody knows whether it left.',
                           'unknown', 'message', 'milepost' FROM released
                )
                SELECT id FROM released
                """
            ),
            {"now": tx.now, "silent_since": tx.now - PRESUMED_DEAD},
        )
    )
