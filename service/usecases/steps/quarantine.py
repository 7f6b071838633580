"""The quarantine of an import: which of its rows may leave it now, and what is noted when they have (E-11).

What is known here is looked at again for each row at that moment, with everybody kept out who decides about the same
mailboxes: whoever has opted out, signed up or been erased since the file was read is not touched.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from service.domain.addresses import Address, parse_address
from service.domain.import_evidence import describe_file, describe_row, row_place
from service.domain.import_rows import RowRead
from service.domain.imports import DAY, STRANGER, Known, Slice, SliceOrder, check_slice, decide_row
from service.domain.ledger import LedgerKeys, decrypt
from service.domain.tokens import Keys
from service.domain.words import ImportReason, ImportStatus, ImportVerdict, Language, Purpose
from service.errors import Kind, ServiceError
from service.store import audit, imports, signups, subscribers
from service.store.schema import Import, ImportRow
from service.store.subscribers import NewSubscriber
from service.store.transaction import Transaction, TransactionFactory

AT_ONCE = 500
"""Rows in one transaction: each holds a lock, and PostgreSQL has room for some thousands."""


@dataclass
class Candidate:
    row: ImportRow
    address: Address
    read: dict[str, Any]
    cells: dict[str, str]
    known: Known
    subscriber_id: int | None = None

    @property
    def purposes(self) -> tuple[Purpose, ...]:
        return tuple(Purpose(purpose) for purpose in self.read["purposes"])

    def time(self, name: str) -> datetime | None:
        return datetime.fromisoformat(self.read[name]) if self.read[name] else None


@dataclass(frozen=True, slots=True)
class Taken:
    """The next rows of one verdict, looked at again."""

    found: Import
    verdict: ImportVerdict
    order: SliceOrder
    looked_at: int
    candidates: list[Candidate]
    settled: Counter[str]
    """Reason → rows that are out of the question by now."""
    file: dict[str, Any]
    """What evidence says about the file."""


def take(tx: Transaction, keys: Keys, import_id: int, verdict: ImportVerdict, order: SliceOrder) -> Taken:
    """The next rows, AT_ONCE at most; who may no longer be let in is settled. One at a time may take from an import.

    Raises ServiceError (NOT_FOUND; CONFLICT for an import that was undone; TOO_MANY beyond a day's warm-up).
    """
    found = imports.get_import(tx, import_id, lock=True)
    if found.status is ImportStatus.UNDONE or found.wrapped is None:
        raise ServiceError(
            Kind.CONFLICT,
            "import_undone",
            f"Import {import_id} was undone and its rows are gone; nobody was let in. Run the import again.",
        )
    lately = imports.count_admitted_since(tx, import_id, verdict, tx.now - DAY)
    check_slice(order.number, lately, no_daily_limit=order.no_daily_limit)
    key = keys.ledger.unwrap_import(import_id, found.wrapped)
    rows = imports.take_waiting(tx, import_id, verdict, min(order.number, AT_ONCE))
    opened = [_open(key, import_id, row) for row in rows]
    # As whoever decides about sign-ups does: nobody else decides about these mailboxes until this is over.
    signups.lock_abuse_keys(tx, (keys.address_hmac(each.address.abuse_key) for each in opened))
    known = imports.read_known(tx, (row.address_hmac for row in rows if row.address_hmac), found.list_id)
    candidates, settled = [], []
    for each in opened:
        each.known = known.get(each.row.address_hmac or b"", STRANGER)
        now, why = decide_row(RowRead(verdict, ImportReason(each.row.reason), each.address), each.known)
        if now is verdict:
            candidates.append(each)
        else:
            settled.append((each.row.line, now, why))
    imports.settle_rows(tx, import_id, settled)
    why_not = Counter(why.value for _, _, why in settled)
    return Taken(found, verdict, order, len(rows), candidates, why_not, _describe(found))


def _open(key: bytes, import_id: int, row: ImportRow) -> Candidate:
    assert row.sealed is not None
    said = json.loads(decrypt(key, row.sealed, row_place(import_id, row.line)))
    return Candidate(row, parse_address(said["read"]["address"], reserved=True), said["read"], said["row"], STRANGER)


def add_subscribers(tx: Transaction, keys: Keys, candidates: Sequence[Candidate]) -> None:
    """Who became a reader in just this moment keeps no subscriber_id here, and is looked at again next time."""
    added = subscribers.add_new(
        tx,
        [
            NewSubscriber(
                address=each.address.address,
                dedupe_key=each.address.dedupe_key,
                address_hmac=keys.address_hmac(each.address.dedupe_key),
                language=Language(each.read["language"]),
                first_name=each.read["first_name"] if each.row.verdict is ImportVerdict.MAILABLE else None,
            )
            for each in candidates
            if each.known.subscriber_id is None
        ],
    )
    for each in candidates:
        each.subscriber_id = each.known.subscriber_id or added.get(each.address.dedupe_key)


def let_out(
    transaction: TransactionFactory, order: SliceOrder, some: Callable[[Transaction, SliceOrder], Slice]
) -> Slice:
    """As many as the order says, in transactions of AT_ONCE; what is committed stays if a later one fails.

    Raises what `some` raises: at once if the day has no room for all.
    """
    done, settled = 0, Counter[str]()
    while True:
        tried = done + settled.total()
        with transaction() as tx:
            one = some(tx, replace(order, number=order.number - tried))
        done += one.done
        settled.update(one.settled)
        moved = done + settled.total() - tried
        if not moved or tried + moved >= order.number or one.left <= one.later:
            return Slice(done, dict(settled), one.later, one.left)


def evidence_of(taken: Taken, each: Candidate) -> dict[str, Any]:
    """For the events that a row makes (D1 #18)."""
    return describe_row(taken.file, each.row.line, each.cells, each.read)


def read_question(tx: Transaction, ledger: LedgerKeys, signup_id: int) -> dict[str, Any] | None:
    """As `evidence_of`, for the row that this sign-up asks about; None for one that came by a form."""
    row = imports.find_asked(tx, signup_id)
    found = imports.get_import(tx, row.import_id) if row else None
    if row is None or row.sealed is None or found is None or found.wrapped is None:
        return None
    opened = _open(ledger.unwrap_import(found.id, found.wrapped), found.id, row)
    return describe_row(_describe(found), row.line, opened.cells, opened.read)


def _describe(found: Import) -> dict[str, Any]:
    return describe_file(
        import_id=found.id,
        source_system=found.source_system,
        operator=found.operator,
        imported_at=found.created_at,
        file_sha256=found.file_sha256,
        attestation=found.attestation,
    )


def finish(tx: Transaction, taken: Taken, act: str, done: int) -> Slice:
    """Note what was done, and say what is left."""
    found, order = taken.found, taken.order
    found.status = ImportStatus.ADMITTING if imports.is_waiting(tx, found.id) else ImportStatus.DONE
    audit.note(
        tx,
        actor=order.operator,
        act=act,
        reason=order.reason,
        import_id=found.id,
        rows=done,
        settled=dict(taken.settled),
        no_daily_limit=order.no_daily_limit,
    )
    left = sum(count.waiting for count in imports.count_rows(tx, found.id) if count.verdict is taken.verdict)
    return Slice(done, dict(taken.settled), taken.looked_at - done - taken.settled.total(), left)
