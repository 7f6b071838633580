"""What the rules of retention would do now: for the dry run and for the report on privacy (D-12, D-19)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.domain.contexts import REVIEW_MONTHS, VALID_MONTHS
from service.domain.retention import Rule
from service.store import retention
from service.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule, what it would act on now, and what it did last."""

    id: str
    what: str
    keep: str
    then: str
    reason: str
    before: datetime
    """What began before this is due."""
    due: int
    last_run_at: datetime | None
    last_affected: int | None


@dataclass(frozen=True, slots=True)
class Silent:
    """Readers of whom nothing was heard for so many months. Nothing is done to them by itself (D-12)."""

    review: Sequence[int]
    ended: Sequence[int]


def get_retention(tx: Transaction, rules: Sequence[Rule]) -> list[RuleState]:
    """The dry run: counts only, changes nothing."""
    runs = retention.get_runs(tx)
    states = []
    for rule in rules:
        run = runs.get(rule.id)
        before = rule.cutoff(tx.now)
        states.append(
            RuleState(
                id=rule.id,
                what=rule.what,
                keep=rule.says(),
                then=rule.then,
                reason=rule.reason,
                before=before,
                due=retention.count_due(tx, rule.id, before),
                last_run_at=run.ran_at if run else None,
                last_affected=run.affected if run else None,
            )
        )
    return states


def get_silent(tx: Transaction) -> Silent:
    return Silent(retention.list_silent(tx, REVIEW_MONTHS), retention.list_silent(tx, VALID_MONTHS))
