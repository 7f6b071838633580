"""When far more sign-ups arrive than usual, for one domain or by one form: what is held, and what is let go (E-05)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

HOUR = timedelta(hours=1)
USUAL_HOURS = 7 * 24
"""What is usual for a domain is said by the hours of the last week before this one, quiet ones included."""
TIMES_USUAL = 10
HELD_AT_MOST = timedelta(hours=24)
"""Who signed up yesterday no longer waits for a mail; a confirmation then would itself be unasked for."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Sign-ups in an hour that cause mail without anybody asking whether that is usual."""

    domain_per_hour: int = 30
    form_per_hour: int = 1000


@dataclass(frozen=True, slots=True)
class Waiting:
    """One held sign-up."""

    id: int
    domain: bytes
    """Its fingerprint."""
    form_id: int


def usual_hour(busy_hours: Sequence[int]) -> float:
    """The median over the last week's hours; `busy_hours` are the counts of those in which anything came."""
    return float(median([*busy_hours, *[0] * (USUAL_HOURS - len(busy_hours))]))


def is_surge(arrived: int, usual: float, ceiling: int) -> bool:
    """`arrived` within an hour is more than `ceiling`, and at least 10 times what a usual hour brings."""
    return arrived > ceiling and arrived >= TIMES_USUAL * usual


def choose_released(
    waiting: Iterable[Waiting], passed_domains: Mapping[bytes, int], passed_forms: Mapping[int, int], ceilings: Ceilings
) -> list[int]:
    """Which of those waiting, in their order, may go now: no more in an hour than the ceilings say.

    `passed_…` count what went through in the last hour already.
    """
    domains, forms, chosen = dict(passed_domains), dict(passed_forms), []
    for one in waiting:
        by_domain, by_form = domains.get(one.domain, 0), forms.get(one.form_id, 0)
        if by_domain < ceilings.domain_per_hour and by_form < ceilings.form_per_hour:
            domains[one.domain], forms[one.form_id] = by_domain + 1, by_form + 1
            chosen.append(one.id)
    return chosen
