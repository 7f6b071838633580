"""Each reader's chain of events by itself: nothing changed, forged or left out, and what follows from it is true."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from service.domain.beside_checks import (
    Followed,
    Follows,
    KeptMail,
    check_address,
    check_mails,
    difference,
    names_a_mail,
)
from service.domain.event_records import HashOf, Row
from service.domain.faults import Fault, FaultKind, Findings
from service.domain.ledger import BEGINNING, LedgerKeys
from service.domain.retention import PROFILE_ENDED
from service.domain.subscriptions import state_after
from service.domain.words import ConsentState, SubscriptionState

Progress = Callable[[str, int], None]
EVERY = 10_000
_STATES = {str(state): state for state in ConsentState}
_GIVE = (ConsentState.GIVEN, ConsentState.REAFFIRMED)


def is_ours(ledger: LedgerKeys, row: Row, hash_of: HashOf) -> bool:
    """Whether an event says what was recorded, under our own MAC. Whether it follows from another is not asked."""
    found = hash_of(row)
    return found is not None and found == row["hash"] and ledger.mac(found) == row["mac"]


_R = TypeVar("_R", bound=tuple[Any, ...])


class _Alongside(Generic[_R]):
    """A second stream in the order of subjects, read as far as the first one has come."""

    def __init__(self, rows: Iterable[_R]) -> None:
        self._rows = iter(rows)
        self._next = next(self._rows, None)

    def before(self, subject: int | None) -> Iterator[_R]:
        """The rows of subjects that come before (None: all that are left), which nobody asked for."""
        while self._next is not None and (subject is None or self._next[0] < subject):
            yield self._advance()

    def of(self, subject: int) -> list[_R]:
        found = []
        while self._next is not None and self._next[0] == subject:
            found.append(self._advance())
        return found

    def _advance(self) -> _R:
        row = self._next
        assert row is not None
        self._next = next(self._rows, None)
        return row


@dataclass(frozen=True)
class Streams:
    """What is read side by side, each in the order of subjects."""

    events: Iterable[Row]
    """The columns of events, each subject's in the order of its chain."""
    subscriptions: Iterable[Followed]
    keys: Iterable[tuple[int, bytes]]
    readers: Iterable[tuple[int, str]]
    """(subject, address)."""
    mails: Iterable[KeptMail]


class ChainCheck:
    """One pass over every event in the order of chains, with what stands beside them alongside."""

    def __init__(self, ledger: LedgerKeys, hash_of: HashOf, erased: Collection[int], findings: Findings) -> None:
        """`erased`: the subjects that the erasure log names."""
        self.events = 0
        self.subjects = 0
        self._ledger = ledger
        self._hash_of = hash_of
        self._erased = erased
        self._findings = findings
        self._begin()

    def _begin(self) -> None:
        self._follows: dict[tuple[int, str], Follows] = {}
        self._ever_gave = False
        self._presses: list[Row] = []
        self._newest: Row | None = None

    def run(self, streams: Streams, progress: Progress) -> None:
        self._subscriptions = _Alongside(streams.subscriptions)
        self._keys = _Alongside(streams.keys)
        self._readers = _Alongside(streams.readers)
        self._mails = _Alongside(streams.mails)
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
        if self._hash_of(row) != row["hash"] or row["hash"] is None:
            self._fault(FaultKind.EVENT_CHANGED, row)
        elif self._ledger.mac(row["hash"]) != row["mac"]:
            self._fault(FaultKind.EVENT_FORGED, row)
        elif row["seq"] <= seq or (row["seq"] == seq + 1 and row["prev_hash"] != head):
            self._fault(FaultKind.CHAIN_BROKEN, row)
        if row["state"] not in _STATES:
            return  # a fault already: such a word has no hash that was signed
        state = _STATES[row["state"]]
        key = (row["list_id"], row["purpose"])
        before = self._follows.get(key)
        given_at = row["occurred_at"] if state in _GIVE else before.given_at if before else None
        self._follows[key] = Follows(state_after(state, before.state if before else None), row["id"], given_at)
        self._ever_gave |= state in _GIVE
        self._newest = row
        if names_a_mail(row):
            self._presses.append(row)

    def _end(self, subject: int | None) -> None:
        """All events of a subject were seen: look at what stands beside them."""
        if subject is None:
            return
        self.subjects += 1
        for left in self._subscriptions.before(subject):
            self._differs(left, "no event speaks of it")
        for alongside in (self._keys, self._readers, self._mails):
            for _ in alongside.before(subject):
                pass  # a reader and a key are made before the first event
        has_key, key = self._check_key(subject)
        readers, mails = self._readers.of(subject), self._mails.of(subject)
        if key is not None:
            if self._newest is not None and SubscriptionState.ACTIVE in self._states():
                check_address(key, self._newest, readers[0][1] if readers else None, self._findings)
            check_mails(key, self._presses, mails, self._findings)
        for row in self._subscriptions.of(subject):
            if how := difference(row, self._follows.pop((row.list_id, row.purpose), None)):
                self._differs(row, how)
        if has_key and SubscriptionState.ACTIVE in self._states():
            self._findings.add(
                Fault(FaultKind.SUBSCRIPTION_DIFFERS, subject=subject, detail="an active subscription is missing")
            )
        self._begin()

    def _states(self) -> set[SubscriptionState]:
        return {follows.state for follows in self._follows.values()}

    def _check_key(self, subject: int) -> tuple[bool, bytes | None]:
        """Whether there is a key, and the key if it opens.

        Who never agreed may be forgotten without a trace (D-18); who did is in the log of erasures, or a rule of
        retention said in the chain that it ended the profile.
        """
        keys = self._keys.of(subject)
        if not keys:
            ended = self._newest is not None and self._newest["actor"] == PROFILE_ENDED
            if self._ever_gave and subject not in self._erased and not ended:
                self._findings.add(Fault(FaultKind.KEY_LOST, subject=subject))
            return False, None
        try:
            return True, self._ledger.unwrap(subject, keys[0][1])
        except (ValueError, TypeError):
            self._findings.add(Fault(FaultKind.KEY_CHANGED, subject=subject))
        return True, None

    def _differs(self, row: Followed, how: str) -> None:
        detail = f"list {row.list_id}, purpose {row.purpose}: {how}"
        self._findings.add(Fault(FaultKind.SUBSCRIPTION_DIFFERS, subject=row.subject, detail=detail))

    def _fault(self, kind: FaultKind, row: Row) -> None:
        self._findings.add(
            Fault(
                kind,
                subject=row["subscriber_id"],
                seq=row["seq"],
                event_id=row["id"],
                record_id=UUID(row["record_id"]) if row["record_id"] else None,
            )
        )
