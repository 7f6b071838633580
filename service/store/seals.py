"""Seals and checkpoints: where each event stands in the one sequence, and what was signed about it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select, text

from service.domain.checkpoints import Wordings
from service.domain.merkle import Frontier, inclusion_path, leaf
from service.store.event_rows import stream_event_rows
from service.store.schema import Checkpoint
from service.store.transaction import Transaction

LARGEST_SET = 10_000
"""Events that one checkpoint covers first; bounds the work of sealing and of proving one of them."""

WORDING_TABLES = ("contexts", "form_snapshots", "forms", "mail_templates", "notices", "statements")
"""Content-addressed and never changed; their ids are in the order of publication (`wordings.lock_wordings`)."""


class Stored(NamedTuple):
    """A checkpoint as the database has it."""

    number: int
    size: int
    frontier: Sequence[bytes]
    line: str
    members: str

    @property
    def tree(self) -> Frontier:
        return Frontier(self.size, list(self.frontier))


def lock_sealing(tx: Transaction) -> bool:
    """One sealer at a time. False: somebody else is at it."""
    return bool(tx.session.scalar(select(func.pg_try_advisory_xact_lock(func.hashtext("milepost seal")))))


def stream_waiting(tx: Transaction) -> Iterator[dict[str, Any]]:
    """Up to LARGEST_SET events that have no position yet, in the order of their ids."""
    tail = (
        "FROM event_seals s JOIN consent_events e ON e.id = s.event_id "
        "WHERE s.position IS NULL ORDER BY s.event_id LIMIT %(limit)s"
    )
    return stream_event_rows(tx, tail, {"limit": LARGEST_SET})


def list_shas(tx: Transaction) -> dict[str, dict[int, bytes]]:
    """The hashes of the wordings that events name."""
    return {
        table: {row.id: row.sha256 for row in tx.session.execute(text(f"SELECT id, sha256 FROM {table}"))}  # noqa: S608 - our own names
        for table in ("contexts", "forms", "notices", "statements")
    }


def find_placed_beyond(tx: Transaction, size: int) -> int | None:
    """An event that has a place which no checkpoint gave it."""
    query = text("SELECT event_id FROM event_seals WHERE position >= :size OR position < 0 ORDER BY position LIMIT 1")
    found: int | None = tx.session.scalar(query, {"size": size})
    return found


def place(tx: Transaction, event_ids: Sequence[int], size: int) -> None:
    """Give these events the positions from `size` on.

    An event that commits late gets a later position than its id suggests; only the order within a subject matters,
    and that is the chain's.
    """
    tx.session.execute(text(_PLACE), {"ids": list(event_ids), "size": size})


_PLACE = """
UPDATE event_seals s SET position = :size + given.place - 1
FROM unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS given(event_id, place) WHERE s.event_id = given.event_id
"""


def find_new_wordings(tx: Transaction, newest: Mapping[str, int]) -> Wordings:
    """The wordings published since those with the ids `newest`."""
    after, added = dict(newest), {}
    for table in WORDING_TABLES:
        rows = tx.session.execute(
            text(f"SELECT id, sha256 FROM {table} WHERE id > :after ORDER BY id"),  # noqa: S608 - our own names
            {"after": after.get(table, 0)},
        )
        for row in rows:
            after[table] = row.id
            added[f"{table}/{row.id}"] = row.sha256.hex()
    return Wordings(after, added)


def add_checkpoint(tx: Transaction, number: int, tree: Frontier, line: str, members: str) -> None:
    tx.session.execute(
        insert(Checkpoint),
        [
            {
                "number": number,
                "size": tree.size,
                "frontier": tree.roots,
                "line": line,
                "members": members,
                "sealed_at": tx.now,
            }
        ],
    )


_COLUMNS = (Checkpoint.number, Checkpoint.size, Checkpoint.frontier, Checkpoint.line, Checkpoint.members)


def find_newest(tx: Transaction) -> Stored | None:
    row = tx.session.execute(select(*_COLUMNS).order_by(Checkpoint.number.desc()).limit(1)).one_or_none()
    return Stored(*row) if row else None


def find_checkpoint(tx: Transaction, number: int) -> Stored | None:
    row = tx.session.execute(select(*_COLUMNS).where(Checkpoint.number == number)).one_or_none()
    return Stored(*row) if row else None


def list_after(tx: Transaction, number: int) -> Iterable[Stored]:
    """The checkpoints with higher numbers, in their order."""
    rows = tx.session.execute(select(*_COLUMNS).where(Checkpoint.number > number).order_by(Checkpoint.number))
    return (Stored(*row) for row in rows)


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Where an event stands in the tree, and what proves it without any other reader's record."""

    position: int
    size: int
    path: list[bytes]
    line: str
    """The signed checkpoint whose root the path leads to."""


def find_inclusion(tx: Transaction, event_ids: Sequence[int]) -> dict[int, Inclusion]:
    """Event id → what proves that it is in the tree. Events that are not sealed yet are left out."""
    found = {}
    for growth in _list_growths(tx, event_ids):
        leaves = [leaf(hash_) for hash_ in growth.hashes]
        size = growth.before.size + len(leaves)
        for event_id, position in growth.positions.items():
            path = inclusion_path(growth.before, leaves, position)
            found[event_id] = Inclusion(position, size, path, growth.line)
    return found


@dataclass(frozen=True, slots=True)
class _Growth:
    """One checkpoint with what is needed to prove the events that it was the first to cover."""

    line: str
    before: Frontier
    hashes: Sequence[bytes]
    """Of the events from position `before.size` on, not yet leaf hashes."""
    positions: Mapping[int, int]
    """Event id → position, of those that were asked for."""


def _list_growths(tx: Transaction, event_ids: Sequence[int]) -> list[_Growth]:
    """The checkpoints that first covered these events."""
    found: dict[int, dict[int, int]] = {}
    for row in tx.session.execute(text(_COVERED), {"ids": list(event_ids)}):
        found.setdefault(row.number, {})[row.event_id] = row.position
    growths = []
    for number, positions in sorted(found.items()):
        checkpoint = find_checkpoint(tx, number)
        assert checkpoint is not None
        before = _find_before(tx, number)
        hashes = tx.session.scalars(text(_HASHES), {"start": before.size, "end": checkpoint.size})
        growths.append(_Growth(checkpoint.line, before, list(hashes), positions))
    return growths


_COVERED = """
SELECT s.event_id, s.position, c.number
FROM event_seals s
CROSS JOIN LATERAL (SELECT number FROM checkpoints WHERE size > s.position ORDER BY size, number LIMIT 1) c
WHERE s.event_id = ANY(:ids)
"""
_HASHES = """
SELECT e.hash FROM event_seals s JOIN consent_events e ON e.id = s.event_id
WHERE s.position >= :start AND s.position < :end ORDER BY s.position
"""


def _find_before(tx: Transaction, number: int) -> Frontier:
    row = tx.session.execute(
        select(*_COLUMNS).where(Checkpoint.number < number).order_by(Checkpoint.number.desc()).limit(1)
    ).one_or_none()
    return Stored(*row).tree if row else Frontier()
