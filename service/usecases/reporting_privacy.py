"""One page on the state of privacy: what is held, what is due, what was asked, erased, sealed and taken out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.ledger import LedgerKeys
from service.domain.processors import Processor
from service.domain.retention import Rule
from service.store import inventory, privacy_requests
from service.store.append_only import AppendOnlyFile
from service.store.inventory import Sealed
from service.store.transaction import Transaction
from service.usecases.steps import erasure_log
from service.usecases.steps.retention_state import RuleState, get_retention, get_silent

RECENT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class OpenRequest:
    id: int
    kind: str
    subscriber_id: int
    asked_by: str
    asked_at: datetime
    due_at: datetime
    overdue: bool


@dataclass(frozen=True, slots=True)
class PrivacyReport:
    made_at: datetime
    held: dict[str, int]
    suppressions: dict[str, int]
    """In force, by reason."""
    retention: list[RuleState]
    silent_24_months: int
    silent_36_months: int
    requests: list[OpenRequest]
    erasures: int
    erasure_log: str
    """How log and database stand to each other."""
    ledger: Sealed
    """Its newest checkpoint. Whether all is whole is said by `milepost consent verify`."""
    processors: list[str]
    acts_of_30_days: dict[str, int]
    """What operators did with personal data: exports, proofs, imports and the rest, by act."""


def list_requests(tx: Transaction) -> list[OpenRequest]:
    """What people wait for, the most urgent first."""
    return [
        OpenRequest(
            id=request.id,
            kind=request.kind.value,
            subscriber_id=request.subscriber_id,
            asked_by=request.asked_by,
            asked_at=request.asked_at,
            due_at=request.due_at,
            overdue=request.due_at <= tx.now,
        )
        for request in privacy_requests.list_open(tx)
    ]


def get_privacy_report(
    tx: Transaction,
    ledger: LedgerKeys,
    rules: Sequence[Rule],
    processors: Iterable[Processor],
    erasure_file: AppendOnlyFile,
) -> PrivacyReport:
    silent = get_silent(tx)
    compared = erasure_log.compare(tx, ledger, erasure_file)
    return PrivacyReport(
        made_at=tx.now,
        held=inventory.count_held(tx),
        suppressions=inventory.count_suppressions(tx),
        retention=get_retention(tx, rules),
        silent_24_months=len(silent.review),
        silent_36_months=len(silent.ended),
        requests=list_requests(tx),
        erasures=compared.erasures,
        erasure_log=compared.standing.value,
        ledger=inventory.get_sealed(tx),
        processors=[f"{each.name} ({each.country})" for each in processors],
        acts_of_30_days=inventory.count_acts(tx, tx.now - RECENT),
    )
