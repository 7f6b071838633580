"""Queries of what is watched: relays in trouble, campaigns' windows, and what operators were told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text, update

from service.domain.breaker import Cause, Tally
from service.domain.outcomes import Phase
from service.domain.relay_watch import FORGOTTEN_AFTER, Trouble, TroubleKind
from service.domain.words import CampaignStatus, DeliveryStatus, Lane, Language, MailKind
from service.ports import Hint
from service.store.schema import Campaign, CampaignWatch, Delivery, List, OperatorMail, OperatorNotice, RelayTrouble
from service.store.transaction import Transaction


def record_trouble(tx: Transaction, worker_id: UUID, trouble: Trouble) -> bool:
    """What a worker sees now. Returns whether it is news."""
    return bool(
        tx.session.scalar(
            text(
                """
                INSERT INTO relay_troubles (worker_id, kind, relay, phase, code, text, since, seen_at)
                VALUES (:worker, :kind, :relay, :phase, :code, :text, :since, :now)
                ON CONFLICT (worker_id) DO UPDATE SET
                    kind = excluded.kind, relay = excluded.relay, phase = excluded.phase, code = excluded.code,
                    text = excluded.text, since = least(relay_troubles.since, excluded.since),
                    seen_at = excluded.seen_at
                RETURNING xmax = 0
                """
            ),
            {
                "worker": worker_id,
                "kind": trouble.kind.value,
                "relay": trouble.relay,
                "phase": trouble.phase.value,
                "code": trouble.code,
                "text": trouble.text,
                "since": tx.now - trouble.lasted,
                "now": tx.now,
            },
        )
    )


def clear_trouble(tx: Transaction, worker_id: UUID) -> bool:
    """The worker sees none. Returns whether it did before."""
    cleared = delete(RelayTrouble).where(RelayTrouble.worker_id == worker_id).returning(RelayTrouble.worker_id)
    return tx.session.scalar(cleared) is not None


@dataclass(frozen=True, slots=True)
class RelayDown:
    """A relay that some workers cannot use."""

    relay: str
    kind: TroubleKind
    phase: Phase
    code: int | None
    text: str
    since: datetime
    seen_at: datetime
    hosts: tuple[str, ...]
    """Those of the workers."""
    lanes: tuple[Lane, ...]


def list_relays_down(tx: Transaction) -> list[RelayDown]:
    """Relays in trouble, as the worker that tried last put it; what nobody has tried lately is not known."""
    rows = tx.session.execute(
        text(
            """
            SELECT t.relay, (array_agg(t.kind ORDER BY t.seen_at DESC))[1] AS kind,
                   (array_agg(t.phase ORDER BY t.seen_at DESC))[1] AS phase,
                   (array_agg(t.code ORDER BY t.seen_at DESC))[1] AS code,
                   (array_agg(t.text ORDER BY t.seen_at DESC))[1] AS text,
                   min(t.since) AS since, max(t.seen_at) AS seen_at,
                   array_agg(DISTINCT w.host) AS hosts, array_agg(DISTINCT w.lane) AS lanes
            FROM relay_troubles t JOIN worker_processes w ON w.id = t.worker_id
            WHERE w.ended_at IS NULL AND t.seen_at > :known
            GROUP BY t.relay ORDER BY t.relay
            """
        ),
        {"known": tx.now - FORGOTTEN_AFTER},
    )
    return [
        RelayDown(
            row.relay,
            TroubleKind(row.kind),
            Phase(row.phase),
            row.code,
            row.text,
            row.since,
            row.seen_at,
            tuple(row.hosts),
            tuple(Lane(lane) for lane in row.lanes),
        )
        for row in rows
    ]


def forget_troubles(tx: Transaction) -> None:
    """Those of workers that have ended, and those that nobody has seen lately."""
    tx.session.execute(
        text(
            "DELETE FROM relay_troubles t USING worker_processes w "
            "WHERE w.id = t.worker_id AND (w.ended_at IS NOT NULL OR t.seen_at <= :known)"
        ),
        {"known": tx.now - FORGOTTEN_AFTER},
    )


@dataclass(frozen=True, slots=True)
class Window:
    """The window of a campaign that is being counted."""

    tally: Tally
    is_first: bool
    cause: Cause | None


def add_tally(tx: Transaction, campaign_id: int, tally: Tally) -> Window:
    """Count this, too."""
    row = tx.session.execute(
        text(
            """
            INSERT INTO campaign_watches AS w (campaign_id, is_first, answered, dead, refused, failed, uncertain)
            VALUES (:campaign, true, :answered, :dead, :refused, :failed, :uncertain)
            ON CONFLICT (campaign_id) DO UPDATE SET
                answered = w.answered + excluded.answered, dead = w.dead + excluded.dead,
                refused = w.refused + excluded.refused, failed = w.failed + excluded.failed,
                uncertain = w.uncertain + excluded.uncertain
            RETURNING is_first, cause, answered, dead, refused, failed, uncertain
            """
        ),
        {
            "campaign": campaign_id,
            "answered": tally.answered,
            "dead": tally.dead,
            "refused": tally.refused,
            "failed": tally.failed,
            "uncertain": tally.uncertain,
        },
    ).one()
    counted = Tally(row.answered, row.dead, row.refused, row.failed, row.uncertain)
    return Window(counted, row.is_first, Cause(row.cause) if row.cause else None)


def begin_window(tx: Transaction, campaign_id: int) -> None:
    tx.session.execute(
        update(CampaignWatch)
        .where(CampaignWatch.campaign_id == campaign_id)
        .values(is_first=False, answered=0, dead=0, refused=0, failed=0, uncertain=0)
    )


def mark_tripped(tx: Transaction, campaign_id: int, cause: Cause) -> None:
    tx.session.execute(update(CampaignWatch).where(CampaignWatch.campaign_id == campaign_id).values(cause=cause))


def forget_watch(tx: Transaction, campaign_id: int) -> None:
    """A person looked at it and goes on: everything counts anew."""
    tx.session.execute(delete(CampaignWatch).where(CampaignWatch.campaign_id == campaign_id))


def lift_bounces(tx: Transaction, campaign_id: int, newest: int) -> int:
    """End the newest orders not to mail an address that stem from mails of this campaign. Returns how many."""
    lifted = tx.session.scalars(
        text(
            """
            UPDATE suppressions SET lifted_at = :now WHERE id IN (
                SELECT s.id FROM suppressions s JOIN deliveries d ON s.source = 'delivery ' || d.id
                WHERE d.campaign_id = :campaign AND d.status = 'failed'
                  AND s.reason = 'permanent_bounce' AND s.lifted_at IS NULL
                ORDER BY s.id DESC LIMIT :newest)
            RETURNING id
            """
        ),
        {"campaign": campaign_id, "newest": newest, "now": tx.now},
    )
    return len(lifted.all())


def expire_campaigns(tx: Transaction) -> list[int]:
    """Mail nobody else for campaigns whose time is over (C-10). Returns their deliveries.

    Whoever was tried has failed; whoever was not is skipped.
    """
    over = """
        c.status IN ('sending', 'paused') AND c.expire_after IS NOT NULL
        AND c.ordered_at <= CAST(:now AS timestamptz) - make_interval(hours => c.expire_after)
    """
    tx.session.execute(
        text(
            f"UPDATE campaigns c SET planned_to = NULL, planned_at = :now WHERE c.planned_to IS NOT NULL AND {over}"  # noqa: S608 - our own words
        ),
        {"now": tx.now},
    )
    ended = tx.session.scalars(
        text(
            f"""
            UPDATE deliveries d SET
                status = CASE WHEN d.attempts > 0 THEN 'failed' ELSE 'skipped' END,
                skip_reason = CASE WHEN d.attempts > 0 THEN NULL ELSE 'expired' END,
                finished_at = :now
            FROM campaigns c
            WHERE {over} AND d.campaign_id = c.id AND d.status = 'queued'
            RETURNING d.id
            """  # noqa: S608 - our own words
        ),
        {"now": tx.now},
    )
    return list(ended.all())


def find_first_window(tx: Transaction, campaign_id: int) -> int | None:
    """How many of its first answers, and mails that are under way for them, a campaign has; None once they were good.

    Locked until the end of the transaction, so that two claims do not both take what is left of the window.
    """
    window = select(CampaignWatch.is_first).where(CampaignWatch.campaign_id == campaign_id)
    if tx.session.scalar(window) is False:
        return None
    tx.session.execute(
        text(
            "INSERT INTO campaign_watches (campaign_id, is_first, answered, dead, refused, failed, uncertain) "
            "VALUES (:campaign, true, 0, 0, 0, 0, 0) ON CONFLICT (campaign_id) DO NOTHING"
        ),
        {"campaign": campaign_id},
    )
    row = tx.session.execute(
        text("SELECT is_first, answered FROM campaign_watches WHERE campaign_id = :campaign FOR UPDATE"),
        {"campaign": campaign_id},
    ).one()
    if not row.is_first:
        return None
    held = tx.session.scalar(
        text(
            "SELECT count(*) FROM deliveries "
            "WHERE campaign_id = :campaign AND status = 'sending' AND lease_until > :now"
        ),
        {"campaign": campaign_id, "now": tx.now},
    )
    return int(row.answered + (held or 0))


def lock_going_on(tx: Transaction, campaign_id: int) -> Campaign | None:
    """The campaign, locked, if it is being sent and there is more to send; None too while somebody else moves it."""
    going_on = (
        select(Campaign)
        .where(
            Campaign.id == campaign_id,
            Campaign.status == CampaignStatus.SENDING,
            Campaign.planned_to.is_not(None)
            | select(Delivery.id)
            .where(Delivery.campaign_id == campaign_id, Delivery.status == DeliveryStatus.QUEUED)
            .exists(),
        )
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return tx.session.scalars(going_on).one_or_none()


@dataclass(frozen=True, slots=True)
class TrippedCampaign:
    campaign_id: int
    name: str
    cause: Cause
    window: Tally
    left: int
    """Readers who have not been mailed yet."""


def list_tripped(tx: Transaction) -> list[TrippedCampaign]:
    """Campaigns that Milepost paused itself and that are paused still."""
    rows = tx.session.execute(
        text(
            """
            SELECT c.id, c.name, w.*, (
                SELECT count(*) FROM deliveries d
                WHERE d.campaign_id = c.id AND d.status IN ('queued', 'sending')) AS unmailed
            FROM campaigns c JOIN campaign_watches w ON w.campaign_id = c.id
            WHERE c.status = 'paused' AND w.cause IS NOT NULL ORDER BY c.id
            """
        )
    )
    return [
        TrippedCampaign(
            row.id,
            row.name,
            Cause(row.cause),
            Tally(row.answered, row.dead, row.refused, row.failed, row.uncertain),
            row.unmailed,
        )
        for row in rows
    ]


def lock_notices(tx: Transaction) -> bool:
    """Whether nobody else looks after notices; nobody can until this transaction is over."""
    return bool(tx.session.scalar(text("SELECT pg_try_advisory_xact_lock(hashtext('operator_notices'))")))


def list_open_notices(tx: Transaction) -> Sequence[OperatorNotice]:
    opened = select(OperatorNotice).where(OperatorNotice.ended_at.is_(None)).order_by(OperatorNotice.id)
    return tx.session.scalars(opened.execution_options(populate_existing=True)).all()


def add_notice(tx: Transaction, cause: str, facts: dict[str, Any], began_at: datetime) -> OperatorNotice:
    notice = OperatorNotice(cause=cause, facts=facts, began_at=began_at)
    tx.session.add(notice)
    tx.session.flush()
    return notice


def mark_told(tx: Transaction, notice: OperatorNotice) -> None:
    notice.told_at = tx.now
    tx.session.flush()


def mark_over(tx: Transaction, notice: OperatorNotice) -> None:
    notice.ended_at = tx.now
    tx.session.flush()


def was_told_since(tx: Transaction, cause: str, since: datetime) -> bool:
    """Whether operators were mailed about this cause, this time or another."""
    told = select(OperatorNotice.id).where(OperatorNotice.cause == cause, OperatorNotice.told_at > since).limit(1)
    return tx.session.scalar(told) is not None


def add_operator_mails(
    tx: Transaction, notice: OperatorNotice, addresses: Sequence[str], language: Language, *, is_over: bool
) -> list[int]:
    """Queue one mail for each address on the interactive lane, as tests are; none while there is no list to name."""
    list_id = tx.session.scalar(select(List.id).order_by(List.id).limit(1))
    if list_id is None:
        return []
    queued = []
    for address in addresses:
        delivery = Delivery(
            lane=Lane.INTERACTIVE,
            kind=MailKind.OPERATOR_NOTICE,
            test_address=address,
            test_language=language,
            list_id=list_id,
            status=DeliveryStatus.QUEUED,
            due_at=tx.now,
            created_at=tx.now,
        )
        tx.session.add(delivery)
        tx.session.flush()
        tx.session.add(OperatorMail(delivery_id=delivery.id, notice_id=notice.id, is_over=is_over))
        queued.append(delivery.id)
    tx.session.flush()
    tx.hint(Hint.SEND_DUE, Lane.INTERACTIVE)
    return queued
