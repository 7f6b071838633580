"""Verifying the whole ledger, from end to end: the file, the wordings, every chain, the one sequence of all events.

Rows are read as they stream by, so memory does not grow with the ledger. Nothing is changed, and nothing is trusted
but the secret key, the checkpoint file and the erasure log.
"""

from dataclasses import dataclass
from datetime import datetime

from service.domain.chain_checks import ChainCheck, Progress, Streams
from service.domain.checkpoint_lines import Known, effective_lines, read_lines
from service.domain.checkpoints import Checkpoint
from service.domain.erasure_checks import check_erasures
from service.domain.event_records import hashing_with
from service.domain.faults import Fault, FaultKind, Findings
from service.domain.ledger import LedgerKeys
from service.domain.seal_checks import SealCheck, Sequences
from service.domain.wording_checks import check_wordings
from service.store import verification
from service.store.append_only import AppendOnlyFile
from service.store.transaction import Transaction, TransactionFactory

KEPT = 100
"""Faults that are described; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked and what is wrong."""

    events: int = 0
    subjects: int = 0
    wordings: int = 0
    checkpoints: int = 0
    """In force, those included that the file does not have yet."""
    sealed: int = 0
    """Events that a checkpoint covers."""
    unsealed: int = 0
    """Events that wait for the next checkpoint: until then their end of a chain could be cut off unnoticed."""
    oldest_unsealed_at: datetime | None = None
    restored: tuple[Checkpoint, ...] = ()
    """Where a backup was put back and said to be."""
    faults: int = 0
    kept: tuple[Fault, ...] = ()
    first: Fault | None = None

    @property
    def intact(self) -> bool:
        return self.faults == 0


def verify(
    transaction: TransactionFactory,
    ledger: LedgerKeys,
    file: AppendOnlyFile,
    *,
    erasure_file: AppendOnlyFile,
    progress: Progress = lambda _what, _done: None,
) -> Report:
    """Check everything; find every fault and name the first ones. Begins a transaction of its own."""
    findings = Findings(KEPT)
    known = read_lines(ledger, file.lines(), findings)  # first: every line was a row before it was a line
    if any(fault.kind is FaultKind.ANOTHER_KEY for fault in findings.kept):
        return Report(faults=findings.count, kept=tuple(findings.kept), first=findings.first)
    with transaction() as tx:
        verification.begin_one_moment(tx)
        shas = check_wordings(verification.stream_wordings(tx), known, findings)
        # After the moment has begun: a line is in the log before its row is in the table.
        erased = check_erasures(ledger, erasure_file.lines(), verification.stream_erasures(tx), findings)
        chains = ChainCheck(ledger, hashing_with(shas), erased, findings)
        chains.run(_streams(tx), progress)
        seals = SealCheck(ledger, lambda subject, seq: verification.find_place(tx, subject, seq), findings)
        seals.run(known, _sequences(tx, file, known), progress)
        unsealed = verification.get_unsealed(tx)
        kept = tuple(_located(tx, fault) for fault in findings.kept)
    first = findings.first
    return Report(
        events=chains.events,
        subjects=chains.subjects,
        wordings=sum(len(ids) for ids in shas.values()),
        checkpoints=seals.checkpoints,
        sealed=seals.sealed,
        unsealed=unsealed.events,
        oldest_unsealed_at=unsealed.oldest_at,
        restored=tuple(known.restored),
        faults=findings.count,
        kept=kept,
        first=kept[findings.kept.index(first)] if first else None,
    )


def _streams(tx: Transaction) -> Streams:
    return Streams(
        events=verification.stream_events(tx),
        subscriptions=verification.stream_subscriptions(tx),
        keys=verification.stream_subject_keys(tx),
        readers=verification.stream_readers(tx),
        mails=verification.stream_confirmations(tx),
    )


def _sequences(tx: Transaction, file: AppendOnlyFile, known: Known) -> Sequences:
    return Sequences(
        sealed=verification.stream_sealed(tx),
        lines=effective_lines(file.lines(), known),
        stored=verification.stream_checkpoints(tx),
        without_seal=verification.stream_without_seal(tx),
        without_event=verification.stream_without_event(tx),
    )


def _located(tx: Transaction, fault: Fault) -> Fault:
    """With position and checkpoint, if the event is there to be asked."""
    if fault.event is None or fault.position is not None:
        return fault
    there = verification.find_place(tx, *fault.event)
    return fault.with_more(Fault(fault.kind, **there)) if there else fault
