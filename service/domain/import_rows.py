"""One row of another system's file: what it says of a person, and whether that is evidence of consent (E-11, D1 #18).

Nothing is invented: a date that cannot be read is no date, an unknown word for a state is no state.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from service.domain.addresses import Address, parse_address
from service.domain.evidence import has_control
from service.domain.forms import FIRST_NAME_LENGTH
from service.domain.words import ImportReason, ImportVerdict, Language, Purpose, SuppressionReason
from service.errors import ServiceError

EARLIEST = datetime(1995, 1, 1, tzinfo=UTC)
"""Nobody signed up to a newsletter before; 1970 is what software writes that does not know."""
LONGEST_CELL = 20_000
"""Characters of one mapped cell that are read; the evidence has the whole row."""
_WHOLE_DATE = re.compile(r"[0-9]{4}(-?)[0-9]{2}\1[0-9]{2}([Tt ].*)?")
_SEVERAL = re.compile(r"[,;|\n]")


class Field(StrEnum):
    """What a column can be mapped to."""

    ADDRESS = "address"
    FIRST_NAME = "first_name"
    LANGUAGE = "language"
    TOPICS = "topics"
    PURPOSE = "purpose"
    STATUS = "status"
    CONSENT_AT = "consent_at"
    CONSENT_SOURCE = "consent_source"
    CONSENT_IP = "consent_ip"
    CONFIRMED_AT = "confirmed_at"
    STATEMENT_TEXT = "statement_text"
    CREATED_AT = "created_at"


class Standing(StrEnum):
    """How a person stood in the other system."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    BLOCKED = "blocked"
    UNCONFIRMED = "unconfirmed"


STATUS_WORDS: Mapping[str, Standing] = {
    word: standing
    for standing, words in {
        Standing.SUBSCRIBED: ("subscribed", "active", "confirmed", "enabled"),
        Standing.UNSUBSCRIBED: (
            *("unsubscribed", "unsubscribe", "opted out", "opt out", "optout", "inactive", "disabled", "cancelled"),
            *("canceled", "removed"),
        ),
        Standing.BOUNCED: ("bounced", "bounce", "hard bounce", "hard bounced", "cleaned", "undeliverable"),
        Standing.COMPLAINED: ("complained", "complaint", "spam", "spam complaint", "abuse"),
        Standing.BLOCKED: (
            *("blocked", "blocklisted", "blacklisted", "suppressed", "do not contact", "never subscribed"),
        ),
        Standing.UNCONFIRMED: ("unconfirmed", "pending", "unactivated", "not confirmed"),
    }.items()
    for word in words
}
"""Words that other systems use. Whole words only: "inactive" is not active."""

ORDERS: Mapping[Standing, SuppressionReason] = {
    Standing.UNSUBSCRIBED: SuppressionReason.UNSUBSCRIBE_ALL,
    Standing.BOUNCED: SuppressionReason.PERMANENT_BOUNCE,
    Standing.COMPLAINED: SuppressionReason.COMPLAINT,
    Standing.BLOCKED: SuppressionReason.IMPORTED,
}
"""The standing order that follows from how a person stood there."""
_REFUSED = {
    Standing.UNSUBSCRIBED: ImportReason.UNSUBSCRIBED,
    Standing.BOUNCED: ImportReason.BOUNCED,
    Standing.COMPLAINED: ImportReason.COMPLAINED,
    Standing.BLOCKED: ImportReason.BLOCKED,
    Standing.UNCONFIRMED: ImportReason.NEVER_CONFIRMED,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """How a file is read: columns, words, and what holds for every row where its own cell is empty."""

    columns: Mapping[Field, str]
    statuses: Mapping[str, Standing] = field(default_factory=lambda: STATUS_WORDS)
    all_are: Standing | None = None
    """For files without a column for it."""
    purposes: tuple[Purpose, ...] = ()
    language: Language = Language.EN
    topics: Mapping[str, int] = field(default_factory=dict)
    """Slugs and names, case-folded → the list's topic."""
    date_format: str | None = None
    """As strptime reads it; None: ISO 8601."""
    consent_source: str | None = None
    statement_text: str | None = None
    confirmed_only: bool = False
    skip_unreadable: bool = False
    """The operator has looked at the lines that cannot be read: no opt-out is among them."""
    reserved: bool = False
    """As in `parse_address`."""


@dataclass(frozen=True, slots=True)
class RowRead:
    """What a row says, judged by itself."""

    verdict: ImportVerdict
    reason: ImportReason
    address: Address | None = None
    order: SuppressionReason | None = None
    entered: str = ""
    """The address as it stands in the file."""
    status: str = ""
    first_name: str | None = None
    language: Language = Language.EN
    topic_ids: tuple[int, ...] = ()
    purposes: tuple[Purpose, ...] = ()
    consent_at: datetime | None = None
    confirmed_at: datetime | None = None
    consent_source: str | None = None
    consent_ip: str | None = None
    statement_text: str | None = None
    left_out: tuple[str, ...] = ()
    """Fields whose cells were not understood and change nothing about the verdict."""

    @property
    def given_at(self) -> datetime | None:
        """The date that the consent carries: the one of the file, or of its confirmation there."""
        return self.consent_at or self.confirmed_at


def read_row(cells: Mapping[str, str], rules: Rules, now: datetime) -> RowRead:
    """The row, judged without knowing anybody. Never raises for what stands in a cell."""
    entered = _cell(cells, rules, Field.ADDRESS)
    try:
        address = parse_address(entered, reserved=rules.reserved)
    except ServiceError as error:
        missing = error.code == ImportReason.ADDRESS_MISSING
        return _unreadable(ImportReason.ADDRESS_MISSING if missing else ImportReason.ADDRESS_INVALID)
    status = _cell(cells, rules, Field.STATUS)
    standing = _standing(status, rules)
    if standing is None:
        return _unreadable(ImportReason.STATUS_UNKNOWN if status else ImportReason.STATUS_MISSING, status)
    if standing in _REFUSED:
        return RowRead(
            ImportVerdict.SUPPRESSED, _REFUSED[standing], address, ORDERS.get(standing), entered=entered, status=status
        )
    purposes = _purposes(_cell(cells, rules, Field.PURPOSE), rules)
    if not purposes:
        return _unreadable(ImportReason.PURPOSE_UNKNOWN if purposes is None else ImportReason.PURPOSE_MISSING, status)
    return _read_consent(cells, rules, now, address, purposes)


def _read_consent(
    cells: Mapping[str, str], rules: Rules, now: datetime, address: Address, purposes: tuple[Purpose, ...]
) -> RowRead:
    left_out: list[str] = []

    def optional(name: Field, value: object) -> None:
        if value is None and _cell(cells, rules, name):
            left_out.append(name.value)

    first_name = _first_name(_cell(cells, rules, Field.FIRST_NAME))
    language = _language(_cell(cells, rules, Field.LANGUAGE))
    topic_ids = _topics(_cell(cells, rules, Field.TOPICS), rules)
    ip = _ip(_cell(cells, rules, Field.CONSENT_IP))
    consent = _when(_cell(cells, rules, Field.CONSENT_AT), rules, now)
    confirmed = _when(_cell(cells, rules, Field.CONFIRMED_AT), rules, now)
    confirmed_at = confirmed if isinstance(confirmed, datetime) else None
    source = _cell(cells, rules, Field.CONSENT_SOURCE) or rules.consent_source
    for name, value in (
        (Field.FIRST_NAME, first_name),
        (Field.LANGUAGE, language),
        (Field.TOPICS, topic_ids),
        (Field.CONSENT_IP, ip),
        (Field.CONFIRMED_AT, confirmed_at),
    ):
        optional(name, value)
    verdict, reason = judge_evidence(consent, confirmed_at, source, confirmed_only=rules.confirmed_only)
    return RowRead(
        verdict,
        reason,
        address,
        entered=_cell(cells, rules, Field.ADDRESS),
        status=_cell(cells, rules, Field.STATUS),
        first_name=first_name,
        language=language or rules.language,
        topic_ids=topic_ids or (),
        purposes=purposes,
        consent_at=consent if isinstance(consent, datetime) else None,
        confirmed_at=confirmed_at,
        consent_source=source,
        consent_ip=ip,
        statement_text=_cell(cells, rules, Field.STATEMENT_TEXT) or rules.statement_text,
        left_out=tuple(left_out),
    )


def judge_evidence(
    consent: "datetime | ImportReason", confirmed_at: datetime | None, source: str | None, *, confirmed_only: bool
) -> tuple[ImportVerdict, ImportReason]:
    """Whether this is evidence enough to mail somebody. `consent`: when it was given, or why that is not known."""
    if not isinstance(consent, datetime) and (confirmed_at is None or consent is not ImportReason.NO_DATE):
        return ImportVerdict.NEEDS_CONFIRMING, consent
    if not source:
        return ImportVerdict.NEEDS_CONFIRMING, ImportReason.NO_SOURCE
    if confirmed_at is not None:
        return ImportVerdict.MAILABLE, ImportReason.CONFIRMED_THERE
    if confirmed_only:
        return ImportVerdict.NEEDS_CONFIRMING, ImportReason.NOT_CONFIRMED_THERE
    return ImportVerdict.MAILABLE, ImportReason.EVIDENCE


def parse_time(text: str, date_format: str | None) -> datetime | None:
    """The time in `text`; without a zone it is UTC. None for what does not name year, month and day."""
    try:
        if date_format:
            found = datetime.strptime(text, date_format)  # noqa: DTZ007 - a zone is in the format, or it is UTC
        elif not _WHOLE_DATE.fullmatch(text):  # ISO 8601 has weeks too, whose first day nobody may have meant
            return None
        else:
            found = datetime.fromisoformat(text.removesuffix(" UTC"))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def fold(word: str) -> str:
    """A word of a state, or a topic's name, however it is spaced and cased."""
    return " ".join(re.sub(r"[-_\s]+", " ", word).split()).casefold()


def _unreadable(reason: ImportReason, status: str = "") -> RowRead:
    return RowRead(ImportVerdict.UNREADABLE, reason, status=status)


def _cell(cells: Mapping[str, str], rules: Rules, name: Field) -> str:
    column = rules.columns.get(name)
    # A no-break space is what spreadsheets leave behind.
    return cells.get(column, "").strip(" \t\r\n\u00a0")[:LONGEST_CELL] if column is not None else ""


def _standing(status: str, rules: Rules) -> Standing | None:
    if Field.STATUS not in rules.columns:
        return rules.all_are
    return rules.statuses.get(fold(status))


def _purposes(cell: str, rules: Rules) -> tuple[Purpose, ...] | None:
    """None if a word names no purpose of ours."""
    words = [fold(word) for word in _SEVERAL.split(cell) if word.strip()]
    if not words:
        return rules.purposes
    if not set(words) <= {purpose.value for purpose in Purpose}:
        return None
    return tuple(purpose for purpose in Purpose if purpose.value in words)


def _first_name(cell: str) -> str | None:
    return cell if cell and len(cell) <= FIRST_NAME_LENGTH and not has_control(cell) else None


def _language(cell: str) -> Language | None:
    primary = re.split(r"[-_]", cell.casefold(), maxsplit=1)[0]
    return Language(primary) if primary in {language.value for language in Language} else None


def _topics(cell: str, rules: Rules) -> tuple[int, ...] | None:
    """None unless every word is a topic of the list: half of somebody's wishes would be other wishes."""
    words = [fold(word) for word in _SEVERAL.split(cell) if word.strip()]
    if not words or not set(words) <= rules.topics.keys():
        return None
    return tuple(sorted({rules.topics[word] for word in words}))


def _ip(cell: str) -> str | None:
    try:
        return str(ipaddress.ip_address(cell))
    except ValueError:
        return None


def _when(cell: str, rules: Rules, now: datetime) -> "datetime | ImportReason":
    if not cell:
        return ImportReason.NO_DATE
    at = parse_time(cell, rules.date_format)
    if at is None:
        return ImportReason.DATE_UNREADABLE
    if at > now:
        return ImportReason.DATE_IN_FUTURE
    return at if at >= EARLIEST else ImportReason.DATE_TOO_OLD
