"""A campaign's audience is planned in parts: the first is mailed while the others are planned."""

from service.domain.deliveries import PLANNED_AT_ONCE
from service.store import campaigns, deliveries
from service.store.schema import Campaign
from service.store.transaction import Transaction


def plan_part(tx: Transaction, campaign: Campaign) -> int:
    """Queue mail to the next readers of a locked campaign. Returns how many there were."""
    planned, last = deliveries.plan_audience(tx, campaign, after=campaign.planned_to or 0, limit=PLANNED_AT_ONCE)
    campaigns.note_planned(tx, campaign, last)
    return planned


def plan_more(tx: Transaction, campaign_id: int) -> bool:
    """The next part of a campaign that is being sent, if any is left. Returns whether there was one."""
    campaign = campaigns.lock_to_plan_more(tx, campaign_id)
    if campaign is None:
        return False
    plan_part(tx, campaign)
    return True
