"""Decisions about an import: what becomes of a row given what is known here, and the sum of all rows (E-11).

A row is in exactly one bucket. Whatever a file says, it mails nobody whom a standing order, a withdrawal or an erasure
protects here; and an opt-out in any of its lines goes before a consent in any other.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from service.domain.import_rows import RowRead
from service.domain.words import ImportReason, ImportVerdict, SuppressionReason
from service.errors import Kind, ServiceError

SLICE = 500
"""Rows let in at once unless the operator says otherwise: a relay and its mailboxes get to know a new sender slowly."""
DAY_LIMIT, DAY = 2_000, timedelta(hours=24)
"""Rows of one import let in within a day."""
EXAMPLES = 3
DOUBTFUL = (ImportReason.LINE_BROKEN, ImportReason.STATUS_MISSING)
"""Why nobody knows what a line says of whom: it may be an opt-out of somebody whom another line makes mailable."""
LONGEST_WORD = 40

POLICY = """\
What may be imported
- Only addresses that their owners gave to the publisher themselves, for mails of this kind.
- Never addresses that were bought, rented, swapped, borrowed, collected from pages or directories, handed over by a
  partner or a trade fair, or guessed.
- With them everybody who opted out, bounced or complained in the other system, so that they stay unmailed here.
Who imports says so by name. These words, the name and the time stand as evidence in the record of every reader."""
AFFIRMATION = (
    "I affirm that every person in this file gave the address for these mails, and that none was bought or rented."
)
ATTESTATION = f"{POLICY}\n\n{AFFIRMATION}"

_SEVERITY = {
    SuppressionReason.COMPLAINT: 0,
    SuppressionReason.IMPORTED: 1,
    SuppressionReason.UNSUBSCRIBE_ALL: 2,
    SuppressionReason.PERMANENT_BOUNCE: 3,
}
_RANK = {
    ImportVerdict.SUPPRESSED: 4,
    ImportVerdict.UNCHANGED: 5,
    ImportVerdict.MAILABLE: 6,
    ImportVerdict.NEEDS_CONFIRMING: 7,
}


def check_affirmed(words: str) -> None:
    """Raises ServiceError (INVALID, field `attest`) unless these are the words."""
    if " ".join(words.split()) != AFFIRMATION:
        raise ServiceError(
            Kind.INVALID,
            "not_affirmed",
            f"Nothing was imported: this has to be affirmed, word for word.\n\n{POLICY}\n\nIf it is so, add: "
            f'--attest "{AFFIRMATION}"',
            field="attest",
        )


@dataclass(frozen=True, slots=True)
class Known:
    """What is known here about the address of a row."""

    subscriber_id: int | None = None
    orders: frozenset[SuppressionReason] = frozenset()
    """In force, for all lists or for the import's."""
    active_here: bool = False
    """For some purpose of the list."""
    waiting_here: bool = False
    withdrawn_here: bool = False
    """The last word about some purpose of the list."""
    active_elsewhere: bool = False
    withdrawn_elsewhere: bool = False
    left_by_a_reader: bool = False
    """For another address; what the reader decides there holds for this one."""
    asked_before: bool = False
    """Had a re-permission mail, by whatever import."""


STRANGER = Known()


def decide_row(read: RowRead, known: Known) -> tuple[ImportVerdict, ImportReason]:
    """What becomes of a row. An import changes nobody who is a reader already, except by an opt-out."""
    left = known.withdrawn_here or (known.withdrawn_elsewhere and not known.active_elsewhere)
    asked = known.asked_before and read.verdict is not ImportVerdict.SUPPRESSED
    for so, verdict, reason in (
        (read.verdict is ImportVerdict.UNREADABLE or read.order is not None, read.verdict, read.reason),
        (SuppressionReason.ERASED in known.orders, ImportVerdict.SUPPRESSED, ImportReason.ERASED),
        (bool(known.orders), ImportVerdict.SUPPRESSED, ImportReason.SUPPRESSED_HERE),
        (known.left_by_a_reader, ImportVerdict.SUPPRESSED, ImportReason.ADDRESS_LEFT),
        (known.active_here, ImportVerdict.UNCHANGED, ImportReason.READER_HERE),
        (left, ImportVerdict.SUPPRESSED, ImportReason.WITHDRAWN_HERE),
        (known.waiting_here, ImportVerdict.UNCHANGED, ImportReason.WAITING_HERE),
        (asked, ImportVerdict.SUPPRESSED, ImportReason.ASKED_BEFORE),
    ):
        if so:
            return verdict, reason
    return read.verdict, read.reason


@dataclass
class Tally:
    """The sum of all rows; each line is counted once, and of several about one address the strictest decides."""

    lines: int = 0
    counts: dict[ImportVerdict, Counter[ImportReason]] = field(default_factory=lambda: defaultdict(Counter))
    examples: dict[ImportReason, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The first line numbers of each reason."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Field → cells that were not understood and taken over by nobody."""
    unknown_statuses: Counter[str] = field(default_factory=Counter)
    duplicates: list[int] = field(default_factory=list)
    """Lines about an address that another line decides about."""
    orders: dict[bytes, tuple[SuppressionReason, int]] = field(default_factory=dict)
    """Fingerprint → the order that the file gives, and the line that says so."""
    _best: dict[bytes, tuple[int, int, ImportVerdict, ImportReason]] = field(default_factory=dict)

    def add(
        self, line: int, fingerprint: bytes | None, read: RowRead, verdict: ImportVerdict, reason: ImportReason
    ) -> None:
        self.lines += 1
        self.left_out.update(read.left_out)
        if reason is ImportReason.STATUS_UNKNOWN:
            self.unknown_statuses[read.status] += 1
        if fingerprint is None or verdict is ImportVerdict.UNREADABLE:
            self._count(line, verdict, reason)
            return
        rank = _SEVERITY[read.order] if read.order is not None else _RANK[verdict]
        before = self._best.get(fingerprint)
        if before is not None and before[0] <= rank:
            self._duplicate(line)
            return
        if before is not None:
            _, worse, was, because = before
            self.counts[was][because] -= 1
            if worse in self.examples[because]:
                self.examples[because].remove(worse)
            self._duplicate(worse)
        self._best[fingerprint] = (rank, line, verdict, reason)
        if read.order is not None:
            self.orders[fingerprint] = (read.order, line)
        self._count(line, verdict, reason)

    def total(self, verdict: ImportVerdict) -> int:
        return self.counts[verdict].total() if verdict in self.counts else 0

    def doubtful(self) -> int:
        """Lines that may say that somebody wants no mail."""
        return sum(self.counts[ImportVerdict.UNREADABLE][reason] for reason in DOUBTFUL)

    def check_readable(self, *, skip_unreadable: bool) -> None:
        """Raises ServiceError (INVALID) where a line may say that somebody wants no mail, and nobody knows."""
        if self.unknown_statuses:
            raise ServiceError(
                Kind.INVALID,
                "status_unknown",
                f"{self.unknown_statuses.total()} lines have a status that nobody here knows "
                f"({', '.join(self.shown_statuses())}); it may mean that somebody wants no mail. Nothing was imported. "
                "Say what each means: --status WORD=unsubscribed.",
                field="status",
            )
        if self.doubtful() and not skip_unreadable:
            lines = [str(line) for reason in DOUBTFUL for line in self.examples[reason]]
            raise ServiceError(
                Kind.INVALID,
                "lines_unreadable",
                f"{self.doubtful()} lines are broken or have no status, for example {', '.join(lines)}; they may say "
                "that somebody wants no mail. Nothing was imported. Mend them, or look at them and add "
                "--skip-unreadable.",
                field="skip_unreadable",
            )

    def shown_statuses(self) -> list[str]:
        """The unknown words that occur most, unless they look as if another column was meant."""
        return [
            word for word, _ in self.unknown_statuses.most_common(10) if len(word) <= LONGEST_WORD and "@" not in word
        ]

    def reasons(self) -> dict[str, dict[str, int]]:
        """Verdict → reason → lines; all verdicts, and reasons that occur, the most frequent first."""
        return {
            verdict.value: {reason.value: n for reason, n in self.counts[verdict].most_common() if n}
            for verdict in ImportVerdict
        }

    def _duplicate(self, line: int) -> None:
        self.duplicates.append(line)
        self._count(line, ImportVerdict.UNCHANGED, ImportReason.DUPLICATE)

    def _count(self, line: int, verdict: ImportVerdict, reason: ImportReason) -> None:
        self.counts[verdict][reason] += 1
        if len(self.examples[reason]) < EXAMPLES:
            self.examples[reason].append(line)


def check_slice(number: int, admitted_lately: int, *, no_daily_limit: bool) -> None:
    """Raises ServiceError (TOO_MANY) where a day would see more than DAY_LIMIT rows of an import let in."""
    if not no_daily_limit and admitted_lately + number > DAY_LIMIT:
        raise ServiceError(
            Kind.TOO_MANY,
            "import_day_limit",
            f"{admitted_lately} of this import were let in within 24 hours, and {DAY_LIMIT} are the most (warm-up); "
            f"nobody was let in. Wait, take a --slice of at most {max(DAY_LIMIT - admitted_lately, 0)}, or add "
            "--no-daily-limit if your relay and your domain know this volume.",
            field="slice",
        )


@dataclass(frozen=True, slots=True)
class SliceOrder:
    """An operator's word to let rows out of quarantine."""

    number: int
    """How many at most."""
    operator: str
    reason: str
    no_daily_limit: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """What became of the rows that were looked at."""

    done: int
    """Let in, or asked."""
    settled: dict[str, int]
    """Reason → rows that are out of the question since the file was read."""
    later: int
    """Left where they are for now: their mailbox has had its share of mails (E-05), or somebody is just at them."""
    left: int
    """Still waiting for the same."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a reader can change without leaving an event."""

    plain: bool
    """Daily, at any hour, not paused, same address: as every import leaves it."""
    language: str
    topic_ids: frozenset[int]


def has_acted(*, events: bool, brought: Choices | None, now: Choices) -> bool:
    """Whether an imported reader did anything by themselves since. `brought`: as the import left it; None if the
    reader was here before, whose older choices say nothing."""
    return events or (brought is not None and now != brought)
