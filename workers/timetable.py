"""What beat says when. Plain beat: two of them do no harm, for every task only looks and claims."""

from typing import Any

from service.domain.words import Lane
from service.ports import Hint

SWEEP_SECONDS = 5.0
"""How late work can be that no hint led to."""


def timetable(content_pull_minutes: int) -> dict[str, dict[str, Any]]:
    """Both go to the inbound lane, which never waits for a relay."""
    inbound = {"queue": Lane.INBOUND.value}
    return {
        "sweep": {"task": Hint.SWEEP.value, "schedule": SWEEP_SECONDS, "options": inbound},
        "pull": {"task": Hint.PULL_CONTENT.value, "schedule": content_pull_minutes * 60.0, "options": inbound},
    }
