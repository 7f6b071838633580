"""What a worker process keeps while it lives: its row, its journal, its heartbeat and its connection to the relay."""

import os
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import structlog
from celery.worker import state
from sqlalchemy.exc import SQLAlchemyError

from service.bootstrap import Container, get_relays
from service.domain.deliveries import BEAT_EVERY
from service.domain.relay_watch import RelayWatch
from service.domain.words import Lane
from service.mail.journal import FileJournal, dead_journals
from service.mail.signing import SigningTransport
from service.mail.smtp import SmtpTransport
from service.ports import Transport
from service.store import worker_processes
from service.usecases import watching
from service.usecases.dispatching import recover_journals
from service.usecases.steps.senders import Sender

log = structlog.get_logger(__name__)


def jitter() -> float:
    return random.uniform(-1, 1)  # noqa: S311 - spreads retries; nobody gains by guessing it


def asked_to_stop() -> bool:
    """Whether Celery has been told to end. It keeps the exit code there, and 0 is one."""
    return any(asked is not None and asked is not False for asked in (state.should_stop, state.should_terminate))


def journal_directory(container: Container) -> Path:
    return container.settings.state_dir / "journal"


def recover(container: Container) -> int:
    """Settle the workers of this host that died. Returns how many deliveries they held."""
    return recover_journals(container.transaction, dead_journals(journal_directory(container)), jitter)


class Heart(threading.Thread):
    """Beats for as long as the process lives: a solo worker that waits for a relay cannot answer Celery's ping."""

    def __init__(self, container: Container, worker_id: UUID, transport: Transport, relay: RelayWatch) -> None:
        super().__init__(name="heart", daemon=True)
        self._container = container
        self._worker_id = worker_id
        self._transport = transport
        self._relay = relay
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(BEAT_EVERY.total_seconds()):
            trouble = self._relay.trouble(self._container.clock.monotonic())
            try:
                with self._container.transaction() as tx:
                    watching.record_beat(tx, self._worker_id, trouble)
            except SQLAlchemyError:  # whatever the database has: the heart of a live worker goes on
                log.warning("heartbeat_missed", worker_id=str(self._worker_id))
            self._transport.rest()

    def stop(self) -> None:
        self._stopped.set()
        self.join(timeout=10)


@dataclass
class Senders:
    """One sender per lane that this process serves; usually one."""

    _open: dict[Lane, tuple[Sender, Heart]] = field(default_factory=dict)

    def get(self, container: Container, lane: Lane) -> Sender:
        if lane in self._open and self._open[lane][0].ended:
            self._close(lane)
        if lane not in self._open:
            self._open[lane] = _open_sender(container, lane)
        return self._open[lane][0]

    def close(self) -> None:
        """Say goodbye to the relay, settle what is held, and leave no journal behind."""
        for lane in list(self._open):
            self._close(lane)

    def _close(self, lane: Lane) -> None:
        sender, heart = self._open.pop(lane)
        heart.stop()
        sender.transport.close()
        sender.database.shutdown()
        try:
            recover_journals(sender.transaction, [sender.journal], jitter)
        except SQLAlchemyError:
            # The journal stays; its lock goes with this process, and the next worker settles it.
            log.warning("left_to_the_next_worker", worker_id=str(sender.worker_id))


def _open_sender(container: Container, lane: Lane) -> tuple[Sender, Heart]:
    """The journal first, then the row, and only then a claim: what is claimed always has both."""
    settings = container.settings
    with ExitStack() as undo:
        journal = FileJournal(journal_directory(container), uuid4())
        undo.callback(journal.remove)
        with container.transaction() as tx:
            worker_processes.add_worker_process(
                tx, journal.worker_id, lane=lane, host=socket.gethostname(), pid=os.getpid()
            )
        undo.pop_all()
    relay, second = get_relays(settings)
    transport = SmtpTransport(
        relay,
        journal,
        second=second,
        # One mail to one reader needs no more, and is heard of at once.
        connections=settings.relay_connections if lane is Lane.BULK else 1,
        messages_per_connection=settings.relay_messages_per_connection,
    )
    watch = RelayWatch(relay.name, transport.replaced)
    heart = Heart(container, journal.worker_id, transport, watch)
    writer, signs_beside = container.writer, lane is Lane.BULK and container.writer.signs
    heart.start()
    log.info("worker_opened", worker_id=str(journal.worker_id), lane=lane)
    sender = Sender(
        lane=lane,
        journal=journal,
        transaction=container.transaction,
        clock=container.clock,
        transport=SigningTransport(transport, lambda message: writer.sign(message, container.clock.now()))
        if signs_beside
        else transport,
        write=writer.prepare if signs_beside else writer.write,
        message_host=settings.public_host,
        keys=container.keys,
        jitter=jitter,
        database=ThreadPoolExecutor(2, thread_name_prefix="database"),
        relay=watch,
        limits=container.limits,
        retries=container.retries,
        rate=settings.rate_per_second,
        stopping=asked_to_stop,
    )
    return sender, heart
