"""Campaigns and their frozen revisions: rows, locks, and which of them has work."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import select, text

from service.domain.campaigns import Act, move
from service.domain.words import CampaignStatus, Layout, Purpose
from service.errors import Kind, ServiceError
from service.store.schema import Campaign, Revision
from service.store.transaction import Transaction


def add_campaign(
    tx: Transaction,
    *,
    list_id: int,
    purpose: Purpose,
    name: str,
    subject: str,
    body: str,
    layout: Layout,
    by: str,
    expire_after: int | None = None,
) -> int:
    campaign = Campaign(
        list_id=list_id,
        purpose=purpose,
        name=name,
        status=CampaignStatus.DRAFT,
        subject=subject,
        body=body,
        layout=layout,
        expire_after=expire_after,
        changed_by=by,
        created_at=tx.now,
    )
    tx.session.add(campaign)
    tx.session.flush()
    return campaign.id


PLANNING_TIME = "5min"
"""For each statement: a large audience takes longer than what a page or a sweep may ask of the database."""


def allow_time_to_plan(tx: Transaction) -> None:
    """Until the end of the transaction; otherwise a plan that is too large for the ordinary limit fails for ever."""
    tx.session.execute(text("SELECT set_config('statement_timeout', :time, true)"), {"time": PLANNING_TIME})


def lock_campaign(tx: Transaction, campaign_id: int) -> Campaign:
    """The campaign, locked until the end of the transaction. Raises ServiceError (NOT_FOUND)."""
    return _found(tx.session.get(Campaign, campaign_id, with_for_update=True, populate_existing=True), campaign_id)


def get_campaign(tx: Transaction, campaign_id: int) -> Campaign:
    """The campaign as it is, to be read only. Raises ServiceError (NOT_FOUND)."""
    return _found(tx.session.get(Campaign, campaign_id, populate_existing=True), campaign_id)


def _found(campaign: Campaign | None, campaign_id: int) -> Campaign:
    if campaign is None:
        raise ServiceError(
            Kind.NOT_FOUND,
            "campaign_unknown",
            f"There is no campaign {campaign_id}; nothing was done. `milepost campaign list` shows them.",
        )
    return campaign


def move_campaign(tx: Transaction, campaign: Campaign, act: Act, *, by: str, reason: str | None = None) -> None:
    """Move a locked campaign, or raise ServiceError (CONFLICT). `by` and `reason` stay with it for the report."""
    campaign.status = move(campaign.status, act)
    campaign.changed_by = by
    campaign.reason = reason
    match act:
        case Act.ORDER:
            campaign.ordered_at = tx.now
        case Act.PLANNED if campaign.planned_to is None:
            campaign.planned_at = tx.now
        case Act.FINISH | Act.CANCEL:
            campaign.finished_at = tx.now
            campaign.planned_to = None
        case Act.RESEND_UNCERTAIN if campaign.status is CampaignStatus.SENDING:
            campaign.finished_at = None
    tx.session.flush()


def freeze_revision(tx: Transaction, campaign: Campaign) -> Revision:
    """The draft as it stands, as a revision that never changes; the newest one again if nothing was edited since."""
    subject, body = campaign.subject or "", campaign.body or ""
    fingerprint = sha256(f"{campaign.layout}\n{subject}\n{body}".encode()).digest()
    newest = tx.session.scalar(
        select(Revision).where(Revision.campaign_id == campaign.id).order_by(Revision.id.desc()).limit(1)
    )
    if newest is not None and newest.sha256 == fingerprint:
        return newest
    revision = Revision(
        campaign_id=campaign.id,
        subject=subject,
        body=body,
        layout=campaign.layout,
        sha256=fingerprint,
        created_at=tx.now,
    )
    tx.session.add(revision)
    tx.session.flush()
    return revision


@dataclass(frozen=True, slots=True)
class WithDue:
    id: int
    is_planned_on: bool
    """Readers are left to be planned."""


def find_next_with_due(tx: Transaction, after: int) -> WithDue | None:
    """The next campaign with mail due or readers to plan, from `after` on and round, so that several share the lane."""
    found = tx.session.execute(
        text(
            """
            SELECT c.id, c.planned_to IS NOT NULL AS is_planned_on FROM campaigns c
            WHERE c.status = 'sending' AND (c.planned_to IS NOT NULL OR EXISTS (
                SELECT 1 FROM deliveries d
                WHERE d.lane = 'bulk' AND d.campaign_id = c.id AND d.status = 'queued' AND d.due_at <= :now))
            ORDER BY c.id <= :after, c.id LIMIT 1
            """
        ),
        {"now": tx.now, "after": after},
    ).one_or_none()
    return None if found is None else WithDue(found.id, found.is_planned_on)


def lock_to_plan_more(tx: Transaction, campaign_id: int) -> Campaign | None:
    """The campaign, locked, if readers are left to be planned and nobody else plans or moves it now."""
    waiting = (
        select(Campaign)
        .where(Campaign.id == campaign_id, Campaign.status == CampaignStatus.SENDING, Campaign.planned_to.is_not(None))
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return tx.session.scalars(waiting).one_or_none()


def note_planned(tx: Transaction, campaign: Campaign, to: int | None) -> None:
    """The locked campaign has been planned up to this reader; None: all of it has."""
    campaign.planned_to = to
    if to is None:
        campaign.planned_at = tx.now
    tx.session.flush()


def list_waiting_for_plan(tx: Transaction, before: datetime) -> list[int]:
    """Campaigns whose audience somebody should have planned by now: they were ordered before this time."""
    return list(
        tx.session.scalars(
            text("SELECT id FROM campaigns WHERE status = 'planning' AND coalesce(ordered_at, created_at) < :before"),
            {"before": before},
        )
    )


def finish_done(tx: Transaction) -> list[int]:
    """Close campaigns of which nothing is queued or on its way. What is uncertain stays so until a person decides."""
    # Locked first and looked at again in a second statement: somebody may have queued uncertain ones a moment ago.
    locked = list(tx.session.scalars(text(_DONE + "ORDER BY c.id FOR UPDATE OF c SKIP LOCKED")))
    done = list(tx.session.scalars(text(_DONE + "AND c.id = ANY(:ids)"), {"ids": locked})) if locked else []
    if done:
        tx.session.execute(
            text(
                "UPDATE campaigns SET status = 'sent', finished_at = :now, changed_by = 'milepost', reason = NULL "
                "WHERE id = ANY(:ids)"
            ),
            {"now": tx.now, "ids": done},
        )
    return done


_DONE = """
SELECT c.id FROM campaigns c
WHERE c.status = 'sending' AND c.planned_to IS NULL AND NOT EXISTS (
    SELECT 1 FROM deliveries d WHERE d.campaign_id = c.id AND d.status IN ('queued', 'sending'))
"""
