"""The erasure log and the database: how they stand to each other, and how the database comes to agree with the log.

A line is on disk before its erasure commits. A crash between the two leaves the log one line ahead, with the request
still open: whoever comes next finishes it. Any other difference means that a backup of one of them was put back.
"""

from dataclasses import dataclass
from enum import StrEnum

from service.domain import erasures as log_lines
from service.domain.erasures import BrokenLogError, Erased, Line
from service.domain.ledger import LedgerKeys
from service.domain.words import PrivacyRequestKind
from service.errors import Kind, ServiceError
from service.store import erasures, privacy_requests
from service.store.append_only import Appender, AppendOnlyFile
from service.store.erasures import NO_SUBSCRIBER, Person
from service.store.transaction import Transaction
from service.usecases.steps.silencing import silence, suppress

BY_THE_LOG = "erasure log"
"""Who ends the consents of a reader whom a backup brought back."""


class Standing(StrEnum):
    AGREE = "agree"
    CUT_SHORT = "cut_short"
    """The last line's erasure did not commit; its request is still open, and the next worker finishes it."""
    LOG_MISSING = "log_missing"
    LOG_BROKEN = "log_broken"
    LOG_OLDER = "log_older"
    DATABASE_OLDER = "database_older"
    """A backup was put back: it may hold people who were forgotten since."""


FORGET_FIRST = "run `milepost privacy forget-again`"
WHAT_TO_DO = {
    Standing.LOG_MISSING: (
        "The database has erasures but the erasure log is missing or empty. Look whether ledger_dir is the right "
        "directory, or put the newest copy of the log back; it is never made anew from the database."
    ),
    Standing.LOG_BROKEN: (
        "The erasure log holds a line that this installation did not write there. Put the newest copy of the log back, "
        "and look at who changed it."
    ),
    Standing.LOG_OLDER: (
        "The erasure log is older than the database: it lacks erasures. Put the newest copy of the log back."
    ),
    Standing.DATABASE_OLDER: (
        "The database is older than the erasure log: a backup was put back, and with it people who asked to be "
        f"forgotten. Before anything is served, {FORGET_FIRST}."
    ),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    standing: Standing
    lines: int
    erasures: int
    broken_line: int | None = None


def compare(tx: Transaction, ledger: LedgerKeys, file: AppendOnlyFile) -> Comparison:
    """Reads the whole log: every line's MAC and chain is checked."""
    newest = erasures.find_newest(tx)
    known = newest.number if newest else 0
    try:
        lines = list(log_lines.read_log(ledger, file.lines()))
    except BrokenLogError as error:
        return Comparison(Standing.LOG_BROKEN, error.number, known, error.number)
    number = len(lines)
    if newest is not None and not lines:
        standing = Standing.LOG_MISSING
    elif newest is not None and (number < known or lines[known - 1].sha256 != newest.line_sha256):
        standing = Standing.LOG_OLDER
    elif number == known:
        standing = Standing.AGREE
    else:
        was_asked = number == known + 1 and _is_open(tx, lines[-1].erased)
        standing = Standing.CUT_SHORT if was_asked else Standing.DATABASE_OLDER
    return Comparison(standing, number, known)


def finish_cut_short(tx: Transaction, ledger: LedgerKeys, held: Appender) -> bool:
    """Finish the erasure that a crash cut short, if there is one. Returns whether there was.

    Looks at the newest line only. Raises ServiceError (CONFLICT) when log and database do not fit otherwise.
    """
    newest = erasures.find_newest(tx)
    known = newest.number if newest else 0
    before = newest.line_sha256 if newest else log_lines.FIRST
    if held.last is None:
        if newest is not None:
            raise refusal(Standing.LOG_MISSING)
        return False
    try:
        last, prev = log_lines.read_line(ledger, held.last, known)
    except BrokenLogError:
        raise refusal(Standing.LOG_BROKEN) from None
    number = last.erased.number
    if number == known and last.sha256 == before:
        return False
    if number != known + 1 or prev != before:
        raise refusal(Standing.LOG_OLDER if number <= known else Standing.DATABASE_OLDER)
    carry_out(tx, ledger, last)
    return True


def refusal(standing: Standing) -> ServiceError:
    return ServiceError(
        Kind.CONFLICT, f"erasure_{standing}", f"{WHAT_TO_DO[standing]} Nobody was erased (docs/privacy.md)."
    )


def _is_open(tx: Transaction, erased: Erased) -> bool:
    return privacy_requests.is_open(tx, PrivacyRequestKind.ERASE, erased.subscriber_id or NO_SUBSCRIBER)


def carry_out(tx: Transaction, ledger: LedgerKeys, line: Line) -> None:
    """Do what a line says, with whatever of it is in the database, and note the line there."""
    erased = line.erased
    for hmac in erasures.list_fingerprints(tx, erased):
        suppress(tx, hmac)
    if erased.subscriber_id is not None:
        _forget_returned(tx, ledger, erased, erased.subscriber_id)
    erasures.empty_signups(tx, erased.signup_ids, erased.erased_at)
    erasures.empty_import_rows(tx, erased.import_rows)
    erasures.empty_mails(tx, erased)
    if erasures.find_erasure(tx, erased.number) is None:
        erasures.add_erasure(tx, line)


def _forget_returned(tx: Transaction, ledger: LedgerKeys, erased: Erased, subscriber_id: int) -> None:
    created_at = erasures.find_created_at(tx, subscriber_id)
    if created_at is not None and created_at > erased.erased_at:
        raise ServiceError(
            Kind.CONFLICT,
            "erased_number_taken",
            f"Line {erased.number} of the erasure log names subscriber {subscriber_id}, but that number was given to "
            "somebody else after a restore. Nothing was erased by this line (docs/privacy.md).",
        )
    person = erasures.lock_person(tx, subscriber_id)
    if person is not None:
        # What a worker of the time of the backup held is on no wire: there is no such worker any more.
        silence(tx, ledger, person, actor=BY_THE_LOG)
    erasures.forget(tx, person or Person(subscriber_id))
    privacy_requests.mark_done(tx, subscriber_id)
