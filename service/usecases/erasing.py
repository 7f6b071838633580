"""Forgetting a person: asked for by anybody who may, done by a worker, for good (GDPR 17, D-15).

What stays says nothing about who it was: the chain of consent events, whose personal part needs a key that is
destroyed; a standing order under an HMAC of the address, so that no import brings it back; rows that only count; and a
number in the erasure log, outside the database, so that a backup forgets again (`usecases/erasure_log.py`).
"""

from dataclasses import dataclass
from uuid import UUID

import structlog

from service.domain import erasures as log_lines
from service.domain.addresses import Address
from service.domain.erasures import Erased, Line
from service.domain.ledger import LedgerKeys
from service.domain.tokens import Keys
from service.domain.words import Lane, PrivacyRequestKind
from service.ports import Hint
from service.store import erasures, privacy_requests
from service.store.append_only import Appender, AppendOnlyFile
from service.store.claims import keep_for_certain
from service.store.erasures import Emptied, Person
from service.store.transaction import Transaction, TransactionFactory
from service.usecases.erasure_log import finish_cut_short
from service.usecases.silencing import silence

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
class NobodyThere:
    """Nothing is held, and nothing was ever erased: never known, or ended by a rule of retention."""


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
        finish_cut_short(tx, keys.ledger, held)
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
) -> Forgotten | Waiting | NobodyThere:
    """Forget an address that is no subscriber's, but stands in a sign-up, an import or a test mail."""
    person = Person(0, address.dedupe_key, keys.address_hmac(address.dedupe_key))
    with file.locked() as held, transaction() as tx:
        keep_for_certain(tx)
        finish_cut_short(tx, keys.ledger, held)
        if not erasures.is_held(tx, person):
            return NobodyThere()
        workers = silence(tx, keys.ledger, person, actor="operator")
        if workers:
            return Waiting(tuple(workers))
        return Forgotten(_append(tx, keys.ledger, held, None, erasures.forget(tx, person)))


def _append(tx: Transaction, ledger: LedgerKeys, held: Appender, subscriber_id: int | None, emptied: Emptied) -> int:
    """The row, and the line on disk; the commit comes after. Returns the number."""
    newest = erasures.find_newest(tx)
    number = newest.number + 1 if newest else 1
    erased = Erased(number, subscriber_id, emptied.signup_ids, emptied.import_rows, tx.now)
    text = log_lines.write_line(ledger, erased, newest.line_sha256 if newest else log_lines.FIRST)
    erasures.add_erasure(tx, Line(erased, log_lines.line_sha256(text)))
    held.append(text)
    return number
