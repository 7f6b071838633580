"""A sender for tests: a relay in memory, a journal in memory that behaves like the file, a trivial writer."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select

from service.domain.deliveries import Notes
from service.domain.letters import Letter
from service.domain.outcomes import Message, Outcome, Phase
from service.domain.relay_watch import RelayWatch
from service.domain.words import CampaignStatus, Lane, Language, MailKind, Purpose
from service.mail.memory import MemoryTransport
from service.store import deliveries, worker_processes
from service.store.schema import Campaign
from service.store.transaction import Transaction, TransactionFactory
from service.usecases import campaigning
from service.usecases.steps.senders import Sender
from tests.builders import a_campaign, a_list, a_reader, a_signup
from tests.conftest import FrozenClock
from tests.usecases.builders import KEYS

Script = dict[str, tuple[Phase, int | None, str | None, str]]


class MemoryJournal:
    """What FileJournal keeps in a file; `events` is never cleared, for tests to read."""

    def __init__(self) -> None:
        self.worker_id: UUID = uuid4()
        self.noted_started: set[int] = set()
        self.noted_outcomes: dict[int, Outcome] = {}
        self.events: list[tuple[str, int]] = []
        self.removed = False

    def started(self, delivery_id: int) -> None:
        self.noted_started.add(delivery_id)
        self.events.append(("started", delivery_id))

    def answered(self, outcome: Outcome) -> None:
        self.noted_outcomes[outcome.delivery_id] = outcome
        self.events.append(("answered", outcome.delivery_id))

    def read(self) -> Notes:
        return Notes(frozenset(self.noted_started), dict(self.noted_outcomes), complete=True)

    @property
    def size(self) -> int:
        return len(self.noted_started)

    def settled(self, delivery_ids: Sequence[int]) -> None:
        self.noted_started.difference_update(delivery_ids)
        for delivery_id in delivery_ids:
            self.noted_outcomes.pop(delivery_id, None)

    def clear(self) -> None:
        self.noted_started.clear()
        self.noted_outcomes.clear()

    def remove(self) -> None:
        self.removed = True


class AtOnce(Executor):
    """Does in the caller's thread what it is given, so that a test knows when it was done."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        done: Future[object] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
            done.set_exception(error)
        return done


def write_plainly(letter: Letter, now: datetime) -> Message:
    return Message(letter.delivery_id, "b@bounce.example", letter.address, b"Subject: x\r\n\r\nHello.\r\n")


def a_sender(
    transaction: TransactionFactory,
    clock: FrozenClock,
    *,
    lane: Lane = Lane.BULK,
    script: Script | None = None,
    write: Callable[[Letter, datetime], Message] = write_plainly,
    stopping: Callable[[], bool] = lambda: False,
) -> Sender:
    """A worker process with its row in the database."""
    journal = MemoryJournal()
    with transaction() as tx:
        worker_processes.add_worker_process(tx, journal.worker_id, lane=lane, host="a-host", pid=1)
    return Sender(
        lane=lane,
        journal=journal,
        transaction=transaction,
        clock=clock,
        transport=MemoryTransport(journal, script),
        write=write,
        message_host="news.fjellsko.example",
        keys=KEYS,
        jitter=lambda: 0.0,
        database=AtOnce(),
        relay=RelayWatch("relay.example:25"),
        stopping=stopping,
    )


def try_out(
    transaction: TransactionFactory,
    campaign_id: int,
    address: str = "ada@example.org",
    language: Language = Language.EN,
    per_day: int = 50,
) -> int:
    """Order a test mail; the delivery's id."""
    return campaigning.send_test(
        transaction, KEYS, campaign_id, address=address, language=language, by="ada", per_day=per_day
    )


def accepted_by(sender: Sender) -> list[str]:
    """The recipients that the relay in memory has taken, in order."""
    assert isinstance(sender.transport, MemoryTransport)
    return [message.rcpt_to for message in sender.transport.accepted]


def ordered(tx: Transaction, list_id: int | None = None, name: str = "Sale") -> int:
    campaign_id = a_campaign(tx, list_id=list_id, name=name)
    campaigning.order_campaign(tx, campaign_id, by="ada")
    campaigning.plan_campaign(tx, campaign_id)
    return campaign_id


def campaign_status(tx: Transaction, campaign_id: int) -> CampaignStatus:
    found = select(Campaign).where(Campaign.id == campaign_id).execution_options(populate_existing=True)
    return tx.session.scalars(found).one().status


def interactive(tx: Transaction, kind: MailKind, address: str = "r@example.org", **reader: object) -> int:
    subscriber = a_reader(tx, address, **reader)  # type: ignore[arg-type]
    signup = a_signup(tx, address) if kind is MailKind.CONFIRMATION else None
    list_id = a_list(tx)
    purpose = Purpose.OFFERS if kind is MailKind.WELCOME else None
    return deliveries.add_interactive(
        tx, kind=kind, subscriber_id=subscriber, list_id=list_id, purpose=purpose, signup_id=signup
    )
