"""The next batch: what a worker may send now, as long as it may, and at which moments."""

from collections.abc import Sequence
from dataclasses import dataclass
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
        claimed, campaign_id, held_back = _NOTHING, None, False
        if limit and sender.lane is Lane.BULK:
            claimed, campaign_id, held_back = _claim_next(tx, sender, limit)
        elif limit:
            claimed = _claim_of(tx, sender, None, limit)
        rates.charge(tx, permission, len(claimed.rows))
        if sender.lane is Lane.BULK:
            found = letters.write_bulk(tx, claimed.rows)
        else:
            found = letters.read_letters(tx, claimed.ids)
        true_at = tx.now
    return Batch(
        found,
        claimed.attempts,
        true_at,
        claimed_at,
        limit,
        claimed.skipped,
        permission,
        campaign_id,
        held_back,
    )


def _claim_next(tx: Transaction, sender: Sender, limit: int) -> tuple[claims.Claimed, int | None, bool]:
    """Of the next campaign; of the one after it where nothing of that may be claimed; once round.

    Returns what was claimed, of which campaign, and whether a campaign's first answers are waited for.
    """
    tried: set[int] = set()
    held_back = False
    while True:
        campaign_id = campaigns.find_next_with_due(tx, sender.last_campaign)
        if campaign_id is None or campaign_id in tried:
            return _NOTHING, None, held_back
        tried.add(campaign_id)
        sender.last_campaign = campaign_id
        startable = watching.count_startable(tx, campaign_id, limit)
        held_back = held_back or startable < limit
        if not startable:
            continue
        claimed = _claim_of(tx, sender, campaign_id, startable)
        if claimed.rows or claimed.skipped:
            if startable == limit:
                plan_more(tx, campaign_id)  # for the next claim; its first mails do not wait for that
            return claimed, campaign_id, held_back
        if plan_more(tx, campaign_id):
            tried.discard(campaign_id)


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
