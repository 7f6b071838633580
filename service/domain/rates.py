"""How many mails a second may start: each worker asks for moments, and all of them share one sequence of moments."""

import math
from dataclasses import dataclass

AHEAD = 1.0
"""Seconds of moments that one claim may take: what it takes must start within the claim's own time."""

LEAD = 0.1
"""Seconds until the first moment of a sequence that has run dry: a claim takes about so long to come back."""

PATIENCE = 0.1
"""Seconds for which a moment holds. Later ones are lost: made up for, they would be more than the limit."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Moments at which mails may start, in seconds of a monotonic clock."""

    number: int
    first_at: float
    spacing: float
    patience: float

    @property
    def is_spent(self) -> bool:
        """Whether all near moments are taken; the next ones can be asked for at `first_at`."""
        return self.number == 0


def free(number: int, at: float) -> Permission:
    """No limit."""
    return Permission(number, at, 0.0, math.inf)


def permit(wanted: int, rate: float, ahead: float, at: float) -> Permission:
    """Up to `wanted` moments at `rate` a second, where the next one that nobody has is `ahead` seconds after `at`."""
    if ahead >= AHEAD:
        return Permission(0, at + ahead - AHEAD, 1 / rate, PATIENCE)
    return Permission(min(wanted, 1 + int((AHEAD - ahead) * rate)), at + ahead, 1 / rate, PATIENCE)
