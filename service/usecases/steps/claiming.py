"""The next batch: what a worker may send now, as long as it may, and at which moments."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from service.domain.deliveries import LEASE, LEASE_MARGIN, START_WITHIN
from service.domain.letters import Letter
from service.domain.rates import Permission, free
from service.domain.words import Lane
from service.store import campaigns, claims, letters, rates, worker_processes
from service.store.transaction import Transaction
from service.usecases.steps import watching
from service.usecases.steps.planning import plan_more
from service.usecases.steps.senders import Sender

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Batch:
    """What one claim has brought."""

    letters: Sequence[Letter]
    attempts: dict[int, int]
    """Of those that were tried before."""
    now: datetime
    """When what the letters say was true."""
    claimed_at: float
    asked_for: int
    skipped: int
    permission: Permission
    campaign_id: int | None = None
    is_held_back: bool = False
    """A campaign's first answers are not in: until then no more of it may leave (F-15)."""
    plan_next: int | None = None
    """A campaign of which readers are left to be planned, best while this batch is sent."""
    is_planned_on: bool = False
    """There will be more to claim than this claim found."""

    @property
    def starts_end(self) -> float:
        """After this nothing of it may start (invariant 2)."""
        return self.claimed_at + min(START_WITHIN, LEASE - LEASE_MARGIN).total_seconds()

    @property
    def is_short(self) -> bool:
        """Whether there was no more to claim."""
        return len(self.letters) < self.asked_for


_NOTHING = claims.Claimed((), 0)


def claim(sender: Sender) -> Batch:
    """The next mails of the sender's lane, and their letters, in a transaction of its own."""
    now = sender.clock.monotonic
    claimed_at = now()
    asked_for = sender.batch
    with sender.transaction() as tx:
        if not worker_processes.may_claim(tx, sender.worker_id):
            sender.ended = True
            log.warning("declared_lost_and_alive", worker_id=str(sender.worker_id))
            return Batch([], {}, tx.now, claimed_at, asked_for, 0, free(0, claimed_at))
        permission = rates.ask(tx, sender.rate, asked_for, now)
        limit = min(asked_for, permission.number)
        found = _Found()
        if limit and sender.lane is Lane.BULK:
            found = _claim_next(tx, sender, limit)
        elif limit:
            found = _Found(_claim_of(tx, sender, None, limit))
        claimed = found.claimed
        rates.charge(tx, permission, len(claimed.rows))
        if sender.lane is Lane.BULK:
            written = letters.write_bulk(tx, claimed.rows)
        else:
            written = letters.read_letters(tx, claimed.ids)
        true_at = tx.now
    return Batch(
        written,
        claimed.attempts,
        true_at,
        claimed_at,
        limit,
        claimed.skipped,
        permission,
        found.campaign_id,
        found.is_held_back,
        found.plan_next,
        found.is_planned_on,
    )


@dataclass
class _Found:
    claimed: claims.Claimed = _NOTHING
    campaign_id: int | None = None
    is_held_back: bool = False
    plan_next: int | None = None
    is_planned_on: bool = False


def _claim_next(tx: Transaction, sender: Sender, limit: int) -> _Found:
    """Of the next campaign; of the one after it where nothing of that may be claimed; once round."""
    tried: set[int] = set()
    found = _Found()
    while True:
        following = campaigns.find_next_with_due(tx, sender.last_campaign)
        if following is None or following.id in tried:
            return found
        tried.add(following.id)
        sender.last_campaign = following.id
        found.is_planned_on = found.is_planned_on or following.is_planned_on
        startable = watching.count_startable(tx, following.id, limit)
        found.is_held_back = found.is_held_back or startable < limit
        if not startable:
            continue
        claimed = _claim_of(tx, sender, following.id, startable)
        if claimed.rows or claimed.skipped:
            # Not while its first answers are waited for: those do not wait for the planning.
            plan_next = following.id if following.is_planned_on and startable == limit else None
            return replace(found, claimed=claimed, campaign_id=following.id, plan_next=plan_next)
        if following.is_planned_on and plan_more(tx, following.id):
            tried.discard(following.id)


def _claim_of(tx: Transaction, sender: Sender, campaign_id: int | None, limit: int) -> claims.Claimed:
    return claims.claim(
        tx,
        worker_id=sender.worker_id,
        lane=sender.lane,
        campaign_id=campaign_id,
        limit=limit,
        message_host=sender.message_host,
        fingerprint=sender.keys.address_hmac,
    )
