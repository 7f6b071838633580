"""The checkpoint file by itself: what it holds, whether each line is as it was appended, and what counts of it now."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from service.domain import checkpoints
from service.domain.checkpoints import Checkpoint, Member
from service.domain.faults import Fault, FaultKind, Findings
from service.domain.ledger import LedgerKeys


class Line(NamedTuple):
    number: int
    """In the file, from 1."""
    checkpoint: Checkpoint
    members: list[Member] | None
    """None: the list is not the one that was signed."""


@dataclass
class Known:
    """What the file says, read once from end to end."""

    lines: int = 0
    newest: Checkpoint | None = None
    wordings: dict[str, str] = field(default_factory=dict)
    """`table/id` → SHA-256 of every wording that a checkpoint in force vouches for."""
    restored: list[Checkpoint] = field(default_factory=list)

    def counts(self, checkpoint: Checkpoint) -> bool:
        """Whether no later restore, itself in force, went back behind this checkpoint."""
        in_force: list[Checkpoint] = []
        for later in reversed(self.restored):
            if not _leaves_out(in_force, later):
                in_force.append(later)
        return not _leaves_out(in_force, checkpoint)


def _leaves_out(restores: Iterable[Checkpoint], checkpoint: Checkpoint) -> bool:
    return any(
        later.restored is not None and later.restored.to_number < checkpoint.number < later.number for later in restores
    )


def read_lines(ledger: LedgerKeys, lines: Iterable[str], findings: Findings) -> Known:
    """Check the lines among themselves: the newest signature vouches for every line that leads to it unbroken."""
    known = Known()
    before: Line | None = None
    for number, text in enumerate(lines, start=1):
        known.lines = number
        line = _read(number, text, with_members=False)
        if line is None:
            findings.add(Fault(FaultKind.LINE_CHANGED, line=number, detail="it cannot be read"))
            continue
        if line.members is None:
            findings.add(Fault(FaultKind.LINE_CHANGED, line=number, checkpoint=line.checkpoint.number, detail=LIST))
        _check_order(ledger, before, line, findings)
        _learn(known, line.checkpoint)
        before = line
    if before is not None and not checkpoints.is_by(ledger.public_key, before.checkpoint.text):
        findings.add(_unsigned(ledger, before))
    return known


LIST = "its list of events is not the one that was signed"


def effective_lines(lines: Iterable[str], known: Known) -> Iterator[Line]:
    """The lines that count, as far as the file went when it was read."""
    for number, text in enumerate(itertools.islice(lines, known.lines), start=1):
        line = _read(number, text)
        if line is not None and known.counts(line.checkpoint):
            yield line


def _read(number: int, text: str, *, with_members: bool = True) -> Line | None:
    """`with_members`: False leaves the list empty, if it is the one that was signed."""
    try:
        signed, events = checkpoints.read_line(text)
        checkpoint = checkpoints.read_checkpoint(signed)
        members: list[Member] | None = None
        if checkpoints.digest(events) == checkpoint.members:
            members = checkpoints.read_members(events) if with_members else []
    except ValueError:
        return None
    return Line(number, checkpoint, members)


def _check_order(ledger: LedgerKeys, before: Line | None, line: Line, findings: Findings) -> None:
    expected = before.checkpoint.digest if before else checkpoints.BEGINNING
    follows = line.checkpoint.previous == expected
    if follows and line.checkpoint.number == (before.checkpoint.number + 1 if before else 1):
        return
    changed = [one for one in (before, line) if one and not checkpoints.is_by(ledger.public_key, one.checkpoint.text)]
    for one in changed:
        findings.add(_unsigned(ledger, one))
    if not changed:
        findings.add(Fault(FaultKind.LINE_MISSING, line=line.number, checkpoint=line.checkpoint.number))


def _unsigned(ledger: LedgerKeys, line: Line) -> Fault:
    if checkpoints.key_id_of(line.checkpoint.text) != checkpoints.key_id(ledger.public_key):
        return Fault(FaultKind.ANOTHER_KEY, line=line.number, checkpoint=line.checkpoint.number)
    return Fault(
        FaultKind.LINE_CHANGED, line=line.number, checkpoint=line.checkpoint.number, detail="its signature does not fit"
    )


def _learn(known: Known, checkpoint: Checkpoint) -> None:
    known.newest = checkpoint
    if checkpoint.restored is not None:
        known.restored.append(checkpoint)
        known.wordings = {
            name: sha256
            for name, sha256 in known.wordings.items()
            if int(name.partition("/")[2]) <= checkpoint.wordings.get(name.partition("/")[0], 0)
        }
    known.wordings.update(checkpoint.new_wordings)
