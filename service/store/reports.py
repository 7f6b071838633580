"""Numbers for operators. Every planned recipient is in one bucket, so buckets sum to the audience (invariant 8)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text

from service.domain.words import CampaignStatus, DeliveryStatus, Purpose, SkipReason
from service.store.schema import (
    Attempt,
    Campaign,
    ConsentEvent,
    Delivery,
    List,
    MailedArticle,
    Signup,
    Subscriber,
    Subscription,
    Suppression,
)
from service.store.transaction import Transaction


@dataclass(frozen=True)
class CampaignReport:
    """One campaign as it stands now."""

    id: int
    name: str
    kind: str
    """ "campaign", or "digest" if a run of a digest made it."""
    list_slug: str
    purpose: Purpose
    status: CampaignStatus
    reason: str | None
    changed_by: str
    audience: int
    buckets: dict[DeliveryStatus, int]
    """All seven, zeros included; they sum to the audience."""
    skipped: dict[SkipReason, int]
    """Only reasons that occur; they sum to the bucket `skipped`."""
    attempts: int
    oldest_due_at: datetime | None
    """Of those queued: in the past by more than a minute means that nobody is sending."""
    lost_leases: int
    """Claimed by a worker that has neither answered nor come back in time; see `milepost worker lost`."""
    created_at: datetime
    ordered_at: datetime | None
    planned_at: datetime | None
    finished_at: datetime | None


def get_campaign_report(tx: Transaction, campaign_id: int) -> CampaignReport | None:
    """The report of one campaign, or None if there is no such campaign."""
    found = _reports(tx, "c.id = :id", {"id": campaign_id, "limit": 1})
    return found[0] if found else None


def list_campaign_reports(tx: Transaction, limit: int = 50) -> list[CampaignReport]:
    """The newest campaigns first."""
    return _reports(tx, "TRUE", {"limit": limit})


def list_run_reports(tx: Transaction, digest_slug: str, limit: int = 20) -> list[CampaignReport]:
    """The campaigns of a digest's newest runs first."""
    of_digest = "c.run_id IN (SELECT r.id FROM runs r JOIN digests g ON g.id = r.digest_id WHERE g.slug = :slug)"
    return _reports(tx, of_digest, {"slug": digest_slug, "limit": limit})


def _reports(tx: Transaction, condition: str, values: dict[str, Any]) -> list[CampaignReport]:
    rows = tx.session.execute(text(_REPORT.format(condition=condition)), values | {"now": tx.now})
    return [_report(dict(row)) for row in rows.mappings()]


_REPORT = """
WITH chosen AS (
    SELECT c.* FROM campaigns c WHERE {condition} ORDER BY c.id DESC LIMIT :limit
), counted AS (
    SELECT d.campaign_id, d.status, d.skip_reason, count(*) AS n, sum(d.attempts) AS attempts,
           min(d.due_at) FILTER (WHERE d.status = 'queued') AS oldest_due_at,
           count(*) FILTER (WHERE d.status = 'sending' AND d.lease_until < :now) AS lost
    FROM deliveries d JOIN chosen c ON c.id = d.campaign_id
    GROUP BY d.campaign_id, d.status, d.skip_reason
), summed AS (
    SELECT campaign_id, sum(n)::int AS audience, sum(attempts)::int AS attempts,
           min(oldest_due_at) AS oldest_due_at, sum(lost)::int AS lost,
           jsonb_agg(jsonb_build_array(status, skip_reason, n)) AS counts
    FROM counted GROUP BY campaign_id
)
SELECT c.id, c.name, CASE WHEN c.run_id IS NULL THEN 'campaign' ELSE 'digest' END AS kind, l.slug AS list_slug,
       c.purpose, c.status, c.reason, c.changed_by, coalesce(s.audience, 0) AS audience,
       coalesce(s.attempts, 0) AS attempts, s.oldest_due_at, coalesce(s.lost, 0) AS lost_leases,
       coalesce(s.counts, '[]') AS counts, c.created_at, c.ordered_at, c.planned_at, c.finished_at
FROM chosen c JOIN lists l ON l.id = c.list_id LEFT JOIN summed s ON s.campaign_id = c.id
ORDER BY c.id DESC
"""


def _report(row: dict[str, Any]) -> CampaignReport:
    buckets = dict.fromkeys(DeliveryStatus, 0)
    skipped: dict[SkipReason, int] = {}
    for status, reason, number in row.pop("counts"):
        buckets[DeliveryStatus(status)] += number
        if reason is not None:
            skipped[SkipReason(reason)] = number
    row["purpose"], row["status"] = Purpose(row["purpose"]), CampaignStatus(row["status"])
    return CampaignReport(buckets=buckets, skipped=skipped, **row)


def get_overview(tx: Transaction) -> dict[str, Any]:
    """What the installation holds, as counts; nothing in it names a person."""

    def count(table: type[Any], *conditions: Any) -> int:
        return tx.session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0

    def by(column: Any) -> dict[str, int]:
        rows = tx.session.execute(select(column, func.count()).group_by(column).order_by(column))
        return {str(value): number for value, number in rows}

    return {
        "lists": count(List),
        "subscribers": count(Subscriber),
        "subscriptions": by(Subscription.state),
        "signups": by(Signup.state),
        "consent_events": count(ConsentEvent),
        "campaigns": by(Campaign.status),
        "deliveries": by(Delivery.status),
        "attempts": count(Attempt),
        "suppressions": count(Suppression, Suppression.lifted_at.is_(None)),
        "mailed_articles": count(MailedArticle),
    }
