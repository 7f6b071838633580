"""Digests: what a run collects for each reader, and who gets nothing this time and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from service.domain.campaigns import Act
from service.domain.digests import MOST_ITEMS, Rules, decide_issue
from service.domain.words import CampaignStatus, DeliveryStatus, Lane, Language, SkipReason
from service.errors import Kind, ServiceError
from service.ports import Hint
from service.store import campaigns, digests, lists
from service.store.transaction import Transaction

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunStarted:
    run_id: int
    campaign_id: int


@dataclass(frozen=True, slots=True)
class RunPlanned:
    """Every active reader of the list is either queued or skipped for one reason."""

    audience: int
    queued: int
    issues: int
    skipped: dict[SkipReason, int] = field(default_factory=dict)


def add_digest(
    tx: Transaction,
    *,
    slug: str,
    list_slug: str,
    names: Mapping[Language, str],
    min_items: int = 1,
    max_items: int = 5,
    max_age_days: int = 30,
) -> int:
    """Add a digest, or change the one with this slug. Returns its id."""
    if not 0 < min_items <= max_items <= MOST_ITEMS or max_age_days < 1:
        raise ServiceError(
            Kind.INVALID,
            "digest_bounds",
            f"A digest of {min_items} to {max_items} articles of at most {max_age_days} days cannot be; nothing was "
            "saved. The minimum is at least 1 and at most the maximum, the maximum at most "
            f"{MOST_ITEMS} (of more, mail clients would cut the mail off), the age at least 1 day.",
        )
    return digests.add_digest(
        tx,
        slug=slug,
        list_id=lists.get_list(tx, list_slug).id,
        names=names,
        min_items=min_items,
        max_items=max_items,
        max_age_days=max_age_days,
    )


def start_run(tx: Transaction, digest_slug: str, *, by: str, cutoff_at: datetime | None = None) -> RunStarted:
    """Order a run: articles published up to `cutoff_at` (default: now). A worker plans and sends it."""
    digest = digests.get_digest(tx, digest_slug)
    digests.lock_planning(tx, digest.list_id)
    if (waiting := digests.find_run_in_planning(tx, digest.id)) is not None:
        raise ServiceError(
            Kind.CONFLICT,
            "run_in_planning",
            f"The last run of {digest_slug!r} (campaign {waiting}) is still being planned; no other was started. "
            f"Look at it with `milepost campaign status {waiting}`.",
        )
    run_id, campaign_id = digests.add_run(tx, digest, cutoff_at=cutoff_at or tx.now, by=by)
    tx.hint(Hint.PLAN_CAMPAIGN, Lane.BULK, campaign_id)
    log.info("run_started", digest=digest_slug, run_id=run_id, campaign_id=campaign_id, by=by)
    return RunStarted(run_id, campaign_id)


def plan_run(tx: Transaction, campaign_id: int) -> RunPlanned | None:
    """Plan the run behind this campaign. None if the campaign is no run's or is not in planning."""
    campaign = campaigns.lock_campaign(tx, campaign_id)
    if campaign.run_id is None or campaign.status is not CampaignStatus.PLANNING:
        return None
    campaigns.allow_time_to_plan(tx)
    run, digest = digests.get_run(tx, campaign.run_id)
    digests.lock_planning(tx, digest.list_id)
    digests.gather_readers(tx, list_id=digest.list_id, cutoff_at=run.cutoff_at, max_age_days=digest.max_age_days)
    cohorts = digests.list_cohorts(tx)
    issues = _decide(tx, cohorts, Rules(digest.min_items, digest.max_items))
    # Cohorts that differ only in what does not fit share an issue.
    contents = sorted({(c.language, ids) for c, ids in issues.items() if not isinstance(ids, SkipReason)})
    issue_ids = dict(zip(contents, digests.add_issues(tx, run.id, contents), strict=True))
    counts = digests.add_deliveries(
        tx,
        campaign,
        {c: ids if isinstance(ids, SkipReason) else issue_ids[c.language, ids] for c, ids in issues.items()},
    )
    campaigns.move_campaign(tx, campaign, Act.PLANNED, by=campaign.changed_by)
    tx.hint(Hint.SEND_DUE, Lane.BULK)
    planned = RunPlanned(
        audience=sum(counts.values()),
        queued=counts.get(DeliveryStatus.QUEUED, 0),
        issues=len(contents),
        skipped=digests.count_skipped(tx, campaign_id),
    )
    log.info("run_planned", campaign_id=campaign_id, audience=planned.audience, issues=planned.issues)
    return planned


def _decide(
    tx: Transaction, cohorts: Sequence[digests.Cohort], rules: Rules
) -> dict[digests.Cohort, tuple[int, ...] | SkipReason]:
    articles = digests.read_candidates(tx, {article_id for cohort in cohorts for article_id in cohort.article_ids})
    return {cohort: decide_issue([articles[i] for i in cohort.article_ids], rules) for cohort in cohorts}
