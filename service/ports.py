"""The seams to what is slow, outside or not deterministic; everything else is imported plainly.

`Transport` hides the one asynchronous thing behind a plain iterator.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from service.domain.outcomes import Message, Outcome
from service.domain.words import Lane


class Clock(Protocol):
    def now(self) -> datetime:
        """The time in UTC, aware."""

    def monotonic(self) -> float:
        """Seconds that never run backwards; for leases and deadlines within one process."""


class Hint(StrEnum):
    """A task that only says "look now". The values are the names Celery knows (tests hold the two sides together)."""

    PROCESS_SIGNUPS = "workers.process_signups"
    SEND_DUE = "workers.send_due"
    PLAN_CAMPAIGN = "workers.plan_campaign"
    PULL_CONTENT = "workers.pull_content"
    SWEEP = "workers.sweep"
    SEAL = "workers.seal"
    ERASE_DUE = "workers.erase_due"
    RETAIN = "workers.retain"


class TaskQueue(Protocol):
    def hint(self, hint: Hint, lane: Lane, *ids: int) -> None:
        """Ask the workers of `lane` to look now. May fail silently: the sweep finds the work anyway (invariant 1)."""


class Journal(Protocol):
    """A local, append-only note of what was on the wire; it survives the death of the process (design §4)."""

    def started(self, delivery_id: int) -> None:
        """Called before the final dot of this message is handed to the socket."""

    def answered(self, outcome: Outcome) -> None:
        """Called with the reply, before anybody else is told."""


class Transport(Protocol):
    def send(self, messages: Iterable[Message | None]) -> Iterator[Outcome | None]:
        """Send each message and yield one outcome for each message that was taken from `messages`, in any order.

        `messages` is pulled only when a message can start at once, so the caller may stop starting messages at a
        deadline by ending the iterable; what was not pulled was not attempted and has no outcome. None from it means
        that there is nothing just now; None to the caller, that there has been no outcome for a moment. Never raises
        for what a relay says or fails to say: that is an `Outcome`.
        """

    def rest(self) -> None:
        """Say QUIT on connections that have been idle for long; nothing while `send` works. Any thread may call."""

    def close(self) -> None:
        """Say QUIT on idle connections. Sending again afterwards opens new ones."""
