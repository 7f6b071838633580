"""Sealing the ledger: signed checkpoints over all events, in the database and in a file that it cannot reach.

A checkpoint is committed first and appended to the file after that. What a crash leaves between the two is appended by
whoever comes next: the newest row in the database is at most one line ahead of the file.
"""

from typing import NamedTuple

from service.domain import checkpoints
from service.domain.chain_checks import is_ours
from service.domain.checkpoints import Checkpoint, Member, Restored, Tree
from service.domain.event_records import Row, hashing_with
from service.domain.ledger import LedgerKeys, spell_time
from service.domain.merkle import Frontier, leaf
from service.errors import Kind, ServiceError
from service.store import audit, numbers, seals
from service.store.append_only import AppendOnlyFile
from service.store.claims import keep_for_certain
from service.store.standing import WHAT_TO_DO, Standing, compare
from service.store.transaction import Transaction, TransactionFactory

TURN = 5
"""Sets of events that a worker seals before it looks at other work; each takes well under a second."""


def seal_new(transaction: TransactionFactory, ledger: LedgerKeys, file: AppendOnlyFile, *, at_most: int = TURN) -> bool:
    """Seal what is not sealed yet, a set and a checkpoint at a time. Returns whether there may be more.

    Raises ServiceError as `seal` does, and OSError when the file cannot be written.
    """
    for _ in range(at_most):
        with transaction() as tx:
            number = seal(tx, ledger, file)
        if number is None:
            return False
        with transaction() as tx:
            publish(tx, ledger, file)
    return True


def seal(tx: Transaction, ledger: LedgerKeys, file: AppendOnlyFile) -> int | None:
    """Put up to LARGEST_SET new events under a new checkpoint. `publish` after the commit.

    None: there are none, or somebody else is sealing them. Raises ServiceError (CONFLICT) when database and file do
    not fit: a checkpoint would hide it; and when the first of the new events was not written with this installation's
    key: a checkpoint would vouch for it. What came before such an event is sealed, it and what came after it are not,
    so that there is one place to look at and nothing has to be taken back once it is cleared up.
    """
    if not seals.lock_sealing(tx):
        return None
    standing = compare(tx, file)
    if standing in WHAT_TO_DO:
        raise ServiceError(Kind.CONFLICT, f"ledger_{standing}", WHAT_TO_DO[standing])
    if standing is Standing.FILE_BEHIND:
        publish(tx, ledger, file)
    newest = seals.find_newest(tx)
    before = newest.tree if newest else Frontier()
    if (event_id := seals.find_placed_beyond(tx, before.size)) is not None:
        raise ServiceError(
            Kind.CONFLICT,
            "place_taken",
            f"Event {event_id} has a place in the sequence that no checkpoint gave it: somebody wrote to event_seals. "
            "Nothing is sealed until this is cleared up; `milepost consent verify` says more.",
        )
    placed, stranger = _take_ours(tx, ledger)
    if not placed:
        if stranger is not None:
            raise ServiceError(Kind.CONFLICT, "event_not_ours", stranger)
        return None
    seals.place(tx, [event.id for event in placed], before.size)
    keep_for_certain(tx)
    number = newest.number + 1 if newest else 1
    tree = before.grown(leaf(event.hash) for event in placed)
    members = checkpoints.spell_members([event.member for event in placed])
    known = checkpoints.read_checkpoint(newest.line).wordings if newest else {}
    line = checkpoints.sign_checkpoint(
        ledger,
        newest.line if newest else None,
        number,
        Tree(tree.size, tree.root(), spell_time(tx.now)),
        members,
        seals.find_new_wordings(tx, known),
    )
    seals.add_checkpoint(tx, number, tree, line, members)
    return number


class _Taken(NamedTuple):
    id: int
    member: Member
    hash: bytes


def _take_ours(tx: Transaction, ledger: LedgerKeys) -> tuple[list[_Taken], str | None]:
    """The events to seal next, up to the first that is not this installation's; and what is to be said about that."""
    hash_of = hashing_with(seals.list_shas(tx))
    taken: list[_Taken] = []
    for row in seals.stream_waiting(tx):
        if not is_ours(ledger, row, hash_of):
            return taken, _describe_stranger(row)
        taken.append(_Taken(row["id"], Member(row["subscriber_id"], row["seq"], row["id"]), row["hash"]))
    return taken, None


def find_stranger(tx: Transaction, ledger: LedgerKeys) -> str | None:
    """What is to be said about the event that sealing stops at, if there is one among the next set."""
    return _take_ours(tx, ledger)[1]


def _describe_stranger(row: Row) -> str:
    return (
        f"Event {row['id']} (record {row['record_id']}, reader {row['subscriber_id']}, number {row['seq']} of the "
        "reader's chain) does not fit its hash or its MAC: somebody who can write to the database but has not the key "
        "wrote or changed it, or the words that it names. It and the events after it get no checkpoint until this is "
        "cleared up (docs/consent.md); `milepost consent verify` says more."
    )


def publish(tx: Transaction, ledger: LedgerKeys, file: AppendOnlyFile) -> int:
    """Append to the file the committed checkpoints that are not in it. Returns how many.

    Raises ServiceError (CONFLICT) for one that does not follow from the file or that nobody here signed, and OSError.
    """
    with file.locked() as held:
        before = checkpoints.read_line(held.last)[0] if held.last is not None else None
        number = checkpoints.read_checkpoint(before).number if before is not None else 0
        appended = 0
        for stored in seals.list_after(tx, number):
            if not _follows(ledger, before, stored):
                raise ServiceError(
                    Kind.CONFLICT,
                    "checkpoint_changed",
                    f"Checkpoint {stored.number} in the database was not signed here or does not follow from the file; "
                    "it was not appended, and nothing is sealed until this is cleared up. `milepost consent verify` "
                    "says more.",
                )
            held.append(checkpoints.file_line(stored.line, stored.members))
            before = stored.line
            appended += 1
    return appended


def _follows(ledger: LedgerKeys, before: str | None, stored: seals.Stored) -> bool:
    if not checkpoints.is_by(ledger.public_key, stored.line):
        return False
    checkpoint = checkpoints.read_checkpoint(stored.line)
    previous = checkpoints.digest(before) if before is not None else checkpoints.BEGINNING
    return (
        checkpoint.number == stored.number
        and checkpoint.previous == previous
        and checkpoint.members == checkpoints.digest(stored.members)
    )


def record_restored(
    tx: Transaction, ledger: LedgerKeys, file: AppendOnlyFile, *, reason: str, operator: str
) -> Checkpoint:
    """Sign that a backup was put back on purpose, and let the tree go on from there.

    The file is told before the commit: if that fails, the same can be recorded again. Raises ServiceError (CONFLICT)
    when there is nothing of the kind to record, or the database is no earlier state of what the file knows; (INVALID)
    without a reason.
    """
    if not seals.lock_sealing(tx):
        raise ServiceError(
            Kind.CONFLICT, "sealing_now", "A worker is sealing this moment; nothing was recorded. Try again."
        )
    standing = compare(tx, file)
    newest = seals.find_newest(tx)
    if standing is Standing.FILE_LOST:
        publish(tx, ledger, file)
        ahead = None
    elif standing is Standing.DATABASE_BEHIND:
        ahead = _newest_in(file)
        if not checkpoints.is_by(ledger.public_key, ahead.text) or (newest and not _is_in(file, newest.line)):
            raise ServiceError(
                Kind.CONFLICT,
                "not_an_earlier_state",
                "This database is no earlier state of the ledger that the file knows; nothing was recorded. Look "
                "whether database, secret key and ledger_dir belong together.",
            )
    else:
        raise ServiceError(
            Kind.CONFLICT,
            "nothing_restored",
            WHAT_TO_DO.get(standing)
            or "Database and checkpoint file fit together: nothing was put back, and nothing was recorded.",
        )
    to_number = newest.number if newest else 0
    checkpoint = _sign_restored(
        ledger,
        newest,
        ahead.text if ahead else (newest.line if newest else None),
        ahead.number + 1 if ahead else to_number + 1,
        spell_time(tx.now),
        Restored(ahead.number if ahead else 0, ahead.size if ahead else 0, to_number, reason.strip(), operator),
    )
    keep_for_certain(tx)
    seals.add_checkpoint(tx, checkpoint.number, newest.tree if newest else Frontier(), checkpoint.text, "")
    if ahead:
        numbers.leap(tx)
    audit.note(
        tx,
        actor=operator,
        act="ledger_restored",
        reason=reason,
        checkpoint=checkpoint.number,
        from_size=ahead.size if ahead else 0,
        to_size=checkpoint.size,
    )
    file.append(checkpoints.file_line(checkpoint.text, ""))
    return checkpoint


def _sign_restored(
    ledger: LedgerKeys, newest: seals.Stored | None, previous: str | None, number: int, at: str, restored: Restored
) -> Checkpoint:
    tree = newest.tree if newest else Frontier()
    wordings = checkpoints.read_checkpoint(newest.line).wordings if newest else {}
    return checkpoints.read_checkpoint(
        checkpoints.sign_restored(ledger, previous, number, Tree(tree.size, tree.root(), at), wordings, restored)
    )


def _newest_in(file: AppendOnlyFile) -> Checkpoint:
    last = file.last()
    assert last is not None
    return checkpoints.read_checkpoint(checkpoints.read_line(last)[0])


def _is_in(file: AppendOnlyFile, text: str) -> bool:
    """Asked only after a restore, so reading the whole file is no matter."""
    return any(checkpoints.read_line(line)[0] == text for line in file.lines())
