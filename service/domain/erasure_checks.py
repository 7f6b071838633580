"""Who was erased: the log under our own MAC decides, outside the database; the table of erasures is held against it."""

from collections.abc import Iterable

from service.domain.erasures import BrokenLogError, read_log
from service.domain.faults import Fault, FaultKind, Findings
from service.domain.ledger import LedgerKeys


def check_erasures(
    ledger: LedgerKeys, lines: Iterable[str], rows: Iterable[tuple[int, int | None, bytes]], findings: Findings
) -> frozenset[int]:
    """The subjects that the log names. `rows`: (number, subject, hash of the line) of the table.

    A line without a row is no fault: its erasure may be about to commit, and a restored database is not served.
    """
    known: dict[int, tuple[int | None, bytes]] = {}
    try:
        for line in read_log(ledger, lines):
            known[line.erased.number] = (line.erased.subscriber_id, line.sha256)
    except BrokenLogError as error:
        findings.add(Fault(FaultKind.ERASURE_LOG_CHANGED, detail=f"line {error.number} of the erasure log"))
    for number, subject, sha256 in rows:
        if known.get(number) != (subject, sha256):
            detail = f"row {number} of the table of erasures"
            findings.add(Fault(FaultKind.ERASURE_UNLOGGED, subject=subject, detail=detail))
    return frozenset(subject for subject, _ in known.values() if subject is not None)
