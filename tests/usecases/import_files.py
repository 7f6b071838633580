"""Files of another system for tests, and importing them with everything that an import needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from service.content.tables import Table
from service.domain.import_plans import Plan
from service.domain.import_rows import Field
from service.domain.imports import AFFIRMATION, SliceOrder, Tally
from service.domain.words import Purpose
from service.store.schema import ImportRow, Subscriber, Subscription
from service.store.transaction import Transaction
from service.usecases import importing, wording
from service.usecases.importing import Imported
from tests.usecases.builders import KEYS, PUBLISHER, THREE_DAYS

HEADER = "Email,First name,State,Joined,Where,Confirmed,Language,Topics,Words"
COLUMNS = {
    Field.ADDRESS: "Email",
    Field.FIRST_NAME: "First name",
    Field.STATUS: "State",
    Field.CONSENT_AT: "Joined",
    Field.CONSENT_SOURCE: "Where",
    Field.CONFIRMED_AT: "Confirmed",
    Field.LANGUAGE: "Language",
    Field.TOPICS: "Topics",
    Field.STATEMENT_TEXT: "Words",
}
PLAN = Plan(list_slug="hub", columns=COLUMNS, statuses={}, purposes=(Purpose.DIGEST,))
ORDER = SliceOrder(500, "ada", "moving house")
LIFETIME = THREE_DAYS


def a_row(
    address: str, state: str = "subscribed", joined: str = "2021-05-04T08:00:00Z", **cells: str
) -> tuple[str, ...]:
    rest = [cells.get(name, "") for name in ("confirmed", "language", "topics", "words")]
    return (address, cells.get("first_name", ""), state, joined, cells.get("where", "form at the old shop"), *rest)


def a_file(directory: Path, rows: Sequence[tuple[str, ...]], name: str = "old.csv") -> Path:
    path = directory / name
    path.write_text("\n".join([HEADER, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path


def check(tx: Transaction, path: Path, plan: Plan = PLAN) -> Tally:
    wording.publish(tx, PUBLISHER)
    with Table(path) as table:
        return importing.check_import(tx, KEYS, plan, table)


def run(tx: Transaction, path: Path, plan: Plan = PLAN, **changes: Any) -> Imported:
    wording.publish(tx, PUBLISHER)
    told = {"source_system": "Old Letters", "affirmed": AFFIRMATION, "operator": "ada", "reason": "moving house"}
    with Table(path) as table:
        return importing.run_import(tx, KEYS, plan, table, **(told | changes))  # type: ignore[arg-type]


def rows_of(tx: Transaction, import_id: int) -> list[ImportRow]:
    found = select(ImportRow).where(ImportRow.import_id == import_id).order_by(ImportRow.line)
    return list(tx.session.scalars(found.execution_options(populate_existing=True)))


def verdicts(tx: Transaction, import_id: int) -> list[tuple[int, str, str]]:
    return [(row.line, row.verdict.value, row.reason) for row in rows_of(tx, import_id)]


def states(tx: Transaction) -> dict[str, str]:
    """Address → state of its subscriptions, one word where all are alike."""
    rows = tx.session.execute(
        select(Subscriber.address, Subscription.state).join(Subscription).order_by(Subscription.purpose)
    )
    found: dict[str, list[str]] = {}
    for address, state in rows:
        found.setdefault(address, []).append(state.value)
    return {address: " ".join(dict.fromkeys(each)) for address, each in found.items()}
