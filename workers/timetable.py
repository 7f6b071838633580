"""What beat says when. Plain beat: two of them do no harm, for every task only looks and claims."""

from typing import Any

from service.domain.words import Lane
from service.ports import Hint

SWEEP_SECONDS = 5.0
"""How late work can be that no hint led to."""
RETAIN_SECONDS = 3600.0
"""The shortest round of a rule of retention; each rule says how often it wants to be enforced."""
SEAL_SECONDS = 60.0
"""The ledger's window: what is younger than this may not be under a checkpoint yet (docs/consent.md)."""


def timetable(content_pull_minutes: int) -> dict[str, dict[str, Any]]:
    """What is late by one round is said again, so nothing piles up in Redis while a worker is away.

    Two lanes sweep and seal, for the one may wait for a slow feed and the other for a slow relay.
    """
    pull_seconds = content_pull_minutes * 60.0
    return {
        "sweep": _entry(Hint.SWEEP, SWEEP_SECONDS, Lane.INBOUND),
        "sweep-too": _entry(Hint.SWEEP, SWEEP_SECONDS, Lane.INTERACTIVE),
        "seal": _entry(Hint.SEAL, SEAL_SECONDS, Lane.INBOUND),
        "seal-too": _entry(Hint.SEAL, SEAL_SECONDS, Lane.INTERACTIVE),
        "retain": _entry(Hint.RETAIN, RETAIN_SECONDS, Lane.INBOUND),
        "pull": _entry(Hint.PULL_CONTENT, pull_seconds, Lane.INBOUND),
    }


def _entry(hint: Hint, seconds: float, lane: Lane) -> dict[str, Any]:
    return {"task": hint.value, "schedule": seconds, "options": {"queue": lane.value, "expires": seconds}}
