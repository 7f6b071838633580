"""Campaigns of operators: draft, test, order, plan, pause, resume, cancel, and what is uncertain."""

from datetime import timedelta

import structlog

from service.domain.addresses import Address, parse_address
from service.domain.campaigns import Act, Resolution, move
from service.domain.subjects import check_subject
from service.domain.tokens import Keys
from service.domain.words import CampaignStatus, Lane, Language, Layout, Purpose, SubscriptionState
from service.errors import Kind, ServiceError
from service.ports import Hint
from service.store import audit, campaigns, deliveries, lists, subscribers, suppressions, watches
from service.store.schema import Campaign
from service.store.transaction import Transaction, TransactionFactory
from service.usecases.steps.planning import plan_part

log = structlog.get_logger(__name__)

LONGEST_NAME = 200
LONGEST_BODY = 100_000
"""Characters of Markdown; far more than a mailbox shows before it clips (A-43)."""
TEST, TEST_REFUSED = "test_mail", "test_mail_refused"
DAY = timedelta(hours=24)


def create_campaign(
    tx: Transaction,
    *,
    list_slug: str,
    purpose: Purpose,
    name: str,
    subject: str,
    body: str,
    by: str,
    layout: Layout = Layout.CARD,
    expire_after: int | None = None,
) -> int:
    """Keep a draft: subject and Markdown body, to the readers of one list for one purpose. Returns its id.

    `expire_after`: hours after the order, after which whoever has not got it does not get it any more (C-10).
    """
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise _invalid("name", f"The name must be one line of 1 to {LONGEST_NAME} characters. Nothing was saved.")
    if not body.strip() or len(body) > LONGEST_BODY or "\0" in body:
        raise _invalid("body", f"The body must be text of 1 to {LONGEST_BODY} characters. Nothing was saved.")
    return campaigns.add_campaign(
        tx,
        list_id=lists.get_list(tx, list_slug).id,
        purpose=purpose,
        name=name,
        subject=check_subject(subject),
        body=body,
        layout=layout,
        expire_after=expire_after,
        by=by,
    )


def send_test(
    transaction: TransactionFactory,
    keys: Keys,
    campaign_id: int,
    *,
    address: str,
    language: Language,
    by: str,
    per_day: int,
) -> int:
    """Queue one test mail of the draft to an operator's address. Returns the delivery's id.

    Its links act for nobody, and it counts nowhere: not in the campaign's numbers, not against a reader. What stops
    list mail to the address stops this as well, now (CONFLICT) and when it is claimed. Raises ServiceError (TOO_MANY)
    for more than `per_day` orders; those refused for the address count too, else one could try out who has left (D-22).
    """
    # A reserved domain harms nobody here: in the demo it reaches the catcher, elsewhere the relay refuses it.
    to = parse_address(address, reserved=True)
    delivery_id = None
    with transaction() as tx:
        campaign = _of_operator(campaigns.lock_campaign(tx, campaign_id))
        _count_test(tx, per_day)
        if _wants_none(tx, keys, to, campaign):
            audit.note(
                tx,
                actor=by,
                act=TEST_REFUSED,
                reason="its address wants no mail, or gets none",
                campaign_id=campaign_id,
            )
        else:
            revision = campaigns.freeze_revision(tx, campaign)
            delivery_id = deliveries.add_test(tx, campaign, revision, address=to.address, language=language)
            audit.note(
                tx,
                actor=by,
                act=TEST,
                reason="a campaign is tried out",
                campaign_id=campaign_id,
                delivery_id=delivery_id,
            )
    if delivery_id is None:
        raise ServiceError(
            Kind.CONFLICT,
            "test_address_suppressed",
            "This address is not mailed: whoever reads it has left, complained or was erased, or it does not exist. "
            "Nothing was queued; test with an address of your own.",
            field="address",
        )
    log.info("test_mail_queued", campaign_id=campaign_id, delivery_id=delivery_id, by=by)
    return delivery_id


def _count_test(tx: Transaction, per_day: int) -> None:
    if audit.count_lately(tx, (TEST, TEST_REFUSED), DAY) >= per_day:
        raise ServiceError(
            Kind.TOO_MANY,
            "test_limit",
            f"{per_day} test mails were ordered within 24 hours, which is the limit (MILEPOST_TEST_MAILS_PER_DAY); "
            "nothing was queued.",
        )


def _wants_none(tx: Transaction, keys: Keys, to: Address, campaign: Campaign) -> bool:
    """Whether the address is suppressed, or its reader has ended what the campaign is for. The claim asks it again."""
    if suppressions.list_reasons(tx, keys.address_hmac(to.dedupe_key), campaign.list_id):
        return True
    reader = subscribers.find_by_dedupe_key(tx, to.dedupe_key)
    return reader is not None and any(
        (each.list_id, each.purpose, each.state) == (campaign.list_id, campaign.purpose, SubscriptionState.UNSUBSCRIBED)
        for each in subscribers.list_subscriptions(tx, reader.id)
    )


def order_campaign(tx: Transaction, campaign_id: int, *, by: str) -> None:
    """Freeze the revision and have the audience planned. From here on the draft's words cannot change."""
    campaign = _of_operator(campaigns.lock_campaign(tx, campaign_id))
    campaigns.move_campaign(tx, campaign, Act.ORDER, by=by)
    campaign.revision_id = campaigns.freeze_revision(tx, campaign).id
    tx.hint(Hint.PLAN_CAMPAIGN, Lane.BULK, campaign_id)


def plan_campaign(tx: Transaction, campaign_id: int) -> int:
    """Plan the first part of the audience; whoever claims plans the others, until all are planned.

    Returns how many were planned; 0 if it is a run's campaign or not in planning.
    """
    campaign = campaigns.lock_campaign(tx, campaign_id)
    if campaign.run_id is not None or campaign.status is not CampaignStatus.PLANNING:
        return 0
    planned = plan_part(tx, campaign)
    campaigns.move_campaign(tx, campaign, Act.PLANNED, by=campaign.changed_by)
    tx.hint(Hint.SEND_DUE, Lane.BULK)
    return planned


def pause_campaign(tx: Transaction, campaign_id: int, *, by: str, reason: str | None = None) -> None:
    """Nothing more is claimed; what a worker has begun leaves within a few seconds."""
    campaign = campaigns.lock_campaign(tx, campaign_id)
    campaigns.move_campaign(tx, campaign, Act.PAUSE, by=by, reason=reason)


def resume_campaign(tx: Transaction, campaign_id: int, *, by: str) -> None:
    """Go on. What came back so far counts no more: whoever resumes what Milepost paused knows of it."""
    campaign = campaigns.lock_campaign(tx, campaign_id)
    campaigns.move_campaign(tx, campaign, Act.RESUME, by=by)
    watches.forget_watch(tx, campaign_id)
    tx.hint(Hint.SEND_DUE, Lane.BULK)


def cancel_campaign(tx: Transaction, campaign_id: int, *, by: str, reason: str | None = None) -> None:
    """For good: what has not left is cancelled, and articles that were to be in it may be mailed by a later issue."""
    campaign = campaigns.lock_campaign(tx, campaign_id)
    campaigns.move_campaign(tx, campaign, Act.CANCEL, by=by, reason=reason)
    deliveries.give_articles_back(tx, deliveries.cancel_queued(tx, campaign_id))


def resolve_uncertain(tx: Transaction, campaign_id: int, decision: Resolution, *, by: str) -> int:
    """Resend or close every uncertain delivery of the campaign. Returns how many; 0 changes nothing."""
    campaign = campaigns.lock_campaign(tx, campaign_id)
    following = move(campaign.status, Act.RESEND_UNCERTAIN if decision is Resolution.RESEND else Act.CLOSE_UNCERTAIN)
    if decision is Resolution.CLOSE:
        return len(deliveries.close_uncertain(tx, campaign_id, by=by))
    resent = len(deliveries.requeue_uncertain(tx, campaign_id))
    if resent and following is not campaign.status:
        campaigns.move_campaign(tx, campaign, Act.RESEND_UNCERTAIN, by=by)
    if resent:
        tx.hint(Hint.SEND_DUE, Lane.BULK)
    return resent


def _of_operator(campaign: Campaign) -> Campaign:
    if campaign.run_id is not None:
        raise ServiceError(
            Kind.CONFLICT,
            "campaign_of_digest",
            f"Nothing was done: campaign {campaign.id} was made by a run of a digest. Start the next run with "
            "`milepost digest send`.",
        )
    return campaign


def _invalid(field: str, message: str) -> ServiceError:
    return ServiceError(Kind.INVALID, f"campaign_{field}", message, field=field)
