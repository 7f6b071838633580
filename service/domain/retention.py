"""How long what is kept: rules as data, and the day before which each of them reaches (D-19)."""

import tomllib
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

PROFILE_ENDED = "retention, profile ended"
"""Who says so in the last event of a reader whose profile and key a rule ended: the chain knows why the key is gone."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule that is enforced. Either `keep_days` or `keep_years_to_year_end` says how long."""

    id: str
    what: str
    after: str
    """What the time counts from."""
    then: str
    reason: str
    every_hours: int
    """How often it is enforced."""
    keep_days: int | None = None
    keep_years_to_year_end: int | None = None
    """So many years, and on to the end of that year."""

    def cutoff(self, now: datetime) -> datetime:
        """What began before this is due now: a round earlier than the rule says, so that nothing outlives it."""
        if self.keep_days is not None:
            return now - timedelta(days=self.keep_days) + timedelta(hours=self.every_hours)
        assert self.keep_years_to_year_end is not None
        midnight = now.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
        return midnight.replace(year=now.year - self.keep_years_to_year_end)

    def is_due(self, last_run: datetime | None, now: datetime) -> bool:
        """Whether it is time for another round. Half an hour of tolerance: timetables are not exact."""
        return last_run is None or now - last_run >= timedelta(hours=self.every_hours) - timedelta(minutes=30)

    def says(self) -> str:
        if self.keep_days is not None:
            return f"{self.keep_days} days after {self.after}"
        return f"{self.keep_years_to_year_end} years to the end of the year after {self.after}"


@dataclass(frozen=True, slots=True)
class Kept:
    """What no rule ends, and why."""

    id: str
    what: str
    until: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retention:
    rules: tuple[Rule, ...]
    kept: tuple[Kept, ...]


def parse_retention(text: str) -> Retention:
    """The rules in `text` (TOML). Raises ValueError naming the rule at fault."""
    document = tomllib.loads(text)
    rules = tuple(_make(Rule, entry) for entry in document["rules"])
    for rule in rules:
        if (rule.keep_days is None) == (rule.keep_years_to_year_end is None):
            raise ValueError(f"rule {rule.id} needs either keep_days or keep_years_to_year_end")
    return Retention(rules, tuple(_make(Kept, entry) for entry in document["kept"]))


def _make(kind: type[Any], entry: dict[str, Any]) -> Any:
    unknown = entry.keys() - {field.name for field in fields(kind)}
    if unknown:
        raise ValueError(f"rule {entry.get('id')} has an unknown field {min(unknown)}")
    try:
        return kind(**entry)
    except TypeError as error:
        raise ValueError(f"rule {entry.get('id')}: {error}") from None
