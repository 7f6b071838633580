"""What a checkpoint says and how it is signed; and a line of the file that keeps checkpoints outside the database.

A checkpoint names the size and root of the tree over all events, the wordings that are new since the checkpoint before,
and that checkpoint's hash: the newest one vouches for all before it. Beside it the line lists the events that it is the
first to cover, as `subject.seq.id` (older lines: `subject.seq`), so that a missing one can be named; the checkpoint
holds that list's hash only, and so shows no other reader to whom it is given as part of a proof.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from service.domain.ledger import LedgerKeys, canonical, is_signed

BEGINNING = "0" * 64
"""What stands before the first checkpoint."""


class Member(NamedTuple):
    """An event of a checkpoint."""

    subject: int
    seq: int
    """Its number within the subject's chain."""
    event_id: int | None = None
    """By which other tables name it; no hash covers it. Lines before it was listed do not say."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What makes a checkpoint the beginning of another past: a backup was put back (ADR 0011)."""

    from_number: int
    from_size: int
    to_number: int
    reason: str
    operator: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as it was read; `is_by` says whether to believe it."""

    text: str
    """As it was signed, signature included."""
    number: int
    size: int
    root: bytes
    stated_at: str
    """UTC, spelled as in events."""
    previous: str
    """SHA-256 of the checkpoint before."""
    members: str
    """SHA-256 of the list of events."""
    wordings: Mapping[str, int]
    """Kind → the newest id that this or an earlier checkpoint vouches for."""
    new_wordings: Mapping[str, str]
    """`kind/id` → SHA-256, for those that are new."""
    restored: Restored | None

    @property
    def digest(self) -> str:
        return digest(self.text)


@dataclass(frozen=True, slots=True)
class Tree:
    """The tree at the moment of a checkpoint."""

    size: int
    root: bytes
    stated_at: str


@dataclass(frozen=True, slots=True)
class Wordings:
    newest: Mapping[str, int]
    added: Mapping[str, str]


def sign_checkpoint(
    ledger: LedgerKeys, previous: str | None, number: int, tree: Tree, members: str, wordings: Wordings
) -> str:
    """The text of checkpoint `number`, which follows the text `previous`."""
    return _sign(ledger, previous, "checkpoint", number, tree, members, wordings, {})


def sign_restored(
    ledger: LedgerKeys, previous: str | None, number: int, tree: Tree, newest: Mapping[str, int], restored: Restored
) -> str:
    """A checkpoint that says: `tree`, which an earlier one was about, is where the ledger goes on."""
    said = {name: getattr(restored, name) for name in Restored.__slots__}
    return _sign(ledger, previous, "restored", number, tree, "", Wordings(newest, {}), said)


def is_by(public_key: bytes, text: str) -> bool:
    """Whether the holder of the key said exactly this."""
    try:
        said = json.loads(text)
        signature = bytes.fromhex(said.pop("signature"))
        return canonical(said | {"signature": signature.hex()}) == text.encode() and is_signed(
            public_key, canonical(said), signature
        )
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return False


def read_checkpoint(text: str) -> Checkpoint:
    """Raises ValueError for what is no checkpoint. Says nothing about who signed it."""
    try:
        said = json.loads(text)
        return Checkpoint(
            text=text,
            number=int(said["number"]),
            size=int(said["size"]),
            root=bytes.fromhex(said["root"]),
            stated_at=str(said["at"]),
            previous=str(said["previous"]),
            members=str(said["members"]),
            wordings=dict(said["wordings"]),
            new_wordings=dict(said["new_wordings"]),
            restored=_read_restored(said) if said["type"] == "restored" else None,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError("not a checkpoint of the ledger") from error


def key_id(public_key: bytes) -> str:
    """Names a key without being one."""
    return sha256(public_key).hexdigest()[:16]


def key_id_of(text: str) -> str | None:
    """Which key a checkpoint says it is signed with."""
    try:
        return str(json.loads(text)["key"])
    except (ValueError, KeyError, TypeError):
        return None


def file_line(checkpoint: str, members: str) -> str:
    """What stands in the file: the checkpoint as it was signed, and the events."""
    return canonical({"events": members, "checkpoint": json.loads(checkpoint)}).decode()


def read_line(line: str) -> tuple[str, str]:
    """(text of the checkpoint, the events). Raises ValueError for what is no such line."""
    try:
        said = json.loads(line)
        return canonical(said["checkpoint"]).decode(), str(said["events"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("not a line of checkpoints") from error


def spell_members(members: Sequence[Member]) -> str:
    return " ".join(f"{subject}.{seq}.{event_id}" for subject, seq, event_id in members)


def read_members(text: str) -> list[Member]:
    """Raises ValueError for anything else."""
    try:
        return [Member(*map(int, part.split("."))) for part in text.split(" ")] if text else []
    except TypeError as error:  # too few numbers, or too many
        raise ValueError("not a list of events") from error


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _sign(
    ledger: LedgerKeys,
    previous: str | None,
    kind: str,
    number: int,
    tree: Tree,
    members: str,
    wordings: Wordings,
    more: Mapping[str, Any],
) -> str:
    said = {
        "type": kind,
        "number": number,
        "size": tree.size,
        "root": tree.root.hex(),
        "at": tree.stated_at,
        "members": digest(members),
        "wordings": dict(wordings.newest),
        "new_wordings": dict(wordings.added),
        "previous": digest(previous) if previous is not None else BEGINNING,
        "key": key_id(ledger.public_key),
        **more,
    }
    return canonical(said | {"signature": ledger.sign(canonical(said)).hex()}).decode()


def _read_restored(said: Mapping[str, Any]) -> Restored:
    return Restored(
        from_number=int(said["from_number"]),
        from_size=int(said["from_size"]),
        to_number=int(said["to_number"]),
        reason=str(said["reason"]),
        operator=str(said["operator"]),
    )
