"""`milepost consent verify` and `restored`, as an operator runs them on a database of its own."""

from collections.abc import Iterator

import pytest

from service.demo.servers import Postgres
from service.settings import Settings
from tests.cli.conftest import Milepost
from tests.usecases.ledgers import Ledger, a_ledger

pytestmark = pytest.mark.requirement("D-01")


@pytest.fixture
def ledger(installation: Settings, fresh_database: tuple[str, str], postgres: Postgres) -> Iterator[Ledger]:
    with a_ledger(fresh_database, postgres.url(), installation.state_dir) as ledger:
        ledger.reader()
        ledger.seal()
        ledger.reader()
        ledger.seal()
        yield ledger


def test_an_intact_ledger(ledger: Ledger, milepost: Milepost) -> None:
    ran = milepost("consent", "verify", "--progress")
    assert ran.code == 0, ran.out + ran.err
    assert "6 events of 2 readers, 1 wordings, 2 checkpoints over 6 events." in ran.out
    assert "Intact" in ran.out
    document = milepost("consent", "verify", "--json").document
    assert (document["intact"], document["events"], document["faults"], document["first"]) == (True, 6, 0, None)


def test_the_first_bad_record_is_named(ledger: Ledger, milepost: Milepost) -> None:
    event = ledger.event(ledger.readers[1], 2)
    ledger.tamper("UPDATE consent_events SET actor = 'subscribes' WHERE id = :id", id=event.id)
    ran = milepost("consent", "verify")
    assert ran.code == 1
    assert f"event_changed: event {event.id}, record {event.record_id}, reader {ledger.readers[1]}" in ran.out
    assert "a column was changed afterwards" in ran.out
    ran = milepost("consent", "verify", "--json")
    assert ran.code == 1
    first = ran.document["first"]
    assert {
        name: first[name] for name in ("kind", "event_id", "record_id", "subject", "seq", "position", "checkpoint")
    } == {
        "kind": "event_changed",
        "event_id": event.id,
        "record_id": str(event.record_id),
        "subject": ledger.readers[1],
        "seq": 2,
        "position": 4,
        "checkpoint": 2,
    }


def test_many_faults_are_counted(ledger: Ledger, milepost: Milepost) -> None:
    for _ in range(4):
        ledger.reader()
    ledger.tamper("UPDATE consent_events SET mac = hash")
    ran = milepost("consent", "verify")
    assert "NOT INTACT: 18 faults" in ran.out
    assert "and 7 more; --json shows the first 18." in ran.out


def test_a_restore_is_recorded(ledger: Ledger, milepost: Milepost) -> None:
    refused = milepost("consent", "restored", "--reason", "The disk died.")
    assert refused.code == 1
    assert "nothing was recorded" in refused.err
    ledger.tamper(
        "DELETE FROM event_seals WHERE position >= 3",
        "DELETE FROM consent_events WHERE subscriber_id = :reader",
        "DELETE FROM subscriptions WHERE subscriber_id = :reader",
        "DELETE FROM checkpoints WHERE number = 2",
        reader=ledger.readers[1],
    )
    assert "checkpoint_missing" in milepost("consent", "verify").out
    done = milepost("consent", "restored", "--reason", "The disk died.", "--operator", "grace")
    assert "Checkpoint 3: the ledger goes on from 3 events; the file knew 6." in done.out, done.err
    ran = milepost("consent", "verify")
    assert ran.code == 0, ran.out
    assert "grace put the ledger back from 6 to 3 events: The disk died." in ran.out


def test_a_restore_needs_a_reason(ledger: Ledger, milepost: Milepost) -> None:
    assert milepost("consent", "restored").code == 2
    ledger.tamper("DELETE FROM checkpoints WHERE number = 2")
    ran = milepost("consent", "restored", "--reason", "x", "--json")
    assert (ran.code, ran.document["error"]["code"]) == (1, "reason_missing")
    assert len(list(ledger.file.lines())) == 2
