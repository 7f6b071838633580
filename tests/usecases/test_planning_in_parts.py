"""A large audience is planned in parts while the first mails leave: all of it, once, whatever happens between."""

import pytest
from sqlalchemy import select, text

from service.domain.words import CampaignStatus, SuppressionReason
from service.store.reports import get_campaign_report
from service.store.schema import Campaign
from service.store.transaction import Transaction, TransactionFactory
from service.usecases import campaigning, dispatching, watching
from service.usecases.dispatching import send_due
from service.usecases.steps import planning
from tests.builders import a_campaign, a_list, a_suppression, many_readers, statuses
from tests.conftest import FrozenClock
from tests.usecases.sending import a_sender, accepted_by, campaign_status, ordered

READERS = 23


@pytest.fixture(autouse=True)
def parts_of_five(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "PLANNED_AT_ONCE", 5)


@pytest.fixture
def campaign_id(transaction: TransactionFactory) -> int:
    with transaction() as tx:
        many_readers(tx, READERS, list_id=a_list(tx))
        return ordered(tx)


def planned(tx: Transaction, campaign_id: int) -> tuple[int, bool]:
    """How many so far, and whether that is all."""
    found = tx.session.scalars(
        select(Campaign).where(Campaign.id == campaign_id).execution_options(populate_existing=True)
    ).one()
    return len(statuses(tx, campaign_id)), found.planned_at is not None


def test_the_first_part_is_sent_while_others_are_planned(
    transaction: TransactionFactory, clock: FrozenClock, campaign_id: int
) -> None:
    with transaction() as tx:
        assert planned(tx, campaign_id) == (5, False)
        assert campaign_status(tx, campaign_id) is CampaignStatus.SENDING
    sender = a_sender(transaction, clock)
    while send_due(sender):
        pass
    assert sorted(accepted_by(sender)) == sorted(f"reader-{n}@many.example" for n in range(1, READERS + 1))
    with transaction() as tx:
        assert planned(tx, campaign_id) == (READERS, True)
        report = get_campaign_report(tx, campaign_id)
        assert report is not None
        assert (report.audience, sum(report.buckets.values())) == (READERS, READERS)


@pytest.mark.parametrize("readers", [4, 5, 6, 10])
def test_the_last_part_may_be_full_short_or_empty(
    transaction: TransactionFactory, clock: FrozenClock, readers: int
) -> None:
    with transaction() as tx:
        many_readers(tx, readers, list_id=a_list(tx))
        campaign_id = ordered(tx)
    sender = a_sender(transaction, clock)
    while send_due(sender):
        pass
    assert len(accepted_by(sender)) == readers
    with transaction() as tx:
        assert planned(tx, campaign_id) == (readers, True)
        assert dispatching.sweep(tx).finished == [campaign_id]


def test_a_campaign_is_not_done_before_all_of_it_is_planned(transaction: TransactionFactory, campaign_id: int) -> None:
    with transaction() as tx:
        tx.session.execute(text("UPDATE deliveries SET status = 'accepted', finished_at = now()"))
        swept = dispatching.sweep(tx)
        assert swept.finished == []
        assert [lane.value for lane in swept.woken] == ["bulk"], "somebody has to plan the others"


def test_a_part_of_which_nobody_may_be_mailed_holds_up_nobody(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        many_readers(tx, READERS, list_id=a_list(tx))
        for number in range(1, 13):
            a_suppression(tx, f"reader-{number}@many.example", SuppressionReason.COMPLAINT)
        campaign_id = ordered(tx)
    sender = a_sender(transaction, clock)
    while send_due(sender):
        pass
    assert sorted(accepted_by(sender)) == sorted(f"reader-{n}@many.example" for n in range(13, READERS + 1))
    with transaction() as tx:
        assert planned(tx, campaign_id) == (READERS, True)
        assert list(statuses(tx, campaign_id).values()).count("skipped suppressed") == 12


def test_a_pause_stops_the_planning_too_and_it_goes_on_with_the_rest(
    transaction: TransactionFactory, clock: FrozenClock, campaign_id: int
) -> None:
    sender = a_sender(transaction, clock)
    with transaction() as tx:
        campaigning.pause_campaign(tx, campaign_id, by="ada")
    assert send_due(sender) == 0
    with transaction() as tx:
        assert planned(tx, campaign_id) == (5, False)
        campaigning.resume_campaign(tx, campaign_id, by="ada")
    while send_due(sender):
        pass
    assert len(accepted_by(sender)) == READERS


def test_a_cancelled_campaign_plans_nobody_else(
    transaction: TransactionFactory, clock: FrozenClock, campaign_id: int
) -> None:
    with transaction() as tx:
        campaigning.cancel_campaign(tx, campaign_id, by="ada")
    sender = a_sender(transaction, clock)
    assert send_due(sender) == 0
    with transaction() as tx:
        assert set(statuses(tx, campaign_id).values()) == {"cancelled"}
        assert len(statuses(tx, campaign_id)) == 5
        assert dispatching.sweep(tx).woken == []


def test_a_campaign_whose_time_is_over_plans_nobody_else(
    transaction: TransactionFactory, clock: FrozenClock, campaign_id: int
) -> None:
    with transaction() as tx:
        tx.session.execute(text("UPDATE campaigns SET expire_after = 2"))
    clock.advance(hours=3)
    with transaction() as tx:
        watching.expire_campaigns(tx)
        assert planned(tx, campaign_id) == (5, True)
        assert set(statuses(tx, campaign_id).values()) == {"skipped expired"}
        assert dispatching.sweep(tx).finished == [campaign_id]


def test_another_campaign_is_not_kept_waiting_by_one_that_is_planned(
    transaction: TransactionFactory, clock: FrozenClock, campaign_id: int
) -> None:
    with transaction() as tx:
        other = a_campaign(tx, name="Another")
        campaigning.order_campaign(tx, other, by="ada")
        campaigning.plan_campaign(tx, other)
    sender = a_sender(transaction, clock)
    while send_due(sender):
        pass
    assert sorted(accepted_by(sender)) == sorted([f"reader-{n}@many.example" for n in range(1, READERS + 1)] * 2)
