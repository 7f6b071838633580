"""What `milepost doctor` finds: one part, how it is, and the command that mends it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    FINE = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    verdict: Verdict
    message: str
    remedy: str | None = None
    """The command or setting that mends it."""
