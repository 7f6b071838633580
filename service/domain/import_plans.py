"""What an operator says about a file, checked against its header before any row is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.domain.import_rows import STATUS_WORDS, Field, Rules, Standing, fold
from service.domain.words import Language, Purpose
from service.errors import Kind, ServiceError

_LEAP_DAY = datetime(2024, 2, 29, 13, 14, 15)  # noqa: DTZ001 - spelt and read again, never compared
_DAYS = ({"%d"}, {"%m", "%b", "%B"}, {"%Y", "%y"})
"""What a date format needs one of each, lest a date is invented."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the operator says that the file is to be read."""

    list_slug: str
    columns: Mapping[Field, str]
    """As typed; the header may spell them in another case."""
    statuses: Mapping[str, Standing]
    """Words of this file, over those of STATUS_WORDS."""
    all_are: Standing | None = None
    purposes: tuple[Purpose, ...] = ()
    language: Language = Language.EN
    date_format: str | None = None
    consent_source: str | None = None
    statement_text: str | None = None
    confirmed_only: bool = False
    skip_unreadable: bool = False


def make_rules(plan: Plan, header: Sequence[str], topics: Mapping[str, int], *, reserved: bool) -> Rules:
    """`topics`: slugs and names of the list's. Raises ServiceError (INVALID) that says what is missing."""
    columns = {name: _find_column(name, column, header) for name, column in plan.columns.items()}
    if Field.ADDRESS not in columns:
        raise _refusal("map", f"No column is mapped to the address. {_columns(header)} Add --map address=COLUMN.")
    if Field.STATUS in columns and plan.all_are is not None:
        raise _refusal("all_are", "Give either --map status=COLUMN or --all-are, not both.")
    if Field.STATUS not in columns and plan.all_are is None:
        raise _refusal(
            "status",
            "Nothing says who of these had unsubscribed, bounced or complained. Map the column that does "
            f"(--map status=COLUMN), or say what all are: --all-are subscribed. {_columns(header)}",
        )
    opted_out = plan.all_are not in (None, Standing.SUBSCRIBED)
    if Field.PURPOSE not in columns and not plan.purposes and not opted_out:
        raise _refusal(
            "purpose", "Nothing says what these people agreed to. Add --purpose digest (or offers, or both)."
        )
    if plan.date_format is not None:
        _check_date_format(plan.date_format)
    return Rules(
        columns=columns,
        statuses={**STATUS_WORDS, **{fold(word): standing for word, standing in plan.statuses.items()}},
        all_are=plan.all_are,
        purposes=plan.purposes,
        language=plan.language,
        topics={fold(name): topic_id for name, topic_id in topics.items()},
        date_format=plan.date_format,
        consent_source=plan.consent_source,
        statement_text=plan.statement_text,
        confirmed_only=plan.confirmed_only,
        skip_unreadable=plan.skip_unreadable,
        reserved=reserved,
    )


def spell_rules(rules: Rules) -> dict[str, object]:
    """All but the columns, as JSON, to be kept with the import."""
    return {
        "statuses": {word: standing.value for word, standing in rules.statuses.items()},
        "all_are": rules.all_are.value if rules.all_are else None,
        "purposes": [purpose.value for purpose in rules.purposes],
        "language": rules.language.value,
        "date_format": rules.date_format or "ISO 8601",
        "consent_source": rules.consent_source,
        "statement_text": rules.statement_text,
        "confirmed_only": rules.confirmed_only,
        "skip_unreadable": rules.skip_unreadable,
    }


def _find_column(name: Field, wanted: str, header: Sequence[str]) -> str:
    exact = [column for column in header if column == " ".join(wanted.split())]
    found = exact or [column for column in header if fold(column) == fold(wanted)]
    if len(found) != 1 or any(column.startswith(f"{found[0]} (column ") for column in header):
        problem = "several columns are called" if found else "the file has no column"
        raise _refusal("map", f"{name.value} is mapped, but {problem} {wanted!r}. {_columns(header)}")
    return found[0]


def _check_date_format(text: str) -> None:
    whole = all(any(code in text for code in one_of) for one_of in _DAYS)
    try:
        readable = datetime.strptime(_LEAP_DAY.strftime(text), text).date() == _LEAP_DAY.date()  # noqa: DTZ007
    except ValueError:
        readable = False
    if "%I" in text and "%p" not in text:
        raise _refusal("date_format", f"{text!r} has hours of a half day (%I) without which half: add %p, or use %H.")
    if not whole or not readable:
        raise _refusal(
            "date_format",
            f"{text!r} describes no whole date: it needs day, month and year, like %d.%m.%Y or %d/%m/%Y %H:%M.",
        )


def _columns(header: Sequence[str]) -> str:
    return f"Its columns: {', '.join(header)}."


def _refusal(field: str, message: str) -> ServiceError:
    return ServiceError(Kind.INVALID, f"import_{field}", f"{message} Nothing was imported.", field=field)
