"""While a campaign is being sent: how much of it may leave before its first answers, and whether to pause it."""

from collections.abc import Mapping

import structlog

from service.domain.breaker import WINDOW, Limits, Tally, decide_trip, is_over, is_storm, say_why
from service.domain.campaigns import Act
from service.store import campaigns, watches
from service.store.transaction import Transaction

log = structlog.get_logger(__name__)

OURSELVES = "milepost"
"""Who paused a campaign that no operator did."""


def count_startable(tx: Transaction, campaign_id: int, wanted: int) -> int:
    """How many of `wanted` mails of a campaign may be claimed now.

    Of a campaign whose first answers are not in, no more than those are made of: what is wrong with it is wrong with
    all of it, and then 500 have got it, not 500,000 (F-15).
    """
    taken = watches.find_first_window(tx, campaign_id)
    return wanted if taken is None else min(wanted, max(0, WINDOW - taken))


def note_results(tx: Transaction, tallies: Mapping[int, Tally], limits: Limits) -> list[int]:
    """Count what came back, by campaign, in the transaction that records it. Returns the campaigns it had to pause."""
    paused = []
    for campaign_id, tally in sorted(tallies.items()):
        if not tally.answered:
            continue
        window = watches.add_tally(tx, campaign_id, tally)
        trip = decide_trip(window.tally, is_first=window.is_first, limits=limits)
        storm = (trip is not None or window.cause is not None) and is_storm(window.tally)
        if storm:
            _spare(tx, campaign_id, window.tally)
        if window.cause is not None:
            continue  # what was under way when it was paused
        if trip is None:
            if is_over(window.tally):
                watches.begin_window(tx, campaign_id)
            continue
        campaign = watches.lock_going_on(tx, campaign_id)
        if campaign is None:
            continue  # nothing is left to be spared, or a person decides at this moment; else the next answers tell
        campaigns.move_campaign(
            tx, campaign, Act.PAUSE, by=OURSELVES, reason=say_why(trip, campaign_id, is_storm=storm)
        )
        watches.mark_tripped(tx, campaign_id, trip.cause)
        paused.append(campaign_id)
        log.warning(
            "campaign_paused", campaign_id=campaign_id, cause=trip.cause, number=trip.number, answered=trip.answered
        )
    return paused


def _spare(tx: Transaction, campaign_id: int, window: Tally) -> None:
    """Take back that these addresses are dead (C-14). Their deliveries have failed; the next mail tries them again."""
    spared = watches.lift_bounces(tx, campaign_id, window.dead)
    if spared:
        log.warning("addresses_not_suppressed", campaign_id=campaign_id, number=spared, answered=window.answered)
