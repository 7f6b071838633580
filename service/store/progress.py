"""How a campaign gets on at this moment: how fast, how long still, who holds what, and what relays said against it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from service.domain.deliveries import PRESUMED_DEAD
from service.domain.words import CampaignStatus, DeliveryStatus
from service.store.reports import CampaignReport
from service.store.transaction import Transaction

LATELY = timedelta(seconds=30)
"""Over which the speed is measured: long enough for a slow relay, short enough to be true."""
NEWEST = 2_000
"""So many of what failed are looked at for what was said."""


@dataclass(frozen=True, slots=True)
class HeldBy:
    """Deliveries that a worker has claimed."""

    worker_id: UUID
    host: str
    number: int
    lease_until: datetime
    """The earliest."""
    beats: bool
    """Whether its heart has been heard lately."""


@dataclass(frozen=True, slots=True)
class Said:
    """The same answer to several mails that were not taken."""

    number: int
    fate: str
    code: int | None
    enhanced: str | None
    text: str
    """Of one of them, without addresses."""


@dataclass(frozen=True, slots=True)
class Progress:
    per_second: float
    """Mails answered for good, over the last half minute."""
    seconds_left: int | None
    """Until all are, at this speed; None where nothing moves."""
    held: list[HeldBy]
    said: list[Said]
    """The most frequent first."""


def get_progress(tx: Transaction, report: CampaignReport) -> Progress:
    """Of the campaign of this report, read in the same transaction or a moment later."""
    waiting = report.buckets[DeliveryStatus.QUEUED] + report.buckets[DeliveryStatus.SENDING]
    moves = report.status is CampaignStatus.SENDING and waiting > 0
    per_second = _measure(tx, report) if moves else 0.0
    # Of an audience that is still being planned nobody knows how many are left.
    seconds_left = round(waiting / per_second) if per_second and report.planned_at else None
    return Progress(round(per_second, 1), seconds_left, _list_held(tx, report.id), _list_said(tx, report.id))


def _measure(tx: Transaction, report: CampaignReport) -> float:
    since = max(tx.now - LATELY, report.ordered_at or report.created_at)
    finished = tx.session.scalar(
        text(
            "SELECT count(*) FROM deliveries "
            "WHERE campaign_id = :campaign AND status IN ('accepted', 'failed') AND finished_at > :since"
        ),
        {"campaign": report.id, "since": since},
    )
    return (finished or 0) / max((tx.now - since).total_seconds(), 1.0)


def _list_held(tx: Transaction, campaign_id: int) -> list[HeldBy]:
    rows = tx.session.execute(
        text(
            """
            SELECT w.id, w.host, count(*) AS n, min(d.lease_until) AS lease_until, w.beat_at > :alive AS beats
            FROM deliveries d JOIN worker_processes w ON w.id = d.claimed_by
            WHERE d.campaign_id = :campaign AND d.status = 'sending'
            GROUP BY w.id ORDER BY w.host, w.started_at
            """
        ),
        {"campaign": campaign_id, "alive": tx.now - PRESUMED_DEAD},
    )
    return [HeldBy(row.id, row.host, row.n, row.lease_until, row.beats) for row in rows]


def _list_said(tx: Transaction, campaign_id: int) -> list[Said]:
    rows = tx.session.execute(
        text(
            """
            SELECT count(*) AS n, a.fate, a.code, a.enhanced, min(a.text) AS text
            FROM (SELECT id FROM deliveries WHERE campaign_id = :campaign AND status IN ('failed', 'uncertain')
                  ORDER BY id DESC LIMIT :newest) d
            CROSS JOIN LATERAL (SELECT * FROM attempts t WHERE t.delivery_id = d.id ORDER BY t.id DESC LIMIT 1) a
            GROUP BY a.fate, a.code, a.enhanced ORDER BY n DESC, a.code LIMIT 5
            """
        ),
        {"campaign": campaign_id, "newest": NEWEST},
    )
    return [Said(row.n, row.fate, row.code, row.enhanced, row.text) for row in rows]
