"""What can be wrong with the ledger, in words for whoever has to decide what to do about it."""

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID


class FaultKind(StrEnum):
    EVENT_CHANGED = "event_changed"
    EVENT_FORGED = "event_forged"
    EVENT_MISSING = "event_missing"
    EVENT_MOVED = "event_moved"
    EVENT_RENUMBERED = "event_renumbered"
    EVENT_UNCOVERED = "event_uncovered"
    CHAIN_BROKEN = "chain_broken"
    SEAL_WITHOUT_EVENT = "seal_without_event"
    WORDING_CHANGED = "wording_changed"
    WORDING_MISSING = "wording_missing"
    WORDING_SLIPPED_IN = "wording_slipped_in"
    SUBSCRIPTION_DIFFERS = "subscription_differs"
    KEY_LOST = "key_lost"
    KEY_CHANGED = "key_changed"
    READER_DIFFERS = "reader_differs"
    CONFIRMATION_MISSING = "confirmation_missing"
    CONFIRMATION_CHANGED = "confirmation_changed"
    ERASURE_UNLOGGED = "erasure_unlogged"
    ERASURE_LOG_CHANGED = "erasure_log_changed"
    ROOT_DIFFERS = "root_differs"
    CHECKPOINT_MISSING = "checkpoint_missing"
    CHECKPOINT_CHANGED = "checkpoint_changed"
    FILE_MISSING = "file_missing"
    LINE_CHANGED = "line_changed"
    LINE_MISSING = "line_missing"
    ANOTHER_KEY = "another_key"


MEANING = {
    FaultKind.EVENT_CHANGED: "What this event says is not what was recorded: a column was changed afterwards, or the "
    "event was put at another's place. As it stands it proves nothing; a backup says what it was.",
    FaultKind.EVENT_FORGED: "This event's hash fits what it says, but its MAC was not made with this installation's "
    "key: somebody who can write to the database but has not the key wrote or rewrote it. It proves nothing.",
    FaultKind.EVENT_MISSING: "This event was recorded and is gone: somebody deleted it. A backup holds it; until it is "
    "back, what followed from it cannot be proven.",
    FaultKind.EVENT_MOVED: "This event stands at another position than the one it was sealed at: somebody reordered or "
    "renumbered the sequence.",
    FaultKind.EVENT_RENUMBERED: "This event says what was recorded, but under another id than it was sealed with: "
    "what names it by its id (a subscription, say) names the wrong one.",
    FaultKind.EVENT_UNCOVERED: "This event has no seal, or a position that no checkpoint covers: it did not come in by "
    "the door, or somebody removed its seal or the newest checkpoints.",
    FaultKind.CHAIN_BROKEN: "This event does not follow from the one before it in its reader's chain: events were "
    "exchanged, or the one before was rewritten with its hash.",
    FaultKind.SEAL_WITHOUT_EVENT: "A seal stands for an event that is gone: somebody deleted the event and left its "
    "seal. A backup holds it.",
    FaultKind.WORDING_CHANGED: "The words that readers were shown are not those that were published: somebody changed "
    "the text afterwards. Consents that name it prove nothing until the text is put back.",
    FaultKind.WORDING_MISSING: "Words that were published, and that consents may name, are gone. A backup holds them.",
    FaultKind.WORDING_SLIPPED_IN: "This wording claims to have been published before others that are under a "
    "checkpoint, and is not under it itself: somebody slipped it in afterwards.",
    FaultKind.SUBSCRIPTION_DIFFERS: "What mail is sent by does not follow from the events: somebody changed the "
    "subscription, or left out the event. The events count.",
    FaultKind.KEY_LOST: "The key to this reader's personal fields is gone although the erasure log does not name the "
    "reader: somebody destroyed it, whatever the table of erasures says. Address, "
    "IP and user agent in the events can be read only after the key is put back from a backup.",
    FaultKind.KEY_CHANGED: "The key to this reader's personal fields does not open: it was changed or is another "
    "reader's. Address, IP and user agent in the events can be read only after it is put back from a backup.",
    FaultKind.READER_DIFFERS: "Mail goes to another address than the one that agreed: the reader's newest event says "
    "another than the table of readers. The event counts.",
    FaultKind.CONFIRMATION_MISSING: "The confirmation mail that this consent rests on was kept, and is gone or stands "
    "with another reader: somebody deleted or re-pointed it. A backup holds it.",
    FaultKind.CONFIRMATION_CHANGED: "A kept confirmation mail is not the one that was sent: it does not open for this "
    "reader and delivery, or the mail or its template is not the one that the consent names. A backup holds it.",
    FaultKind.ERASURE_UNLOGGED: "The table of erasures has a row that the erasure log has not: nobody was erased by "
    "it through Milepost. Somebody may have destroyed evidence and called it an erasure.",
    FaultKind.ERASURE_LOG_CHANGED: "The erasure log holds a line that this installation did not write there: put its "
    "newest copy back. Erasures from that line on could not be checked.",
    FaultKind.ROOT_DIFFERS: "The events that this checkpoint covers are not those that were signed, in number and "
    "order as they are: at least one of their hashes was changed.",
    FaultKind.CHECKPOINT_MISSING: "The file has this checkpoint and the database has not: the database was put back to "
    "an earlier state, or somebody removed the newest events with their checkpoints. After a lawful restore: "
    "`milepost consent restored`.",
    FaultKind.CHECKPOINT_CHANGED: "The database has another checkpoint of this number than was signed and appended to "
    "the file: somebody rewrote it.",
    FaultKind.FILE_MISSING: "The database has checkpoints and their file is missing or empty: nothing outside the "
    "database vouches for the newest events. Look at ledger_dir, or put the file back from its backup.",
    FaultKind.LINE_CHANGED: "This line of the checkpoint file is not what was appended: it cannot be read, or its "
    "signature or its list of events does not fit. Put the file back from its backup.",
    FaultKind.LINE_MISSING: "Between this line of the checkpoint file and the one before, lines are missing. Put the "
    "file back from its backup.",
    FaultKind.ANOTHER_KEY: "The newest line of the checkpoint file was signed under another secret key than the one in "
    "the settings, so nothing could be checked. Look whether database, secret_key and ledger_dir belong together.",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, named as exactly as what is left allows."""

    kind: FaultKind
    subject: int | None = None
    """The subscriber's number."""
    seq: int | None = None
    """Of the event within the subject's chain."""
    event_id: int | None = None
    record_id: UUID | None = None
    position: int | None = None
    """In the sequence that checkpoints are made over, from 0."""
    checkpoint: int | None = None
    wording: str | None = None
    """`statements/3`: table and id."""
    line: int | None = None
    """In the checkpoint file, from 1."""
    detail: str | None = None
    """What was found instead."""

    @property
    def meaning(self) -> str:
        return MEANING[self.kind]

    @property
    def event(self) -> tuple[int, int] | None:
        return (self.subject, self.seq) if self.subject is not None and self.seq is not None else None

    def with_more(self, other: "Fault") -> "Fault":
        """This one, knowing also what another check found out about the same event."""
        known = {name: getattr(other, name) for name in _NAMES if getattr(self, name) is None}
        return replace(self, **known)

    def describe(self) -> str:
        """One line: `event_changed: event 12 (record 018f…), reader 7, number 3 of the chain, position 11, …`."""
        parts = [
            f"{word} {value}"
            for word, value in (
                ("event", self.event_id),
                ("record", self.record_id),
                ("reader", self.subject),
                ("number in the reader's chain", self.seq),
                ("position", self.position),
                ("checkpoint", self.checkpoint),
                ("wording", self.wording),
                ("line of the file", self.line),
            )
            if value is not None
        ]
        if self.detail:
            parts.append(self.detail)
        return f"{self.kind}: {', '.join(parts)}" if parts else str(self.kind)


_NAMES = ("event_id", "record_id", "position", "checkpoint", "detail")


class Findings:
    """Faults as they are found: all are counted, the first ones are kept."""

    def __init__(self, keep: int) -> None:
        self.count = 0
        self.kept: list[Fault] = []
        self._keep = keep
        self._by_event: dict[tuple[int, int], int] = {}

    @property
    def full(self) -> bool:
        """Whether a further fault is only counted, so that nobody need find out more about it."""
        return len(self.kept) >= self._keep

    def add(self, fault: Fault) -> None:
        """Two checks that find the same event at fault are one fault, and know more together."""
        if fault.event is not None and fault.event in self._by_event:
            place = self._by_event[fault.event]
            self.kept[place] = self.kept[place].with_more(fault)
            return
        self.count += 1
        if self.full:
            return
        if fault.event is not None:
            self._by_event[fault.event] = len(self.kept)
        self.kept.append(fault)

    @property
    def first(self) -> Fault | None:
        """The first that names a record; a checkpoint that does not fit comes after the event that it is about."""
        named = (fault for fault in self.kept if fault.event or fault.wording)
        return next(named, self.kept[0] if self.kept else None)
