"""A turn: what the wire does while the database is busy, and how fast all workers together may be."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.bootstrap import SystemClock
from service.domain.letters import Letter
from service.domain.outcomes import Message, Phase
from service.domain.words import Lane
from service.store import engine as store_engine
from service.store import transaction as store_transaction
from service.store.transaction import Transaction, TransactionFactory
from service.usecases.dispatching import send_due
from service.usecases.steps import turns
from service.usecases.steps.senders import Sender
from tests.builders import a_list, many_readers
from tests.conftest import FrozenClock, HintList
from tests.usecases.sending import a_sender, accepted_by, ordered, write_plainly


@pytest.fixture
def house(fresh_database: tuple[str, str], queue: HintList) -> Iterator[TransactionFactory]:
    """Transactions on connections of their own, as in a worker."""
    engine = store_engine.create(fresh_database[1], "tests")
    yield store_transaction.factory(engine, SystemClock(), queue)
    engine.dispose()


@contextmanager
def a_worker(house: TransactionFactory, *, rate: float | None = None) -> Iterator[Sender]:
    sender = a_sender(house, SystemClock())  # type: ignore[arg-type]
    sender.rate = rate
    with ThreadPoolExecutor(2) as database:
        sender.database = database
        yield sender


def test_the_wire_goes_on_while_answers_are_recorded(house: TransactionFactory) -> None:
    with house() as tx:
        many_readers(tx, 300, list_id=a_list(tx))
        ordered(tx)
    with a_worker(house) as sender:
        sender.batch = 50
        went_on = threading.Event()
        seen_at_record: list[int] = []
        real = sender.transaction

        @contextmanager
        def slow() -> Iterator[Transaction]:
            with real() as tx:
                yield tx
                if len(accepted_by(sender)) >= 50 and not seen_at_record:
                    seen_at_record.append(len(accepted_by(sender)))
                    assert went_on.wait(10), "nothing was sent while the database was busy"

        def write(letter: Letter, now: object) -> Message:
            if seen_at_record and len(accepted_by(sender)) > seen_at_record[0]:
                went_on.set()
            time.sleep(0.004)
            return write_plainly(letter, now)  # type: ignore[arg-type]

        sender.transaction, sender.write = slow, write  # type: ignore[assignment]
        assert send_due(sender) == 300
        assert went_on.is_set()
        assert sender.journal.read().started == frozenset()
    with house() as tx:
        assert tx.session.execute(text("SELECT status, count(*) FROM deliveries GROUP BY 1")).all() == [
            ("accepted", 300)
        ]


def test_a_journal_that_has_grown_is_emptied_in_the_middle_of_a_turn(
    house: TransactionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LARGEST_JOURNAL", 50)
    with house() as tx:
        many_readers(tx, 400, list_id=a_list(tx))
        ordered(tx)
    with a_worker(house) as sender:
        sizes: list[int] = []
        in_time = sender.write

        def write(letter: Letter, now: datetime) -> Message:
            sizes.append(sender.journal.size)
            return in_time(letter, now)

        sender.write = write
        assert send_due(sender) == 400
        assert max(sizes) <= 51, "nothing is started with a larger one"
        assert sum(later < earlier for earlier, later in pairwise(sizes)) > 3, "it was emptied several times"
    with house() as tx:
        assert tx.session.execute(text("SELECT status, count(*) FROM deliveries GROUP BY 1")).all() == [
            ("accepted", 400)
        ]


def test_what_is_due_again_before_it_is_crossed_out_is_not_started(house: TransactionFactory) -> None:
    """Else its note would be crossed out with the older one, and after a death nobody would know that it had begun."""
    address = "reader-1@many.example"
    with house() as tx:
        many_readers(tx, 60, list_id=a_list(tx))
        ordered(tx)
        first = tx.session.scalar(text("SELECT min(id) FROM deliveries"))
    with a_worker(house) as sender:
        sender.batch = 5
        sender.transport.script[address] = (Phase.EOM, 451, "4.2.0", "Try again")  # type: ignore[attr-defined]
        events: list[tuple[str, int]] = sender.journal.events  # type: ignore[attr-defined]
        in_time = sender.journal.settled

        def late(delivery_ids: Sequence[int]) -> None:
            if first in delivery_ids and ("settled", first) not in events:
                sender.transport.script.clear()  # type: ignore[attr-defined]
                with house() as tx:
                    tx.session.execute(
                        text("UPDATE deliveries SET due_at = now() - interval '1 hour' WHERE id = :id"), {"id": first}
                    )
                begun = len(accepted_by(sender))
                until = time.monotonic() + 10
                while len(accepted_by(sender)) < begun + 15 and time.monotonic() < until:
                    time.sleep(0.01)  # others are claimed meanwhile, and this one with them
                events.append(("settled", first))
            in_time(delivery_ids)

        def write(letter: Letter, now: object) -> Message:
            time.sleep(0.004)
            return write_plainly(letter, now)  # type: ignore[arg-type]

        sender.journal.settled, sender.write = late, write  # type: ignore[method-assign, assignment]
        while send_due(sender):
            pass
        assert accepted_by(sender).count(address) == 1
        assert len(accepted_by(sender)) == 60
        of_first = [event for event, delivery_id in events if delivery_id == first]
        assert of_first == ["started", "answered", "settled", "started", "answered"]


def test_a_database_that_goes_away_loses_and_doubles_nobody(house: TransactionFactory) -> None:
    with house() as tx:
        many_readers(tx, 120, list_id=a_list(tx))
        ordered(tx)
    with a_worker(house) as sender:
        real, away = sender.transaction, False

        @contextmanager
        def flaky() -> Iterator[Transaction]:
            nonlocal away
            with real() as tx:
                yield tx
                if len(accepted_by(sender)) >= 40 and not away:
                    away = True
                    tx.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

        sender.transaction = flaky
        with pytest.raises(OperationalError):
            send_due(sender)
        assert away
        while send_due(sender):
            pass
        assert sorted(accepted_by(sender)) == sorted(f"reader-{n}@many.example" for n in range(1, 121))
    with house() as tx:
        assert tx.session.execute(text("SELECT DISTINCT status FROM deliveries")).all() == [("accepted",)]


def test_all_workers_together_keep_to_the_rate(house: TransactionFactory) -> None:
    with house() as tx:
        many_readers(tx, 150, list_id=a_list(tx))
        ordered(tx)
    starts: list[float] = []

    def write(letter: Letter, now: object) -> Message:
        starts.append(time.monotonic())
        return write_plainly(letter, now)  # type: ignore[arg-type]

    with a_worker(house, rate=100) as one, a_worker(house, rate=100) as two:
        one.write = two.write = write  # type: ignore[assignment]
        threads = [threading.Thread(target=send_due, args=[sender]) for sender in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        while send_due(one):
            pass
        assert sorted(accepted_by(one) + accepted_by(two)) == sorted(f"reader-{n}@many.example" for n in range(1, 151))
    for window in (0.2, 0.5, 1.0):
        assert (
            max(sum(begin <= start < begin + window for start in starts) for begin in starts)
            <= 100 * (window + 0.1) + 2
        )


def test_a_claim_ahead_is_given_back_when_the_process_is_to_end(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        many_readers(tx, 60, list_id=a_list(tx))
        ordered(tx)
    sender = a_sender(transaction, clock, lane=Lane.BULK)
    sender.stopping = lambda: len(accepted_by(sender)) >= 15
    assert send_due(sender) == 15
    with transaction() as tx:
        assert dict(tx.session.execute(text("SELECT status, count(*) FROM deliveries GROUP BY 1")).all()) == {
            "accepted": 15,
            "queued": 45,
        }
