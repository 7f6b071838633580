"""How the database and the file of its checkpoints stand to each other, at a glance; verifying looks at everything."""

from enum import StrEnum

from service.domain import checkpoints
from service.store import seals
from service.store.append_only import AppendOnlyFile
from service.store.transaction import Transaction


class Standing(StrEnum):
    """How the database and the file of its checkpoints stand to each other."""

    CURRENT = "current"
    FILE_BEHIND = "file_behind"
    """What is missing can be appended: a crash came between commit and file, or an older copy of the file was used."""
    FILE_LOST = "file_lost"
    FILE_SPOILT = "file_spoilt"
    DATABASE_BEHIND = "database_behind"
    """A backup was put back, or somebody removed the newest events and checkpoints, or it is another database."""


WHAT_TO_DO = {
    Standing.FILE_LOST: (
        "The database has checkpoints but their file is missing or empty; nothing was done. Look whether ledger_dir "
        "is the right directory, or put the file back from its backup. If it is lost for good: `milepost consent "
        "restored --reason …` makes it again from the database and says so in it."
    ),
    Standing.FILE_SPOILT: (
        "The newest line of the checkpoint file cannot be read; nothing was done. `milepost consent verify` says "
        "more; put the file back from its backup."
    ),
    Standing.DATABASE_BEHIND: (
        "The database is older than the file of its checkpoints: events that were sealed are not in it. Nothing was "
        "done. After a backup was put back on purpose: `milepost consent restored --reason …`. Otherwise somebody "
        "removed the newest events: `milepost consent verify` names them."
    ),
}


def compare(tx: Transaction, file: AppendOnlyFile) -> Standing:
    last = file.last()  # before the database is asked: a line is in it before it is in the file
    newest = seals.find_newest(tx)
    if last is None:
        if newest is None:
            return Standing.CURRENT
        return Standing.FILE_BEHIND if newest.number == 1 else Standing.FILE_LOST
    try:
        text, _ = checkpoints.read_line(last)
        number = checkpoints.read_checkpoint(text).number
    except ValueError:
        return Standing.FILE_SPOILT
    stored = seals.find_checkpoint(tx, number)
    if newest is None or stored is None or stored.line != text:
        return Standing.DATABASE_BEHIND
    return Standing.CURRENT if newest.number == number else Standing.FILE_BEHIND
