"""Each reader's chain of events by itself: nothing changed, forged or left out, and what follows from it is true."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from service.domain.checkpoint_lines import Known
from service.domain.faults import Fault, FaultKind, Findings
from service.domain.ledger import BEGINNING, LedgerKeys
from service.domain.subscriptions import state_after
from service.domain.words import ConsentState, SubscriptionState

Progress = Callable[[str, int], None]
EVERY = 10_000
Shas = Mapping[str, Mapping[int, bytes]]
"""Table → id → hash, as it was published."""
Row = Mapping[str, Any]
_STATES = {str(state): state for state in ConsentState}
_GIVE = (ConsentState.GIVEN, ConsentState.REAFFIRMED)


@dataclass(frozen=True, slots=True)
class Wording:
    """A text that readers were shown, as it is stored."""

    table: str
    id: int
    sha256: bytes
    found: bytes
    """The hash of what it says now."""


def check_wordings(wordings: Iterable[Wording], known: Known, findings: Findings) -> Shas:
    """Every wording against itself and against the checkpoints. Returns the hashes that events were bound to."""
    shas: dict[str, dict[int, bytes]] = {}
    newest = known.newest.wordings if known.newest else {}
    waiting = dict(known.wordings)
    for wording in wordings:
        name = f"{wording.table}/{wording.id}"
        sealed = waiting.pop(name, None)
        if sealed is None and wording.id <= newest.get(wording.table, 0):
            findings.add(Fault(FaultKind.WORDING_SLIPPED_IN, wording=name))
        elif wording.found != wording.sha256 or sealed not in (None, wording.sha256.hex()):
            findings.add(Fault(FaultKind.WORDING_CHANGED, wording=name))
        # What was published decides about the events: one changed text is one fault, not one for each who agreed.
        shas.setdefault(wording.table, {})[wording.id] = bytes.fromhex(sealed) if sealed else wording.sha256
    for name, sealed in waiting.items():
        table, _, number = name.partition("/")
        shas.setdefault(table, {})[int(number)] = bytes.fromhex(sealed)
        findings.add(Fault(FaultKind.WORDING_MISSING, wording=name))
    return shas


class _Alongside:
    """A second stream in the order of subjects, read as far as the first one has come."""

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._rows = iter(rows)
        self._next = next(self._rows, None)

    def before(self, subject: int | None) -> Iterator[tuple[Any, ...]]:
        """The rows of subjects that come before (None: all that are left), which nobody asked for."""
        while self._next is not None and (subject is None or self._next[0] < subject):
            yield self._advance()

    def of(self, subject: int) -> list[tuple[Any, ...]]:
        found = []
        while self._next is not None and self._next[0] == subject:
            found.append(self._advance())
        return found

    def _advance(self) -> tuple[Any, ...]:
        row = self._next
        assert row is not None
        self._next = next(self._rows, None)
        return row


@dataclass(frozen=True)
class Streams:
    """What is read side by side, each in the order of subjects."""

    events: Iterable[Row]
    """The columns of events, each subject's in the order of its chain."""
    subscriptions: Iterable[tuple[int, int, str, str, int]]
    """(subject, list, purpose, state, event id)."""
    keys: Iterable[tuple[int, bytes]]
    erased: Iterable[tuple[int]]


class ChainCheck:
    """One pass over every event in the order of chains, with subscriptions and keys alongside."""

    def __init__(self, ledger: LedgerKeys, hash_of: Callable[[Row], bytes | None], findings: Findings) -> None:
        """`hash_of` makes an event's hash again from what it says; None for what could never have been written."""
        self.events = 0
        self.subjects = 0
        self._ledger = ledger
        self._hash_of = hash_of
        self._findings = findings
        self._states: dict[tuple[int, str], tuple[SubscriptionState, int]] = {}
        self._ever_gave = False

    def run(self, streams: Streams, progress: Progress) -> None:
        self._subscriptions = _Alongside(streams.subscriptions)
        self._keys = _Alongside(streams.keys)
        self._erased = _Alongside(streams.erased)
        subject, seq, head = None, 0, BEGINNING
        for row in streams.events:
            if row["subscriber_id"] != subject:
                self._end(subject)
                subject, seq, head = row["subscriber_id"], 0, BEGINNING
            self._check(row, seq, head)
            seq, head = row["seq"], row["hash"]
            self.events += 1
            if self.events % EVERY == 0:
                progress("events", self.events)
        self._end(subject)
        for left in self._subscriptions.before(None):
            self._differs(left, "no event speaks of it")

    def _check(self, row: Row, seq: int, head: bytes) -> None:
        for missing in range(seq + 1, min(row["seq"], seq + 100)):
            self._findings.add(Fault(FaultKind.EVENT_MISSING, subject=row["subscriber_id"], seq=missing))
        if self._hash_of(row) != row["hash"]:
            self._fault(FaultKind.EVENT_CHANGED, row)
        elif self._ledger.mac(row["hash"]) != row["mac"]:
            self._fault(FaultKind.EVENT_FORGED, row)
        elif row["seq"] <= seq or (row["seq"] == seq + 1 and row["prev_hash"] != head):
            self._fault(FaultKind.CHAIN_BROKEN, row)
        if row["state"] not in _STATES:
            return  # a fault already: such a word has no hash that was signed
        state = _STATES[row["state"]]
        key = (row["list_id"], row["purpose"])
        before = self._states.get(key)
        self._states[key] = (state_after(state, before[0] if before else None), row["id"])
        self._ever_gave |= state in _GIVE

    def _end(self, subject: int | None) -> None:
        """All events of a subject were seen: look at what stands beside them."""
        if subject is None:
            return
        self.subjects += 1
        for left in self._subscriptions.before(subject):
            self._differs(left, "no event speaks of it")
        for _ in (*self._keys.before(subject), *self._erased.before(subject)):
            pass  # a key is made before the first event; an erased reader may have left no event
        has_key = self._check_key(subject)
        for row in self._subscriptions.of(subject):
            state, event_id = self._states.pop((row[1], row[2]), (None, None))
            if (row[3], row[4]) != (state, event_id):
                self._differs(row, f"it is {row[3]} and follows from event {row[4]}; the events make it {state}")
        if has_key and SubscriptionState.ACTIVE in (state for state, _ in self._states.values()):
            self._findings.add(
                Fault(FaultKind.SUBSCRIPTION_DIFFERS, subject=subject, detail="an active subscription is missing")
            )
        self._states = {}
        self._ever_gave = False

    def _check_key(self, subject: int) -> bool:
        """Who never agreed may be forgotten without a trace (D-18); who did is in the log of erasures."""
        keys, erased = self._keys.of(subject), self._erased.of(subject)
        if not keys:
            if self._ever_gave and not erased:
                self._findings.add(Fault(FaultKind.KEY_LOST, subject=subject))
            return False
        try:
            self._ledger.unwrap(subject, keys[0][1])
        except ValueError:
            self._findings.add(Fault(FaultKind.KEY_CHANGED, subject=subject))
        return True

    def _differs(self, row: tuple[Any, ...], how: str) -> None:
        detail = f"list {row[1]}, purpose {row[2]}: {how}"
        self._findings.add(Fault(FaultKind.SUBSCRIPTION_DIFFERS, subject=row[0], detail=detail))

    def _fault(self, kind: FaultKind, row: Row) -> None:
        self._findings.add(
            Fault(
                kind, subject=row["subscriber_id"], seq=row["seq"], event_id=row["id"], record_id=UUID(row["record_id"])
            )
        )
