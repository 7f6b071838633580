"""Planning and erasing at once, in transactions that really commit: neither fails, and nobody erased is planned for."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from sqlalchemy import select, text

from service.domain.words import DeliveryStatus, Language, Purpose
from service.store import engine as store_engine
from service.store import erasures, subscribers
from service.store.schema import Delivery, Subscriber
from service.store.transaction import Transaction, TransactionFactory, factory
from service.usecases import campaigning, digesting
from tests import builders
from tests.conftest import FrozenClock, HintList

Ordered = Callable[[Transaction], tuple[int, Callable[[Transaction, int], object]]]


@pytest.fixture
def committing(fresh_database: tuple[str, str], clock: FrozenClock, queue: HintList) -> Iterator[TransactionFactory]:
    engine = store_engine.create(fresh_database[1], "tests")
    yield factory(engine, clock, queue)
    engine.dispose()


def a_campaign(tx: Transaction) -> tuple[int, Callable[[Transaction, int], object]]:
    list_id = tx.session.scalars(text("SELECT id FROM lists")).one()
    campaign_id = builders.a_campaign(tx, list_id=list_id)
    campaigning.order_campaign(tx, campaign_id, by="ada")
    return campaign_id, campaigning.plan_campaign


def a_run(tx: Transaction) -> tuple[int, Callable[[Transaction, int], object]]:
    names = {Language.EN: "Training", Language.DE: "Training"}
    digesting.add_digest(tx, slug="hub", list_slug="training", names=names)
    return digesting.start_run(tx, "hub", by="ada").campaign_id, digesting.plan_run


def three_readers(tx: Transaction) -> list[int]:
    list_id = builders.a_list(tx)
    readers = [builders.a_reader(tx, f"{n}@fjell.no", list_id=list_id, purpose=Purpose.OFFERS) for n in range(3)]
    tx.session.execute(
        text(
            "INSERT INTO subscriptions (subscriber_id, list_id, purpose, state, event_id, given_at, updated_at) "
            "SELECT subscriber_id, list_id, 'digest', state, event_id, given_at, updated_at FROM subscriptions"
        )
    )
    return readers


def forget(tx: Transaction, subscriber_id: int) -> None:
    person = erasures.lock_person(tx, subscriber_id)
    assert person is not None
    assert erasures.cancel_mail(tx, person) == []
    erasures.forget(tx, person)


def wait_until_blocked(tx: Transaction) -> None:
    until = monotonic() + 20
    while not tx.session.scalar(text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")):
        assert monotonic() < until, "nobody waits for a lock"


def planned_for(tx: Transaction) -> list[tuple[int | None, DeliveryStatus]]:
    rows = tx.session.execute(select(Delivery.subscriber_id, Delivery.status).order_by(Delivery.subscriber_id))
    return [(row.subscriber_id, row.status) for row in rows]


@pytest.mark.requirement("D-15")
@pytest.mark.parametrize("order", [a_campaign, a_run])
def test_a_plan_passes_over_who_is_just_being_erased(committing: TransactionFactory, order: Ordered) -> None:
    with committing() as tx:
        readers = three_readers(tx)
        campaign_id, plan = order(tx)

    def plan_there() -> None:
        with committing() as tx:
            plan(tx, campaign_id)

    with ThreadPoolExecutor(1) as pool:
        with committing() as tx:
            forget(tx, readers[1])
            planning = pool.submit(plan_there)
            wait_until_blocked(tx)
            with committing() as meanwhile:  # who only changes something is neither waited for nor left out
                subscribers.set_first_name(meanwhile, readers[2], "Kari")
        planning.result()
    with committing() as tx:
        assert [reader for reader, _ in planned_for(tx)] == [readers[0], readers[2]]


@pytest.mark.requirement("D-15")
@pytest.mark.parametrize("order", [a_campaign, a_run])
def test_an_erasure_waits_for_a_plan_and_takes_its_mail_back(committing: TransactionFactory, order: Ordered) -> None:
    with committing() as tx:
        readers = three_readers(tx)
        campaign_id, plan = order(tx)

    def forget_there() -> None:
        with committing() as tx:
            forget(tx, readers[1])

    with ThreadPoolExecutor(1) as pool:
        with committing() as tx:
            plan(tx, campaign_id)
            erasing = pool.submit(forget_there)
            wait_until_blocked(tx)
        erasing.result()
    with committing() as tx:
        assert [reader for reader, _ in planned_for(tx)] == [readers[0], readers[2], None], "it still counts"
        assert tx.session.get(Subscriber, readers[1]) is None
