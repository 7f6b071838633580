"""Taking an import back: whoever it brought and did nothing by themselves since is no reader any more (E-11)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.domain.import_evidence import order_source, row_place
from service.domain.imports import Choices, has_acted
from service.domain.ledger import decrypt
from service.domain.tokens import Keys
from service.domain.words import Channel, ConsentState, ImportStatus, LawfulBasis
from service.errors import Kind, ServiceError
from service.store import audit, brought, consent, imports
from service.store.brought import Brought
from service.store.consent import NewEvent
from service.store.schema import Import
from service.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Undone:
    ended: int
    """Readers who are mailed no more."""
    kept: int
    """Readers who confirmed or changed something themselves: their own act stands."""
    mails_cancelled: int
    rows_shredded: int
    """Were in quarantine."""
    orders_lifted: int
    """Standing orders of the import's own; they stay unless asked otherwise, and other imports' stay in any case."""


def undo_import(
    tx: Transaction, keys: Keys, import_id: int, *, operator: str, reason: str, suppressions_too: bool = False
) -> Undone:
    """All or nothing. Consents that the file's opt-outs ended stay ended: nobody is made a reader by an undo.

    Raises ServiceError (NOT_FOUND; CONFLICT if it was undone already).
    """
    found = imports.get_import(tx, import_id, lock=True)
    if found.status is ImportStatus.UNDONE:
        raise ServiceError(Kind.CONFLICT, "import_undone", f"Import {import_id} was undone before; nothing was done.")
    key = keys.ledger.unwrap_import(import_id, found.wrapped) if found.wrapped else None
    readers = brought.lock_brought(tx, import_id)
    ended = []
    for each in readers:
        read = _read(import_id, key, each)
        if not _has_acted(each, read):
            ended.append(each)
            _invalidate(tx, keys, found, each, read, operator, reason)
    cut = brought.close_questions(tx, import_id, [each.line for each in ended])
    lifted = imports.lift_orders(tx, order_source(import_id)) if suppressions_too else 0
    shredded = brought.shred(tx, import_id, tx.now)
    done = Undone(len(ended), len(readers) - len(ended), cut, shredded, lifted)
    audit.note(
        tx,
        actor=operator,
        act="import_undone",
        reason=reason,
        import_id=import_id,
        ended=done.ended,
        kept=done.kept,
        orders_lifted=lifted,
    )
    return done


def _read(import_id: int, key: bytes | None, each: Brought) -> dict[str, Any] | None:
    """What the row said, unless its text is gone."""
    if key is None or each.sealed is None:
        return None
    read: dict[str, Any] = json.loads(decrypt(key, each.sealed, row_place(import_id, each.line)))["read"]
    return read


def _has_acted(each: Brought, read: Mapping[str, Any] | None) -> bool:
    left = None
    if read is not None and not each.was_here:
        topics = () if each.asked else read["topic_ids"]  # those of a question take effect with the button
        left = Choices(plain=True, language=read["language"], topic_ids=frozenset(topics))
    now = Choices(each.plain, each.language, frozenset(each.topic_ids))
    return has_acted(events=each.acted, brought=left, now=now)


def _invalidate(
    tx: Transaction,
    keys: Keys,
    found: Import,
    each: Brought,
    read: Mapping[str, Any] | None,
    operator: str,
    reason: str,
) -> None:
    brought_purposes = read["purposes"] if read is not None else each.purposes
    for purpose in each.purposes:
        if purpose in brought_purposes:
            consent.append(
                tx,
                keys.ledger,
                NewEvent(
                    subscriber_id=each.subscriber_id,
                    list_id=found.list_id,
                    purpose=purpose,
                    state=ConsentState.INVALIDATED,
                    channel=Channel.IMPORT,
                    lawful_basis=LawfulBasis.CONSENT_DOI if each.asked else LawfulBasis.IMPORTED,
                    personal={"import": {"id": found.id, "undone_by": operator, "reason": reason}},
                    actor=operator,
                ),
            )
