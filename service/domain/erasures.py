"""One line of the erasure log: who was forgotten, by number only, chained to the line before, under our own MAC.

The log lies outside the database, so that a backup that is put back forgets again whom it brings back. A line names
what may come back: the subscriber, sign-ups, rows of imports, mails to the address itself, changes of address.
"""

import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from service.domain.ledger import LedgerKeys, Record, canonical, spell_time

VERSION = 2
FIRST = bytes(32)
"""What stands before the first line."""


@dataclass(frozen=True, slots=True)
class Erased:
    """One act of forgetting. Ids only: the log can be read by whoever keeps the backups."""

    number: int
    """1, 2, 3 …"""
    subscriber_id: int | None
    """None: the address was never a subscriber's, but stood in a sign-up or an import."""
    signup_ids: tuple[int, ...]
    import_rows: tuple[tuple[int, int], ...]
    """(import, line)"""
    delivery_ids: tuple[int, ...]
    """Mails that named the address themselves: tests, and questions about a change of address."""
    change_ids: tuple[int, ...]
    erased_at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    erased: Erased
    sha256: bytes


class BrokenLogError(ValueError):
    """A line that this installation did not write there."""

    def __init__(self, number: int) -> None:
        super().__init__(f"line {number}")
        self.number = number


def write_line(ledger: LedgerKeys, erased: Erased, prev: bytes) -> str:
    """The line, without its line break. `prev` is the SHA-256 of the line before."""
    record = {
        "v": VERSION,
        "number": erased.number,
        "subscriber": erased.subscriber_id,
        "signups": list(erased.signup_ids),
        "import_rows": [list(row) for row in erased.import_rows],
        "deliveries": list(erased.delivery_ids),
        "changes": list(erased.change_ids),
        "erased_at": spell_time(erased.erased_at),
        "prev": prev.hex(),
    }
    return canonical(record | {"mac": _mac(ledger, record).hex()}).decode()


def read_line(ledger: LedgerKeys, text: str, number: int) -> tuple[Line, bytes]:
    """The line that should be this number, and the hash that it names of the one before. Raises BrokenLogError."""
    try:
        record = json.loads(text)
        mac = bytes.fromhex(record.pop("mac"))
        line = Line(
            Erased(
                record["number"],
                record["subscriber"],
                tuple(record["signups"]),
                tuple((row[0], row[1]) for row in record["import_rows"]),
                # Lines of the first kind do not name them.
                tuple(record.get("deliveries", ())),
                tuple(record.get("changes", ())),
                datetime.fromisoformat(record["erased_at"]),
            ),
            line_sha256(text),
        )
        prev = bytes.fromhex(record["prev"])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise BrokenLogError(number) from None
    if not hmac.compare_digest(mac, _mac(ledger, record)):
        raise BrokenLogError(number)
    return line, prev


def read_log(ledger: LedgerKeys, lines: Iterable[str]) -> Iterator[Line]:
    """Every line, checked against the one before. Raises BrokenLogError at the first that does not fit."""
    before = FIRST
    for number, text in enumerate(lines, 1):
        line, prev = read_line(ledger, text, number)
        if prev != before or line.erased.number != number:
            raise BrokenLogError(number)
        yield line
        before = line.sha256


def line_sha256(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _mac(ledger: LedgerKeys, record: Record) -> bytes:
    # The prefix keeps it apart from what else is signed with this key: hashes of consent events.
    return ledger.mac(sha256(b"erasure " + canonical(record)).digest())
