"""Claims at the same time, on committed rows: no two workers hold the same delivery, and none is forgotten."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from service.domain.deliveries import decide_result
from service.domain.outcomes import Outcome, Phase
from service.domain.smtp_replies import decide_fate
from service.domain.words import Lane
from service.store import claims
from service.store import engine as store_engine
from service.store.deliveries import take_in_order
from service.store.transaction import Transaction, TransactionFactory, factory
from service.store.worker_processes import add_worker_process
from service.usecases import campaigning
from service.usecases.dispatching import send_due
from tests.builders import a_list, many_readers, statuses
from tests.conftest import FrozenClock, HintList
from tests.usecases.builders import KEYS
from tests.usecases.sending import a_sender, ordered


@pytest.fixture
def engine(fresh_database: tuple[str, str]) -> Iterator[Engine]:
    engine = store_engine.create(fresh_database[1], "claims")
    yield engine
    engine.dispose()


@pytest.fixture
def committed(engine: Engine, clock: FrozenClock, queue: HintList) -> TransactionFactory:
    return factory(engine, clock, queue)


def a_worker(transaction: TransactionFactory) -> UUID:
    worker_id = uuid4()
    with transaction() as tx:
        add_worker_process(tx, worker_id, lane=Lane.BULK, host="a-host", pid=1)
    return worker_id


def claim(tx: Transaction, worker_id: UUID, campaign_id: int, limit: int = 10) -> list[int]:
    claimed = claims.claim(
        tx,
        worker_id=worker_id,
        lane=Lane.BULK,
        campaign_id=campaign_id,
        limit=limit,
        message_host="h.example",
        fingerprint=KEYS.address_hmac,
    )
    return claimed.ids


@pytest.fixture
def campaign_id(committed: TransactionFactory) -> int:
    with committed() as tx:
        many_readers(tx, 15, list_id=a_list(tx))
        return ordered(tx)


def test_two_claims_at_once_share_nothing_and_wait_for_nobody(committed: TransactionFactory, campaign_id: int) -> None:
    one, other = a_worker(committed), a_worker(committed)
    with committed() as first, committed() as second:
        mine = claim(first, one, campaign_id)
        theirs = claim(second, other, campaign_id)
        assert (len(mine), len(theirs)) == (10, 5)
        assert not set(mine) & set(theirs)
        assert mine == sorted(mine), "in the order of planning"
    with committed() as tx:
        assert claim(tx, one, campaign_id) == []


def test_a_worker_goes_on_with_another_campaign_while_one_is_being_claimed(
    committed: TransactionFactory, campaign_id: int, clock: FrozenClock
) -> None:
    with committed() as tx:
        free = ordered(tx, name="Another")
    one, sender = a_worker(committed), a_sender(committed, clock)
    with committed() as first:
        claim(first, one, campaign_id, limit=100)
        assert send_due(sender) == 15
        assert set(statuses(first, free).values()) == {"accepted"}
        assert set(statuses(first, campaign_id).values()) == {"sending"}


def test_a_claim_that_is_not_committed_did_not_happen(committed: TransactionFactory, campaign_id: int) -> None:
    class KilledError(Exception):
        pass

    worker = a_worker(committed)
    with pytest.raises(KilledError), committed() as tx:  # noqa: PT012
        claim(tx, worker, campaign_id)
        raise KilledError
    with committed() as tx:
        assert len(claim(tx, worker, campaign_id)) == 10


def test_only_the_holder_ends_a_claim(committed: TransactionFactory, campaign_id: int) -> None:
    holder, other = a_worker(committed), a_worker(committed)
    with committed() as tx:
        (delivery_id,) = claim(tx, holder, campaign_id, limit=1)
    outcome = Outcome(delivery_id, Phase.EOM, 250, None, "ok", "relay:25")
    result = decide_result(outcome, decide_fate(outcome), lane=Lane.BULK, attempts=0, jitter=0)
    with committed() as tx:
        assert claims.record_results(tx, other, [result]) == 0
        assert claims.give_back(tx, other) == 0
        assert tx.session.scalar(text("SELECT count(*) FROM attempts")) == 0
        assert claims.record_results(tx, holder, [result]) == 1
        assert claims.record_results(tx, holder, [result]) == 0, "once"
        assert claims.record_results(tx, holder, []) == 0


def test_a_pause_during_a_claim_stops_the_next_one(committed: TransactionFactory, campaign_id: int) -> None:
    worker = a_worker(committed)
    with committed() as tx:
        claim(tx, worker, campaign_id, limit=5)
    with committed() as tx:
        campaigning.pause_campaign(tx, campaign_id, by="ada")
    with committed() as tx:
        assert claim(tx, worker, campaign_id) == []


@pytest.mark.parametrize(("server", "here"), [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply")])
def test_a_claim_is_on_disk_before_it_counts(
    committed: TransactionFactory, campaign_id: int, server: str, here: str
) -> None:
    """A claim that PostgreSQL forgets in a crash would be mail sent twice, whatever the server is set to."""
    worker = a_worker(committed)
    with committed() as tx:
        tx.session.execute(text(f"SET synchronous_commit = {server}"))
        tx.session.commit()
    with committed() as tx:
        tx.session.execute(text(f"SET LOCAL synchronous_commit = {server}"))
        claim(tx, worker, campaign_id)
        assert tx.session.scalar(text("SHOW synchronous_commit")) == here


def test_a_claim_reads_no_more_than_it_takes(committed: TransactionFactory, engine: Engine) -> None:
    """The index of due deliveries serves the claim: its plan does not sort or scan a campaign to take a few."""
    with committed() as tx:
        many_readers(tx, 3000, list_id=a_list(tx))
        campaign_id = ordered(tx)
    with committed() as tx:
        take_in_order(tx)
        plan = tx.session.scalars(
            text("EXPLAIN " + claims._DUE_OF_CAMPAIGN),
            {"lane": "bulk", "campaign": campaign_id, "now": tx.now, "limit": 20},
        ).all()
    assert any("ix_deliveries_due" in line for line in plan), plan
    assert not any("Sort" in line for line in plan), plan


def test_a_claim_judges_each_reader_once() -> None:
    """What was judged is kept: a plain subquery would be evaluated again for each of its uses."""
    assert "judged AS MATERIALIZED" in claims._CLAIM
