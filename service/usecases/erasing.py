"""Forgetting a person: asked for by anybody who may, done by a worker, for good (GDPR 17, D-15).

What stays says nothing about who it was: the chain of consent events, whose personal part needs a key that is
destroyed; a standing order under an HMAC of the address, so that no import brings it back; rows that only count; and a
number in the erasure log, outside the database, so that a backup forgets again (`usecases/steps/erasure_log.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import structlog

from service.domain import erasures as log_lines
from service.domain.addresses import Address, mask_address, parse_address
from service.domain.erasures import Erased, Line
from service.domain.ledger import LedgerKeys
from service.domain.processors import Processor
from service.domain.tokens import Keys
from service.domain.words import Lane, PrivacyRequestKind
from service.errors import Kind, ServiceError
from service.ports import Hint
from service.store import audit, erasures, former_addresses, inventory, privacy_requests, signups, subscribers
from service.store.append_only import Appender, AppendOnlyFile
from service.store.claims import keep_for_certain
from service.store.erasures import Emptied, Person
from service.store.transaction import Transaction, TransactionFactory
from service.usecases.steps.erasure_log import finish_cut_short
from service.usecases.steps.silencing import silence

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Done, and in the log under this number."""

    number: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Mail to the person is on the wire. Nothing further is sent; the rest is erased when these workers are done."""

    workers: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class BecameReader:
    """A sign-up of the address was decided meanwhile: there is a subscriber to forget, and it is asked for."""

    subscriber_id: int


@dataclass(frozen=True, slots=True)
class NobodyThere:
    """Nothing is held, and nothing was ever erased: never known, or ended by a rule of retention."""


@dataclass(frozen=True, slots=True)
class ToErase:
    """Who has the address, and how much of what is held."""

    address: Address
    subscriber_id: int | None
    """None: no subscriber has it; a sign-up, an import or a test mail may."""
    held: dict[str, int]
    masked_now: str | None = None
    """A reader left the address for this one, and is not touched: it need not be the same person any more."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A processor that has seen the address, and has to be asked to erase it too (GDPR 19, 28)."""

    name: str
    contact: str
    log_days: int
    self_operated: bool


def request_erasure(tx: Transaction, subscriber_id: int, *, asked_by: str) -> None:
    """Note that this person is to be forgotten; asking twice is asking once. A worker does it within seconds.

    `asked_by`: "subscriber", or the operator whom the person wrote to.
    """
    privacy_requests.add_request(tx, PrivacyRequestKind.ERASE, subscriber_id, asked_by=asked_by)
    tx.hint(Hint.ERASE_DUE, Lane.INBOUND)


def wake(tx: Transaction) -> None:
    """For the sweep: hint what no hint led to, or what had to wait for a worker."""
    if privacy_requests.list_open(tx, PrivacyRequestKind.ERASE):
        tx.hint(Hint.ERASE_DUE, Lane.INBOUND)


def erase_due(transaction: TransactionFactory, keys: Keys, file: AppendOnlyFile) -> int:
    """Do every erasure that was asked for. Returns how many are done now. Opens its own transactions.

    Raises ServiceError (CONFLICT) when log and database do not fit, and OSError when the log cannot be written.
    """
    with transaction() as tx:
        due = [(r.subscriber_id, r.asked_by) for r in privacy_requests.list_open(tx, PrivacyRequestKind.ERASE)]
    done = 0
    for subscriber_id, asked_by in due:
        result = erase(transaction, keys, file, subscriber_id, asked_by=asked_by)
        done += isinstance(result, Forgotten)
        log.info("erasure", subscriber_id=subscriber_id, result=type(result).__name__)
    return done


def erase(
    transaction: TransactionFactory, keys: Keys, file: AppendOnlyFile, subscriber_id: int, *, asked_by: str
) -> Forgotten | Waiting | NobodyThere:
    """Forget one subscriber now. One erasure at a time, whoever runs it. Raises as `erase_due`."""
    with file.locked() as held, transaction() as tx:
        keep_for_certain(tx)
        finished = finish_cut_short(tx, keys.ledger, held)
        if subscriber_id == erasures.NO_SUBSCRIBER and not finished:
            return NobodyThere()  # it failed before its line: the request stays open, for the operator to say it again
        person = erasures.lock_person(tx, subscriber_id)
        if person is None:
            privacy_requests.mark_done(tx, subscriber_id)
            number = erasures.find_number(tx, subscriber_id)  # somebody else was faster
            return NobodyThere() if number is None else Forgotten(number)
        workers = silence(tx, keys.ledger, person, actor=asked_by)
        if workers:
            return Waiting(tuple(workers))
        number = _append(tx, keys.ledger, held, subscriber_id, erasures.forget(tx, person))
        privacy_requests.mark_done(tx, subscriber_id)
        return Forgotten(number)


def erase_address(
    transaction: TransactionFactory, keys: Keys, file: AppendOnlyFile, address: Address
) -> Forgotten | Waiting | NobodyThere | BecameReader:
    """Forget an address that is no subscriber's, but stands in a sign-up, an import or a test mail."""
    with file.locked() as held:
        # Committed before the log's line: a crash between the two is then known as one (`erase_due` finishes it).
        with transaction() as tx:
            privacy_requests.add_request(tx, PrivacyRequestKind.ERASE, erasures.NO_SUBSCRIBER, asked_by="operator")
        with transaction() as tx:
            keep_for_certain(tx)
            finish_cut_short(tx, keys.ledger, held)
            # Whoever decides about a sign-up of this address is waited for, and may have made a reader of it.
            erasures.lock_received(tx, keys.address_hmac(address.dedupe_key))
            signups.lock_abuse_keys(tx, [keys.address_hmac(address.abuse_key)])
            person = _find_person(tx, keys, address)
            if person.subscriber_id != erasures.NO_SUBSCRIBER:
                privacy_requests.mark_done(tx, erasures.NO_SUBSCRIBER)
                request_erasure(tx, person.subscriber_id, asked_by="operator")
                return BecameReader(person.subscriber_id)
            if not erasures.is_held(tx, person):
                privacy_requests.mark_done(tx, erasures.NO_SUBSCRIBER)
                return NobodyThere()
            workers = silence(tx, keys.ledger, person, actor="operator")
            if workers:
                return Waiting(tuple(workers))
            privacy_requests.mark_done(tx, erasures.NO_SUBSCRIBER)
            return Forgotten(_append(tx, keys.ledger, held, None, erasures.forget(tx, person)))


def _find_person(tx: Transaction, keys: Keys, address: Address) -> Person:
    """Whose address it is. Not who left it: somebody else may read that mailbox by now."""
    fingerprint = keys.address_hmac(address.dedupe_key)
    found = subscribers.find_by_dedupe_key(tx, address.dedupe_key)
    if found is None:
        return Person(erasures.NO_SUBSCRIBER, address.dedupe_key, (fingerprint,))
    return Person(found.id, address.dedupe_key, (fingerprint, *former_addresses.list_former(tx, found.id)))


def _append(tx: Transaction, ledger: LedgerKeys, held: Appender, subscriber_id: int | None, emptied: Emptied) -> int:
    """The row, and the line on disk; the commit comes after. Returns the number."""
    newest = erasures.find_newest(tx)
    number = newest.number + 1 if newest else 1
    erased = Erased(
        number,
        subscriber_id,
        emptied.signup_ids,
        emptied.import_rows,
        emptied.delivery_ids,
        emptied.change_ids,
        tx.now,
    )
    text = log_lines.write_line(ledger, erased, newest.line_sha256 if newest else log_lines.FIRST)
    erasures.add_erasure(tx, Line(erased, log_lines.line_sha256(text)))
    held.append(text)
    return number


def look_up(tx: Transaction, keys: Keys, address_text: str) -> ToErase:
    """Changes nothing. Raises ServiceError: NOT_FOUND where nothing is held, INVALID for what is no address."""
    address = parse_address(address_text, reserved=True)
    person = _find_person(tx, keys, address)
    held = inventory.count_of_person(tx, person)
    left_by = None
    if person.subscriber_id == erasures.NO_SUBSCRIBER:
        left_by = former_addresses.find_who_left(tx, person.fingerprints[0])
    if not any(held.values()) and left_by is None:
        raise ServiceError(
            Kind.NOT_FOUND,
            "nobody_known",
            "Nothing is held under this address; nothing was erased. Check the spelling.",
            field="address",
        )
    if person.subscriber_id != erasures.NO_SUBSCRIBER:
        return ToErase(address, person.subscriber_id, held)
    reader = subscribers.find_subscriber(tx, left_by) if left_by is not None else None
    return ToErase(address, None, held, mask_address(reader.address) if reader else None)


def order_erasure(
    transaction: TransactionFactory, keys: Keys, file: AppendOnlyFile, address_text: str, *, actor: str, reason: str
) -> Forgotten | Waiting | NobodyThere:
    """Note it, then erase. What has to wait for mail on the wire is done by a worker, for an address that is no
    subscriber's by saying it again. Raises as `look_up` and `erase`.

    The note is committed first: whatever happens then, it was ordered.
    """
    with transaction() as tx:
        found = look_up(tx, keys, address_text)
        audit.note(tx, actor=actor, act="erasure_ordered", reason=reason, subscriber_id=found.subscriber_id)
        if found.subscriber_id is not None:
            request_erasure(tx, found.subscriber_id, asked_by=actor)
    subscriber_id = found.subscriber_id
    if subscriber_id is None:
        done = erase_address(transaction, keys, file, found.address)
        if not isinstance(done, BecameReader):
            return done
        subscriber_id = done.subscriber_id
    return erase(transaction, keys, file, subscriber_id, asked_by=actor)


def list_to_ask(processors: Iterable[Processor]) -> list[Ask]:
    """Whoever has seen addresses for us."""
    return [
        Ask(each.name, each.contact, each.log_days, each.self_operated)
        for each in processors
        if any("address" in what for what in each.sees)
    ]
