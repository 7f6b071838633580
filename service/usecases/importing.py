"""Reading another system's file: judged row by row, opt-outs taken over, consents put into quarantine (E-11).

Nobody becomes mailable here: opt-outs, bounces and complaints are standing orders before the first row is let in
(`usecases/admitting.py`).
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from service.content.tables import Row, Table
from service.domain.import_evidence import describe_file, order_source, row_place, spell_read
from service.domain.import_plans import Plan, make_rules, spell_rules
from service.domain.import_rows import RowRead, Rules, read_row
from service.domain.imports import ATTESTATION, STRANGER, Tally, check_affirmed, decide_row
from service.domain.ledger import encrypt
from service.domain.tokens import Keys
from service.domain.words import Channel, ConsentState, ImportReason, ImportVerdict
from service.errors import Kind, ServiceError
from service.store import audit, consent, imports, lists
from service.store.consent import NewEvent
from service.store.imports import NewRow
from service.store.transaction import Transaction

BATCH = 1_000
_BROKEN = RowRead(ImportVerdict.UNREADABLE, ImportReason.LINE_BROKEN)
_QUARANTINE = (ImportVerdict.MAILABLE, ImportVerdict.NEEDS_CONFIRMING)

OnBatch = Callable[[], None]
"""Called after each batch, for a bar that moves."""


@dataclass(frozen=True, slots=True)
class _Sorted:
    row: Row
    read: RowRead
    fingerprint: bytes | None
    verdict: ImportVerdict
    reason: ImportReason


def check_import(
    tx: Transaction, keys: Keys, plan: Plan, table: Table, *, reserved: bool = False, on_batch: OnBatch = lambda: None
) -> Tally:
    """The dry run: what an import of this file would do. Stores nothing. Raises ServiceError as `make_rules`."""
    tally = Tally()
    list_id, rules = _prepare(tx, plan, table, reserved=reserved)
    for _ in _sort(tx, keys, rules, list_id, table, tally):
        on_batch()
    return tally


@dataclass(frozen=True, slots=True)
class Imported:
    import_id: int
    tally: Tally
    suppressed: int
    """Addresses with a standing order that no one had given before."""
    withdrawn: int
    """Consents in force here that the file's opt-outs ended."""


def run_import(
    tx: Transaction,
    keys: Keys,
    plan: Plan,
    table: Table,
    *,
    source_system: str,
    affirmed: str,
    operator: str,
    reason: str,
    reserved: bool = False,
    on_batch: OnBatch = lambda: None,
) -> Imported:
    """Take the file's opt-outs over and put its consents into quarantine, all or nothing. Nobody is mailable after it.

    Raises ServiceError (INVALID) unless the operator affirms where the addresses come from, names the other system, and
    every line can be read for what it says of its person: who is not understood may want no mail.
    """
    check_affirmed(affirmed)
    source_system = _name_system(source_system)
    list_id, rules = _prepare(tx, plan, table, reserved=reserved)
    import_id = imports.add_import(
        tx,
        list_id=list_id,
        source_system=source_system,
        mapping={name.value: column for name, column in rules.columns.items()},
        rules=spell_rules(rules),
        operator=operator,
        attestation=ATTESTATION,
    )
    key, wrapped = keys.ledger.new_import_key(import_id)
    tally = Tally()
    for batch in _sort(tx, keys, rules, list_id, table, tally):
        imports.add_rows(tx, import_id, [_new_row(key, import_id, each) for each in batch])
        on_batch()
    tally.check_readable(skip_unreadable=rules.skip_unreadable)
    doubles = [(line, ImportVerdict.UNCHANGED, ImportReason.DUPLICATE) for line in tally.duplicates]
    imports.settle_rows(tx, import_id, doubles)
    found = imports.get_import(tx, import_id, lock=True)
    found.file_sha256, found.wrapped, found.counts = table.sha256, wrapped, tally.reasons()
    orders = {fingerprint: order for fingerprint, (order, _) in tally.orders.items()}
    suppressed = imports.add_orders(tx, orders, order_source(import_id))
    file = describe_file(
        import_id=import_id,
        source_system=source_system,
        operator=operator,
        imported_at=tx.now,
        file_sha256=table.sha256,
        attestation=ATTESTATION,
    )
    withdrawn = _withdraw(tx, keys, tally, file)
    counts = {"lines": tally.lines, "suppressed": suppressed, "withdrawn": withdrawn}
    audit.note(tx, actor=operator, act="import_run", reason=reason, import_id=import_id, **counts)
    return Imported(import_id, tally, suppressed, withdrawn)


def _name_system(name: str) -> str:
    if not name.strip() or "@" in name:  # it is listed in clear, and no erasure finds it
        raise ServiceError(
            Kind.INVALID,
            "source_system_missing",
            "Nothing was imported: name the other system, without an address.",
            field="source_system",
        )
    return name.strip()


def _prepare(tx: Transaction, plan: Plan, table: Table, *, reserved: bool) -> tuple[int, Rules]:
    found = lists.get_list(tx, plan.list_slug)
    topics = {
        name: topic.id for topic in lists.list_topics(tx, found.id) for name in (topic.slug, *topic.names.values())
    }
    return found.id, make_rules(plan, table.header, topics, reserved=reserved)


def _sort(
    tx: Transaction, keys: Keys, rules: Rules, list_id: int, table: Table, tally: Tally
) -> Iterator[list[_Sorted]]:
    """Every row, judged by what it says and by what is known here, in batches; all of them counted in `tally`."""
    every = table.rows()
    while rows := list(islice(every, BATCH)):
        reads = [read_row(row.cells, rules, tx.now) if row.cells is not None else _BROKEN for row in rows]
        prints = [keys.address_hmac(read.address.dedupe_key) if read.address else None for read in reads]
        known = imports.read_known(tx, (each for each in prints if each is not None), list_id)
        batch = []
        for row, read, fingerprint in zip(rows, reads, prints, strict=True):
            verdict, reason = decide_row(read, known.get(fingerprint or b"", STRANGER))
            tally.add(row.line, fingerprint, read, verdict, reason)
            batch.append(_Sorted(row, read, fingerprint, verdict, reason))
        yield batch


def _new_row(key: bytes, import_id: int, each: _Sorted) -> NewRow:
    """Only what waits to be let in is kept; of an opt-out the fingerprint is enough, of the unreadable the line."""
    sealed = None
    if each.verdict in _QUARANTINE:
        plain = json.dumps({"row": each.row.cells, "read": spell_read(each.read)}, ensure_ascii=False).encode()
        sealed = encrypt(key, plain, row_place(import_id, each.row.line))
    return NewRow(each.row.line, each.verdict, each.reason, each.fingerprint, sealed)


def _withdraw(tx: Transaction, keys: Keys, tally: Tally, file: dict[str, Any]) -> int:
    """Readers here who opted out, bounced or complained there: their consents end, as the person wished."""
    in_force = imports.list_in_force(tx, tally.orders)
    for each in in_force:
        order, line = tally.orders[each.address_hmac]
        consent.append(
            tx,
            keys.ledger,
            NewEvent(
                subscriber_id=each.subscriber_id,
                list_id=each.list_id,
                purpose=each.purpose,
                state=ConsentState.WITHDRAWN,
                channel=Channel.IMPORT,
                personal={"import": {**file, "line": line, "order": order.value}},
                actor=file["imported_by"],
            ),
        )
    return len(in_force)
