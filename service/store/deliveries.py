"""Deliveries: one row per recipient, planned in one statement, found again by their state."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, text

from service.domain.deliveries import BUSY_FOR, LEASE, PRESUMED_DEAD
from service.domain.words import DeliveryStatus, Lane, Language, MailKind, Purpose
from service.ports import Hint
from service.store.schema import Campaign, Delivery, Revision, Subscriber
from service.store.subscribers import keep_readers
from service.store.transaction import Transaction


def find_delivery(tx: Transaction, delivery_id: int) -> Delivery | None:
    return tx.session.get(Delivery, delivery_id)


def add_interactive(
    tx: Transaction,
    *,
    kind: MailKind,
    subscriber_id: int,
    list_id: int,
    purpose: Purpose | None = None,
    signup_id: int | None = None,
    address_change_id: int | None = None,
    due_at: datetime | None = None,
) -> int:
    """Queue one mail to one subscriber, due now unless told, and hint the interactive lane. Returns its id.

    Raises NoResultFound for a subscriber who has been erased meanwhile.
    """
    tx.session.execute(
        select(Subscriber.id).where(Subscriber.id == subscriber_id).with_for_update(read=True, key_share=True)
    ).one()
    return _add(
        tx,
        due_at=due_at or tx.now,
        kind=kind,
        subscriber_id=subscriber_id,
        list_id=list_id,
        purpose=purpose,
        signup_id=signup_id,
        address_change_id=address_change_id,
    )


def count_since(tx: Transaction, subscriber_id: int, kind: MailKind, since: datetime) -> int:
    """Mails of this kind to this subscriber, planned after `since`."""
    counted = select(func.count()).where(
        Delivery.subscriber_id == subscriber_id, Delivery.kind == kind, Delivery.created_at > since
    )
    return tx.session.scalar(counted) or 0


def find_last_due(tx: Transaction, kind: MailKind) -> datetime | None:
    """When the last of the queued mails of this kind is to leave."""
    last = select(func.max(Delivery.due_at)).where(Delivery.kind == kind, Delivery.status == DeliveryStatus.QUEUED)
    return tx.session.scalar(last)


def add_test(tx: Transaction, campaign: Campaign, revision: Revision, *, address: str, language: Language) -> int:
    """Queue a test of this revision; not a delivery of the campaign, so it takes no reader's place."""
    return _add(
        tx,
        kind=MailKind.CAMPAIGN,
        test_address=address,
        test_language=language,
        list_id=campaign.list_id,
        purpose=campaign.purpose,
        revision_id=revision.id,
    )


def list_due_tests(tx: Transaction) -> dict[int, str]:
    """Tests that are due, each with the dedupe key of its address; of these no table holds a fingerprint."""
    due = select(Delivery.id, func.lower(Delivery.test_address)).where(
        Delivery.test_address.is_not(None), Delivery.status == DeliveryStatus.QUEUED, Delivery.due_at <= tx.now
    )
    return {row[0]: row[1] for row in tx.session.execute(due)}


def _add(tx: Transaction, **values: object) -> int:
    values = {"due_at": tx.now} | values
    delivery = Delivery(lane=Lane.INTERACTIVE, status=DeliveryStatus.QUEUED, created_at=tx.now, **values)
    tx.session.add(delivery)
    tx.session.flush()
    tx.hint(Hint.SEND_DUE, Lane.INTERACTIVE)
    return delivery.id


def plan_audience(tx: Transaction, campaign: Campaign, *, after: int, limit: int) -> tuple[int, int | None]:
    """Queue one delivery for each of the next readers whose consent for the campaign's list and purpose is in force.

    The next are up to `limit` of those with ids greater than `after`. Who is suppressed or pauses gets a row that says
    so: the buckets add up to the audience. Who is just being erased is waited for, and passed over. Repeating it adds
    nobody twice (invariant 4). Returns how many rows were added, and the last reader, or None if nobody is left.
    """
    keep_readers(tx)
    take_in_order(tx)
    row = tx.session.execute(
        text(_PLAN),
        {
            "campaign": campaign.id,
            "revision": campaign.revision_id,
            "list": campaign.list_id,
            "purpose": campaign.purpose,
            "after": after,
            "limit": limit,
            "now": tx.now,
        },
    ).one()
    return row.added, row.last if row.found == limit else None


_PLAN = """
WITH next AS MATERIALIZED (
    SELECT b.subscriber_id, b.list_id, b.purpose,
           CASE WHEN EXISTS (SELECT 1 FROM suppressions x
                             WHERE x.address_hmac = s.address_hmac AND x.lifted_at IS NULL
                               AND (x.list_id IS NULL OR x.list_id = b.list_id)) THEN 'suppressed'
                WHEN s.paused_until > :now THEN 'paused' END AS reason
    FROM subscriptions b JOIN subscribers s ON s.id = b.subscriber_id
    WHERE b.list_id = :list AND b.purpose = :purpose AND b.state = 'active' AND b.subscriber_id > :after
      AND s.id > :after  -- a comparison does not pass through a join: each part would read everybody before it
    ORDER BY b.subscriber_id LIMIT :limit
), added AS (
    INSERT INTO deliveries (lane, kind, subscriber_id, list_id, purpose, campaign_id, revision_id,
                            status, skip_reason, due_at, created_at, finished_at)
    SELECT 'bulk', 'campaign', a.subscriber_id, a.list_id, a.purpose, :campaign, :revision,
           CASE WHEN a.reason IS NULL THEN 'queued' ELSE 'skipped' END, a.reason,
           :now, :now, CASE WHEN a.reason IS NOT NULL THEN CAST(:now AS timestamptz) END
    FROM next a
    ON CONFLICT (campaign_id, subscriber_id) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM added) AS added, count(*) AS found, max(subscriber_id) AS last FROM next
"""


def take_in_order(tx: Transaction) -> None:
    """Read by an index, in order, what is read in order, until the end of the transaction.

    Of what was written a moment ago PostgreSQL has no statistics: it would sort all of it for each part of it.
    """
    tx.session.execute(text("SELECT set_config('enable_sort', 'off', true)"))


def cancel_queued(tx: Transaction, campaign_id: int | None = None) -> list[int]:
    """Cancel what has not left of one cancelled campaign, or of all (what was on its way when it was cancelled)."""
    return list(
        tx.session.scalars(
            text(
                """
                UPDATE deliveries d SET status = 'cancelled', finished_at = :now
                FROM campaigns c
                WHERE c.id = d.campaign_id AND c.status = 'cancelled' AND d.status = 'queued'
                  AND (CAST(:campaign AS bigint) IS NULL OR c.id = :campaign)
                RETURNING d.id
                """
            ),
            {"campaign": campaign_id, "now": tx.now},
        )
    )


def requeue_uncertain(tx: Transaction, campaign_id: int) -> list[int]:
    """Due again now, with the same Message-ID, which lets a mailbox recognise a second copy (A-11)."""
    return list(
        tx.session.scalars(
            text(
                "UPDATE deliveries SET status = 'queued', due_at = :now "
                "WHERE campaign_id = :campaign AND status = 'uncertain' RETURNING id"
            ),
            {"campaign": campaign_id, "now": tx.now},
        )
    )


def close_uncertain(tx: Transaction, campaign_id: int, *, by: str) -> list[int]:
    """Failed, as far as anybody knows; the last attempt says who decided that."""
    return list(
        tx.session.scalars(
            text(
                """
                WITH closed AS (
                    UPDATE deliveries SET status = 'failed', finished_at = :now
                    WHERE campaign_id = :campaign AND status = 'uncertain' RETURNING id
                ), noted AS (
                    INSERT INTO attempts (delivery_id, at, phase, text, fate, scope, relay)
                    SELECT id, :now, 'eom', :text, 'give_up', 'message', 'milepost' FROM closed
                )
                SELECT id FROM closed
                """
            ),
            {
                "campaign": campaign_id,
                "now": tx.now,
                "text": f"Closed by {by}: whether the relay took it was never known, and it is not sent again.",
            },
        )
    )


def give_articles_back(tx: Transaction, delivery_ids: Sequence[int]) -> None:
    """Articles of list mail that certainly did not leave may be mailed again, by a later issue.

    What may have arrived keeps its articles for ever: never twice comes before never missed (invariant 7).
    """
    if delivery_ids:
        tx.session.execute(
            text(
                """
                DELETE FROM mailed_articles m USING deliveries d
                WHERE d.id = m.delivery_id AND d.id = ANY(:ids) AND d.status IN ('failed', 'skipped', 'cancelled')
                  AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.delivery_id = d.id AND a.fate = 'unknown')
                """
            ),
            {"ids": list(delivery_ids)},
        )


def list_lanes_to_wake(tx: Transaction) -> list[Lane]:
    """Lanes with due mail, or with mail held for longer than a batch takes, unless all of their workers are busy.

    A busy worker comes back by itself, so hints do not pile up. Who holds mail for long has met trouble, and settles it
    when it is woken.
    """
    return [
        Lane(lane)
        for lane in tx.session.scalars(
            text(
                """
                SELECT l.lane FROM (VALUES ('interactive'), ('bulk')) AS l(lane)
                WHERE (SELECT count(DISTINCT d.claimed_by) FROM deliveries d
                       WHERE d.status = 'sending' AND d.lease_until > :busy AND d.lane = l.lane)
                    < (SELECT greatest(1, count(*)) FROM worker_processes w
                       WHERE w.lane = l.lane AND w.ended_at IS NULL AND w.beat_at > :alive)
                  AND (EXISTS (SELECT 1 FROM deliveries d WHERE d.status = 'sending' AND d.lane = l.lane)
                       OR l.lane = 'interactive' AND EXISTS (
                           SELECT 1 FROM deliveries d
                           WHERE d.lane = 'interactive' AND d.status = 'queued' AND d.due_at <= :now)
                       OR l.lane = 'bulk' AND EXISTS (
                           SELECT 1 FROM campaigns c JOIN deliveries d ON d.campaign_id = c.id
                           WHERE c.status = 'sending' AND d.lane = 'bulk' AND d.status = 'queued' AND d.due_at <= :now)
                       OR l.lane = 'bulk' AND EXISTS (
                           SELECT 1 FROM campaigns c WHERE c.status = 'sending' AND c.planned_to IS NOT NULL))
                """
            ),
            {"now": tx.now, "busy": tx.now + LEASE - BUSY_FOR, "alive": tx.now - PRESUMED_DEAD},
        )
    ]
