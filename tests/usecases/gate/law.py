"""Who may be mailed what, in words that need no table: what the gate is held against (D-03).

It is told what people and operators do, and knows nothing of how Milepost keeps it.
"""

from dataclasses import dataclass, field
from datetime import datetime

from service.domain.words import MailKind, Purpose, SuppressionReason

Subject = tuple[int, Purpose]
"""What a consent is for: a list and a purpose."""

LIFTED_BY_THE_BUTTON = {
    SuppressionReason.PERMANENT_BOUNCE,
    SuppressionReason.UNSUBSCRIBE_ALL,
    SuppressionReason.ERASED,
}
"""Orders that end when the person confirms anew, so that the mail with that button may go (C-16, D-15)."""
EXCUSED = {MailKind.CONFIRMATION: LIFTED_BY_THE_BUTTON, MailKind.PRIVATE_LINK: {SuppressionReason.UNSUBSCRIBE_ALL}}
"""Orders that this kind of mail does not fall under: whoever wants no newsletter may see what is held (GDPR 15)."""


@dataclass
class Reader:
    address: str
    force: set[Subject] = field(default_factory=set)
    """Consents that were given and not taken back since."""
    left: set[Subject] = field(default_factory=set)
    """Taken back, and not given or asked for again since."""
    refused: set[Subject] = field(default_factory=set)
    """Taken back by the reader in person, and not given since."""
    paused_until: datetime | None = None
    former: set[str] = field(default_factory=set)
    """Addresses that the reader left."""


@dataclass
class Question:
    """What a mailbox was asked. Open until it is answered, withdrawn or too old."""

    reader: int
    address: str
    expires_at: datetime
    subjects: frozenset[Subject] = frozenset()
    answered: bool = False

    def is_open(self, now: datetime) -> bool:
        return not self.answered and now < self.expires_at


@dataclass(frozen=True)
class Mail:
    """One that waits to be sent."""

    kind: MailKind
    list_id: int
    purpose: Purpose | None
    reader: int | None
    test_address: str | None
    signup: int | None
    change: int | None


@dataclass
class Law:
    readers: dict[int, Reader] = field(default_factory=dict)
    signups: dict[int, Question] = field(default_factory=dict)
    changes: dict[int, Question] = field(default_factory=dict)
    orders: set[tuple[str, SuppressionReason, int | None]] = field(default_factory=set)
    """(address, reason, list or None for all)."""

    def may(self, mail: Mail, now: datetime) -> bool:
        """Whether this mail may leave at this moment."""
        excused = EXCUSED.get(mail.kind, set()) if mail.test_address is None else set()
        return not self.orders_on(self.address_of(mail), mail.list_id) - excused and self._is_due_to(mail, now)

    def _is_due_to(self, mail: Mail, now: datetime) -> bool:
        """Whether the mail has what it needs apart from nobody forbidding it."""
        if mail.test_address is not None:
            return not self._has_left(mail)
        match mail.kind:
            case MailKind.CONFIRMATION | MailKind.REPERMISSION:
                return _is_open(self.signups.get(mail.signup or 0), now)
            case MailKind.ADDRESS_CHANGE:
                return _is_open(self.changes.get(mail.change or 0), now)
            case MailKind.WELCOME:
                return self._agreed(mail)
            case MailKind.DIGEST | MailKind.CAMPAIGN:
                return self._agreed(mail) and not self._pauses(mail, now)
        return mail.reader in self.readers

    def address_of(self, mail: Mail) -> str:
        """Where this mail would go; "" for a reader who is gone."""
        if mail.test_address is not None:
            return mail.test_address
        if mail.kind is MailKind.ADDRESS_CHANGE:
            return self.changes[mail.change].address if mail.change in self.changes else ""
        return self.readers[mail.reader].address if mail.reader in self.readers else ""

    def may_have(self, subject: Subject, now: datetime) -> set[int]:
        """Whom a campaign for this list and purpose is for."""
        return {
            number
            for number, reader in self.readers.items()
            if subject in reader.force
            and not self.orders_on(reader.address, subject[0])
            and not self.is_paused(reader, now)
        }

    def orders_on(self, address: str, list_id: int | None = None) -> set[SuppressionReason]:
        """For this list or for all; with no list, for whatever list."""
        return {
            reason
            for of, reason, for_list in self.orders
            if of == address and (list_id is None or for_list in (None, list_id))
        }

    def is_paused(self, reader: Reader, now: datetime) -> bool:
        return reader.paused_until is not None and now < reader.paused_until

    def give(self, number: int, subjects: set[Subject] | frozenset[Subject]) -> None:
        self.readers[number].force |= subjects
        self.readers[number].left -= subjects
        self.readers[number].refused -= subjects

    def take(self, number: int, subjects: set[Subject] | frozenset[Subject]) -> None:
        self.readers[number].force -= subjects
        self.readers[number].left |= subjects

    def has_agreed_with(self, address: str) -> bool:
        """Whether some reader agreed to anything under this address, in force or not."""
        return any(r.address == address and (r.force or r.left) for r in self.readers.values())

    def _agreed(self, mail: Mail) -> bool:
        reader = self.readers.get(mail.reader or 0)
        return reader is not None and mail.purpose is not None and (mail.list_id, mail.purpose) in reader.force

    def _pauses(self, mail: Mail, now: datetime) -> bool:
        return self.is_paused(self.readers[mail.reader or 0], now)

    def _has_left(self, mail: Mail) -> bool:
        return any(
            r.address == mail.test_address and mail.purpose is not None and (mail.list_id, mail.purpose) in r.left
            for r in self.readers.values()
        )


def _is_open(question: Question | None, now: datetime) -> bool:
    return question is not None and question.is_open(now)
