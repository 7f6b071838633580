"""The one sequence of all events against the checkpoints: in the file, and in the database beside it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, zip_longest
from typing import Any, NamedTuple
from uuid import UUID

from service.domain import checkpoints
from service.domain.chain_checks import EVERY, Progress
from service.domain.checkpoint_lines import Known, Line
from service.domain.checkpoints import Checkpoint, Member
from service.domain.faults import Fault, FaultKind, Findings
from service.domain.ledger import LedgerKeys, spell_time
from service.domain.merkle import Frontier, leaf


class Sealed(NamedTuple):
    """A position, with the event at it as far as it is there."""

    position: int
    event_id: int
    record_id: UUID | None
    subject: int | None
    seq: int | None
    hash: bytes | None


class StoredCheckpoint(NamedTuple):
    number: int
    size: int
    frontier: Sequence[bytes]
    line: str
    members: str | None
    sealed_at: datetime | None
    """None: what no checkpoint can say."""


@dataclass(frozen=True)
class Sequences:
    """What is read side by side, in order."""

    sealed: Iterator[Sealed]
    lines: Iterator[Line]
    """Of the file, as far as they are in force."""
    stored: Iterator[StoredCheckpoint]
    without_seal: Iterable[tuple[int, UUID, int, int]]
    """(event id, record id, subject, number) of events that have no row of seals at all."""
    without_event: Iterable[tuple[int]]
    """Ids of events that are gone while their seals wait."""


Place = Mapping[str, Any]
"""event_id, record_id, position and checkpoint of an event that is there."""


class SealCheck:
    """One pass over every position, with checkpoints alongside."""

    def __init__(self, ledger: LedgerKeys, find_place: Callable[[int, int], Place | None], findings: Findings) -> None:
        """`find_place` looks for an event by subject and number, to tell the moved from the missing."""
        self.sealed = 0
        self.checkpoints = 0
        self._ledger = ledger
        self._find_place = find_place
        self._findings = findings
        self._tree: Frontier | None = Frontier()
        """None after a fault that leaves no root to go on from."""
        self._size = 0

    def run(self, known: Known, sequences: Sequences, progress: Progress) -> None:
        self._rows = _Ahead(sequences.sealed)
        said = 0
        for line, stored in self._pairs(known, sequences.lines, sequences.stored):
            self.checkpoints += 1
            whole = self._take_members(line)
            self._check_root(line, stored, whole=whole)
            if self.sealed - said >= EVERY:
                progress("seals", self.sealed)
                said = self.sealed
        while (row := self._rows.take_before(None)) is not None:
            self._uncovered(row)
        for event_id, record_id, subject, seq in sequences.without_seal:
            self._findings.add(
                Fault(FaultKind.EVENT_UNCOVERED, subject, seq, event_id, record_id, detail="it has no seal")
            )
        for (event_id,) in sequences.without_event:
            self._findings.add(Fault(FaultKind.SEAL_WITHOUT_EVENT, event_id=event_id))

    def _pairs(
        self, known: Known, lines: Iterable[Line], rows: Iterator[StoredCheckpoint]
    ) -> Iterator[tuple[Line, StoredCheckpoint | None]]:
        """Lines in force beside the rows of the same number; then the rows that the file does not have yet."""
        row = next(rows, None)
        for line in lines:
            while row is not None and row.number < line.checkpoint.number:
                self._fault_of(FaultKind.CHECKPOINT_CHANGED, row.number, "the file has none in force of this number")
                row = next(rows, None)
            if row is None or row.number > line.checkpoint.number:
                self._fault_of(FaultKind.CHECKPOINT_MISSING, line.checkpoint.number)
                yield line, None
                continue
            if row.line != line.checkpoint.text:
                self._fault_of(FaultKind.CHECKPOINT_CHANGED, row.number)
            elif beside := _differing(row, line.checkpoint):
                self._fault_of(FaultKind.CHECKPOINT_CHANGED, row.number, f"{beside} beside it is not what it says")
            yield line, row
            row = next(rows, None)
        before = known.newest.text if known.newest else None
        for number, newer in enumerate(chain(() if row is None else (row,), rows)):
            if known.newest is None and number == 1:
                self._findings.add(Fault(FaultKind.FILE_MISSING))
            future = self._line_of(newer, before)
            if future is None:
                return
            yield future, newer
            before = newer.line

    def _line_of(self, stored: StoredCheckpoint, before: str | None) -> Line | None:
        """A row as the line that it will be, once the file has it."""
        try:
            checkpoint = checkpoints.read_checkpoint(stored.line)
        except ValueError:
            checkpoint = None
        previous = checkpoints.digest(before) if before is not None else checkpoints.BEGINNING
        if (
            checkpoint is None
            or checkpoint.number != stored.number
            or checkpoint.previous != previous
            or _differing(stored, checkpoint) is not None
            or not checkpoints.is_by(self._ledger.public_key, stored.line)
        ):
            self._fault_of(FaultKind.CHECKPOINT_CHANGED, stored.number, "it was not signed here, or does not follow")
            return None
        assert stored.members is not None
        return Line(0, checkpoint, checkpoints.read_members(stored.members))

    def _take_members(self, line: Line) -> bool:
        """Read the events that this checkpoint is the first to cover. Returns whether they are all there."""
        checkpoint = line.checkpoint
        whole = True
        positions = range(self._size, checkpoint.size)
        members: Iterable[Member | None] = line.members if line.members is not None else [None] * len(positions)
        for position, member in zip_longest(positions, members):
            if position is None:
                break
            while (stray := self._rows.take_before(position)) is not None:
                self._uncovered(stray)
            whole &= self._take(position, member, checkpoint.number)
        self._size = checkpoint.size
        return whole

    def _take(self, position: int, member: Member | None, number: int) -> bool:
        row = self._rows.take_at(position)
        if row is None:
            self._missing(position, member, number)
            return False
        self.sealed += 1
        if row.hash is None or row.subject is None or row.seq is None:
            subject, seq = member[:2] if member else (None, None)
            self._findings.add(
                Fault(FaultKind.SEAL_WITHOUT_EVENT, subject, seq, row.event_id, position=position, checkpoint=number)
            )
            return False
        if self._tree is not None:
            self._tree.add(leaf(row.hash))
        if member is not None and (row.subject, row.seq) != member[:2]:
            found = f"found there: event {row.event_id}, reader {row.subject}, number {row.seq}"
            self._missing(position, member, number, found)
            return False
        if member is not None and member.event_id not in (None, row.event_id):
            detail = f"it was sealed with the id {member.event_id}"
            self._findings.add(
                Fault(
                    FaultKind.EVENT_RENUMBERED,
                    row.subject,
                    row.seq,
                    row.event_id,
                    row.record_id,
                    position,
                    number,
                    detail=detail,
                )
            )
        return True

    def _missing(self, position: int, member: Member | None, number: int, found: str | None = None) -> None:
        """What should be here was moved, lost its seal, or is gone."""
        subject, seq = member[:2] if member else (None, None)
        there = None
        if member is not None and not self._findings.full:
            there = self._find_place(member.subject, member.seq)
        kind = FaultKind.EVENT_MISSING if there is None else FaultKind.EVENT_MOVED
        if there is not None and there["position"] is None:
            kind = FaultKind.EVENT_UNCOVERED
        if there is not None and found is None:
            found = f"its position is {there['position']}" if there["position"] is not None else "it has no position"
        self._findings.add(
            Fault(
                kind,
                subject,
                seq,
                there["event_id"] if there else None,
                there["record_id"] if there else None,
                position,
                number,
                detail=found,
            )
        )

    def _check_root(self, line: Line, stored: StoredCheckpoint | None, *, whole: bool) -> None:
        root = line.checkpoint.root
        kept = _tree_of(stored)
        if stored is not None and (kept is None or kept.root() != root):
            self._fault_of(FaultKind.CHECKPOINT_CHANGED, stored.number, "what the next one builds on does not fit")
            kept = None
        fits = self._tree is not None and self._tree.size == line.checkpoint.size and self._tree.root() == root
        if whole and self._tree is not None and not fits:
            self._fault_of(FaultKind.ROOT_DIFFERS, line.checkpoint.number)
        if not fits:
            # One fault is not to spoil every later root: what was signed is where the tree goes on.
            self._tree = kept

    def _uncovered(self, row: Sealed) -> None:
        detail = None if row.hash is not None else "and the event is gone"
        self._findings.add(
            Fault(
                FaultKind.EVENT_UNCOVERED,
                row.subject,
                row.seq,
                row.event_id,
                row.record_id,
                row.position,
                detail=detail,
            )
        )

    def _fault_of(self, kind: FaultKind, checkpoint: int, detail: str | None = None) -> None:
        self._findings.add(Fault(kind, checkpoint=checkpoint, detail=detail))


class _Ahead:
    """Positions in order, with a look at the next one."""

    def __init__(self, rows: Iterator[Sealed]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def take_before(self, position: int | None) -> Sealed | None:
        """The next row if it comes before `position` (None: in any case)."""
        row = self._next
        if row is None or (position is not None and row.position >= position):
            return None
        self._next = next(self._rows, None)
        return row

    def take_at(self, position: int) -> Sealed | None:
        return self.take_before(position + 1)


def _tree_of(stored: StoredCheckpoint | None) -> Frontier | None:
    if stored is None:
        return None
    try:
        if any(root is None for root in stored.frontier):
            return None
        return Frontier(stored.size, list(stored.frontier))
    except (ValueError, TypeError, AttributeError):  # somebody lifted the table's constraints, too
        return None


def _differing(stored: StoredCheckpoint, checkpoint: Checkpoint) -> str | None:
    """Which column beside the signed line does not say the same; the frontier is compared with the root."""
    if stored.size != checkpoint.size:
        return "size"
    if stored.members is None or checkpoints.digest(stored.members) != checkpoint.members:
        return "members"
    if stored.sealed_at is None or spell_time(stored.sealed_at) != checkpoint.stated_at:
        return "sealed_at"
    return None
