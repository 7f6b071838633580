"""Digests: what a run collects for each reader, and who gets nothing this time and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from service.domain.words import Language, SkipReason
from service.store.transaction import Transaction


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
    raise NotImplementedError


def start_run(tx: Transaction, digest_slug: str, *, by: str, cutoff_at: datetime | None = None) -> RunStarted:
    """Order a run: articles published up to `cutoff_at` (default: now). A worker plans and sends it."""
    raise NotImplementedError


def plan_run(tx: Transaction, campaign_id: int) -> RunPlanned | None:
    """Plan the run behind this campaign. None if the campaign is no run's or is not in planning."""
    raise NotImplementedError
