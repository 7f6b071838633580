"""What operators see of trouble: in `status`, `doctor` and a campaign's report, until it is over."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from service.bootstrap import SystemClock
from service.domain.breaker import NORMAL, Tally
from service.domain.deliveries import decide_result
from service.domain.outcomes import Outcome, Phase
from service.domain.relay_watch import Trouble, TroubleKind
from service.domain.smtp_replies import decide_fate
from service.domain.tokens import Keys
from service.domain.words import Lane
from service.settings import Settings
from service.store import claims, worker_processes
from service.store import engine as store_engine
from service.store.transaction import Transaction, TransactionFactory, factory
from service.usecases import campaigning, watching
from service.usecases.steps.watching import note_results
from tests.builders import a_campaign, a_list, many_readers
from tests.cli.conftest import Milepost
from tests.conftest import HintList

WORKER = uuid.UUID(int=7)
SILENT = Trouble(TroubleKind.SILENT, "mail.example:587", Phase.EOM, None, "", timedelta(seconds=12))
REFUSING = Trouble(
    TroubleKind.REFUSING, "mail.example:587", Phase.AUTH, 535, "5.7.8 bad password", timedelta(seconds=3)
)


@pytest.fixture
def transaction(house: Settings) -> Iterator[TransactionFactory]:
    engine = store_engine.create(house.database_url, "test")
    yield factory(engine, SystemClock(), HintList())
    engine.dispose()


@pytest.fixture
def worker(house: Settings, transaction: TransactionFactory) -> uuid.UUID:
    with transaction() as tx:
        worker_processes.add_worker_process(tx, WORKER, lane=Lane.BULK, host="sender-1", pid=7)
    return WORKER


def under_way(tx: Transaction, readers: int = 40) -> int:
    list_id = a_list(tx)
    many_readers(tx, readers, list_id=list_id)
    campaign_id = a_campaign(tx, list_id=list_id)
    campaigning.order_campaign(tx, campaign_id, by="ada")
    campaigning.plan_campaign(tx, campaign_id)
    return campaign_id


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (SILENT, "mail.example:587 does not answer (mails are under way); seen on sender-1"),
        (REFUSING, "mail.example:587 cannot be used (auth: 535 5.7.8 bad password); seen on sender-1"),
    ],
)
def test_a_relay_that_does_not_answer_is_seen_until_it_does(
    milepost: Milepost, worker: uuid.UUID, transaction: TransactionFactory, trouble: Trouble, said: str
) -> None:
    with transaction() as tx:
        watching.record_beat(tx, worker, trouble)
    ran = milepost("status")
    assert "relay not answering since 20" in ran.out
    assert said in ran.out
    assert "no attempt is used up" in ran.err
    [down] = milepost("status", "--json").document["relays_not_answering"]
    assert (down["relay"], down["phase"], down["code"]) == (trouble.relay, trouble.phase, trouble.code)
    [fault] = [f for f in milepost("doctor", "--json").document["findings"] if f["check"] == "relay at work"]
    assert (fault["verdict"], "MILEPOST_RELAY_PASSWORD" in fault["remedy"]) == ("fault", True)
    with transaction() as tx:
        watching.record_beat(tx, worker, None)
    assert "not answering" not in milepost("status").out
    assert milepost("status", "--json").document["relays_not_answering"] == []


def test_a_campaign_that_paused_itself_says_why_and_what_to_do(
    milepost: Milepost, worker: uuid.UUID, transaction: TransactionFactory
) -> None:
    with transaction() as tx:
        campaign_id = under_way(tx)
        [held_id, *_] = claims.claim(
            tx, worker_id=worker, lane=Lane.BULK, campaign_id=campaign_id, limit=3, message_host="h", fingerprint=bytes
        ).ids
        outcome = Outcome(held_id, Phase.EOM, 550, "5.7.1", "looks like spam", "mail.example:587")
        verdict = decide_fate(outcome)
        result = decide_result(outcome, verdict, lane=Lane.BULK, attempts=0, jitter=0.0)
        claims.record_results(tx, worker, [result])
        note_results(tx, {campaign_id: Tally(answered=30, refused=30, failed=30)}, NORMAL)
    ran = milepost("campaign", "show", campaign_id)
    assert "paused, 30 of 30 mails were refused for good because of what they say" in ran.out
    assert "paused by milepost" in ran.out
    assert f"2 held by worker {worker} on sender-1" in ran.out
    assert "1 give_up: 550 5.7.1 looks like spam" in ran.out
    document = milepost("campaign", "status", campaign_id, "--json").document
    assert (document["changed_by"], sum(document["buckets"].values())) == ("milepost", document["audience"])
    assert [(each["number"], each["host"], each["beats"]) for each in document["held"]] == [(2, "sender-1", True)]
    assert [(each["number"], each["code"]) for each in document["said"]] == [(1, 550)]
    [paused] = milepost("status", "--json").document["paused_by_milepost"]
    assert (paused["campaign_id"], paused["cause"], paused["left"]) == (campaign_id, "refused", 39)
    found = [f for f in milepost("doctor", "--json").document["findings"] if f["check"] == f"campaign {campaign_id}"]
    assert [(f["verdict"], f["remedy"]) for f in found] == [("warning", f"milepost campaign show {campaign_id}")]
    assert "milepost" in milepost("campaign", "list").out
    assert milepost("campaign", "cancel", campaign_id, "--json").document["status"] == "cancelled"
    assert milepost("status", "--json").document["paused_by_milepost"] == []


def test_the_report_says_how_fast_it_goes_and_how_long_still(
    milepost: Milepost, house: Settings, transaction: TransactionFactory
) -> None:
    with transaction() as tx:
        campaign_id = under_way(tx, 100)
        tx.session.execute(text("UPDATE campaigns SET ordered_at = now() - interval '10 seconds', planned_at = now()"))
        tx.session.execute(
            text(
                "UPDATE deliveries SET status = 'accepted', finished_at = now() "
                "WHERE id IN (SELECT id FROM deliveries LIMIT 50)"
            )
        )
    document = milepost("campaign", "status", campaign_id, "--json").document
    assert 2 < document["per_second"] <= 5.5
    assert 9 <= document["seconds_left"] <= 25
    assert "a second; about 0:00:" in milepost("campaign", "status", campaign_id).out


@pytest.mark.parametrize(
    ("addresses", "verdict", "said"),
    [
        ("", "warning", "nobody is mailed"),
        ("ops@fjellsko.example", "ok", "1 are told"),
        ("ops@fjellsko.example,dead@fjellsko.example", "warning", "number 2 is suppressed"),
    ],
)
def test_doctor_says_whether_anybody_would_be_told(
    milepost: Milepost,
    house: Settings,
    transaction: TransactionFactory,
    monkeypatch: pytest.MonkeyPatch,
    addresses: str,
    verdict: str,
    said: str,
) -> None:

    with transaction() as tx:
        tx.session.execute(
            text("INSERT INTO suppressions (address_hmac, reason, source) VALUES (:hmac, 'permanent_bounce', 'test')"),
            {"hmac": Keys(house.secret_key).address_hmac("dead@fjellsko.example")},
        )
    monkeypatch.setenv("MILEPOST_OPERATORS_MAIL", addresses)
    [found] = [f for f in milepost("doctor", "--json").document["findings"] if f["check"] == "mail to operators"]
    assert (found["verdict"], said in found["message"]) == (verdict, True)


def test_an_address_that_is_none_stops_the_start(
    milepost: Milepost, house: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILEPOST_OPERATORS_MAIL", "ops@")
    ran = milepost("status", "--json")
    assert ran.code == 3
    assert "MILEPOST_OPERATORS_MAIL" in ran.document["error"]["message"]
