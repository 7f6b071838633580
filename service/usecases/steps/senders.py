"""A worker process that sends: what it works with, and what it has learnt while it did."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from service.domain.breaker import NORMAL, Limits
from service.domain.deliveries import FIRST_BATCH, RETRIES, Notes, Retries
from service.domain.letters import Letter
from service.domain.outcomes import Message
from service.domain.relay_watch import RelayWatch
from service.domain.tokens import Keys
from service.domain.words import Lane
from service.ports import Clock, Journal, Transport
from service.store.transaction import TransactionFactory


class Journaled(Protocol):
    """What a worker noted, as settling needs it."""

    @property
    def worker_id(self) -> UUID: ...
    def read(self) -> Notes: ...
    def remove(self) -> None: ...


class OwnJournal(Journaled, Journal, Protocol):
    @property
    def size(self) -> int:
        """Octets."""

    def settled(self, delivery_ids: Sequence[int]) -> None:
        """What was noted about these is in the database: never to be believed again."""

    def clear(self) -> None: ...


@dataclass
class Sender:
    """One worker process that sends: what it sends with, and what it has learnt about the relay."""

    lane: Lane
    journal: OwnJournal
    transaction: TransactionFactory
    clock: Clock
    transport: Transport
    write: Callable[[Letter, datetime], Message]
    message_host: str
    """Right side of Message-IDs."""
    keys: Keys
    """For the copy of each confirmation mail, which is kept as evidence, and fingerprints of addresses to test with."""
    jitter: Callable[[], float]
    """Draws from -1 … 1."""
    database: Executor
    """Two threads: a turn claims in one while it records in the other."""
    relay: RelayWatch
    """Whether the relay answers, for the heart to tell."""
    limits: Limits = NORMAL
    """Above which a campaign is paused."""
    retries: Retries = RETRIES
    rate: float | None = None
    """Mails a second that all workers together may start; None: as fast as the relay takes them."""
    stopping: Callable[[], bool] = lambda: False
    """Whether the process has been asked to end: nothing more is claimed."""

    batch: int = field(default=FIRST_BATCH, init=False)
    hold: timedelta | None = field(default=None, init=False)
    """How long the relay is being left alone; None while it works."""
    held_until: float = field(default=0.0, init=False)
    last_campaign: int = field(default=0, init=False)
    ended: bool = field(default=False, init=False)
    """An operator declared this worker lost: it claims nothing any more, and its process needs another."""

    @property
    def worker_id(self) -> UUID:
        return self.journal.worker_id
