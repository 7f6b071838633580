"""`milepost doctor`: one line per part, the remedy beside each fault, exit 4 while there is one."""

import socket
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from sqlalchemy import Engine, create_engine, text

from service.demo.servers import Postgres, Valkey, free_port
from service.settings import Settings
from tests.cli.conftest import Milepost
from tests.conftest import FrozenClock
from tests.usecases.ledgers import a_ledger


@pytest.fixture
def relay() -> Iterator[int]:
    """A real SMTP server on loopback; its port."""
    controller = Controller(Sink(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller.port
    controller.stop()


@pytest.fixture
def owner(house: Settings) -> Iterator[Engine]:
    assert house.owner_database_url
    engine = create_engine(house.owner_database_url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture
def healthy(house: Settings, owner: Engine, valkey: Valkey, relay: int, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Everything an installation needs; the workers are heartbeats only."""
    monkeypatch.setenv("MILEPOST_REDIS_URL", valkey.url)
    monkeypatch.setenv("MILEPOST_RELAY_PORT", str(relay))
    monkeypatch.setenv("MILEPOST_OPERATORS_MAIL", "ops@fjellsko.example")
    for lane in ("interactive", "bulk", "inbound"):
        add_worker(owner, lane, datetime.now(UTC))
    return house


def add_worker(owner: Engine, lane: str, beat_at: datetime) -> str:
    worker_id = str(uuid.uuid4())
    with owner.connect() as connection:
        connection.execute(
            text("INSERT INTO worker_processes (id, lane, host, pid, beat_at) VALUES (:i, :l, 'sender-1', 7, :b)"),
            {"i": worker_id, "l": lane, "b": beat_at},
        )
    return worker_id


def faults(ran: Any) -> dict[str, dict[str, Any]]:
    return {f["check"]: f for f in ran.document["findings"] if f["verdict"] == "fault"}


def test_a_healthy_installation(milepost: Milepost, healthy: Settings) -> None:
    ran = milepost("doctor", "--json")
    assert ran.code == 0, ran.out
    assert ran.document["healthy"] is True
    assert {f["check"] for f in ran.document["findings"]} == {
        "settings", "state_dir", "database", "database role", "migrations", "redis", "relay", "ledger", "wordings",
        "worker interactive", "worker bulk", "worker inbound", "held sign-ups", "sources",
        "may serve", "privacy requests", "relay at work", "mail to operators", "dkim",
    }  # fmt: skip
    said = milepost("doctor")
    assert said.code == 0
    assert "! dkim: mails leave without a signature" in said.out
    milepost("dkim", "new")
    milepost("dkim", "rotate", "--published")
    assert "✓ dkim: mp" in milepost("doctor").out
    assert said.out.count("✓") == 18


def test_what_is_down_is_named_with_its_remedy(milepost: Milepost, house: Settings) -> None:
    ran = milepost("doctor", "--json")
    assert ran.code == 4
    found = faults(ran)
    assert set(found) == {"redis", "relay", "worker interactive", "worker bulk", "worker inbound"}
    assert "MILEPOST_REDIS_URL" in found["redis"]["remedy"]
    assert "MILEPOST_RELAY_PORT" in found["relay"]["remedy"]
    assert found["worker bulk"]["remedy"] == "milepost worker --lane bulk"
    said = milepost("doctor")
    assert said.code == 4
    assert "✗ worker bulk: none at work\n    → milepost worker --lane bulk" in said.out


def test_both_relays_are_tried(milepost: Milepost, house: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILEPOST_RELAY2_HOST", "127.0.0.1")
    monkeypatch.setenv("MILEPOST_RELAY2_PORT", "2")
    monkeypatch.setenv("MILEPOST_RELAY2_TLS", "none")
    found = faults(milepost("doctor", "--json"))
    assert "127.0.0.1:2 cannot be reached" in found["relay2"]["message"]
    assert "MILEPOST_RELAY2_PORT" in found["relay2"]["remedy"]
    assert "MILEPOST_RELAY_PORT" in found["relay"]["remedy"]


def test_faulty_settings_end_the_examination(milepost: Milepost, bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILEPOST_WEB_PORT", "99999")
    ran = milepost("doctor", "--json")
    assert ran.code == 4
    (finding,) = ran.document["findings"]
    assert "MILEPOST_WEB_PORT" in finding["message"]


def test_a_database_that_is_away(milepost: Milepost, healthy: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILEPOST_DATABASE_URL", "postgresql://milepost_app:hush@127.0.0.1:1/milepost")
    ran = milepost("doctor", "--json")
    assert ran.code == 4
    assert set(faults(ran)) == {"database"}
    assert "hush" not in ran.out


def test_a_serving_role_that_may_too_much(
    milepost: Milepost, healthy: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert healthy.owner_database_url
    monkeypatch.setenv("MILEPOST_DATABASE_URL", healthy.owner_database_url)
    finding = faults(milepost("doctor", "--json"))["database role"]
    assert "milepost_owner owns" in finding["message"]
    monkeypatch.setenv("MILEPOST_DATABASE_URL", healthy.owner_database_url.replace("milepost_owner", "postgres"))
    assert "postgres is a superuser" in faults(milepost("doctor", "--json"))["database role"]["message"]


def test_migrations_that_wait(milepost: Milepost, healthy: Settings, owner: Engine) -> None:
    with owner.connect() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    finding = faults(milepost("doctor", "--json"))["migrations"]
    assert finding["remedy"] == "milepost migrate"
    assert "0002" in finding["message"]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("GRANT UPDATE ON consent_events TO milepost_app", "may UPDATE consent_events"),
        ("GRANT TRUNCATE ON notices TO milepost_app", "may TRUNCATE notices"),
        ("REVOKE INSERT ON consent_events FROM milepost_app", "may not INSERT consent_events"),
    ],
)
def test_a_ledger_that_is_not_append_only(
    milepost: Milepost, healthy: Settings, owner: Engine, statement: str, said: str
) -> None:
    with owner.connect() as connection:
        connection.execute(text(statement))
    assert said in faults(milepost("doctor", "--json"))["ledger"]["message"]


def test_events_that_nobody_seals(
    milepost: Milepost, healthy: Settings, fresh_database: tuple[str, str], postgres: Postgres
) -> None:
    half_an_hour_ago = FrozenClock(datetime.now(UTC) - timedelta(minutes=30))
    with a_ledger(fresh_database, postgres.url(), healthy.state_dir, half_an_hour_ago) as ledger:
        ledger.reader()
        found = faults(milepost("doctor", "--json"))
        assert "3 events are under no checkpoint" in found["sealing"]["message"]
        ledger.seal()
        ledger.clock.advance(minutes=28)
        ledger.append(ledger.readers[0])
        assert faults(milepost("doctor", "--json")) == {}
        ledger.tamper("UPDATE consent_events SET mac = hash WHERE seq = 4")
        said = faults(milepost("doctor", "--json"))["sealing"]["message"]
        assert f"Event {ledger.event(ledger.readers[0], 4).id} " in said, "an event that sealing stops at is named"


def test_words_that_nobody_published(
    milepost: Milepost, installation: Settings, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = faults(milepost("doctor", "--json"))["wordings"]
    for missing in ("statement digest/en", "statement offers/de", "notice de"):
        assert missing in finding["message"]
    assert finding["remedy"] == "milepost migrate"


def test_a_silent_worker_is_a_warning_with_the_way_out(milepost: Milepost, healthy: Settings, owner: Engine) -> None:
    silent = add_worker(owner, "bulk", datetime.now(UTC) - timedelta(minutes=5))
    ran = milepost("doctor", "--json")
    assert ran.code == 0, "another worker of that lane is at work"
    (warning,) = (f for f in ran.document["findings"] if f["verdict"] == "warning" and f["check"] != "dkim")
    assert silent in warning["message"]
    assert f"milepost worker lost {silent}" in warning["remedy"]


def test_a_source_in_trouble_is_a_warning(milepost: Milepost, healthy: Settings, owner: Engine) -> None:
    with owner.connect() as connection:
        connection.execute(
            text(
                "INSERT INTO sources (slug, list_id, location, error, failed_at) "
                "SELECT 'blog', id, 'https://blog.example/feed', 'It answered 500.', now() FROM lists LIMIT 1"
            )
        )
    ran = milepost("doctor", "--json")
    assert ran.code == 0
    (warning,) = (f for f in ran.document["findings"] if f["verdict"] == "warning" and f["check"] != "dkim")
    assert (warning["check"], warning["message"]) == ("source blog", "It answered 500.")


def test_a_state_directory_that_cannot_be_written(
    milepost: Milepost, healthy: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILEPOST_STATE_DIR", "/proc/milepost")
    finding = faults(milepost("doctor", "--json"))["state_dir"]
    assert "/proc/milepost" in finding["message"]


def test_a_worker_of_this_host_is_alive(milepost: Milepost, house: Settings, owner: Engine) -> None:
    """The health check of the containers: another host's worker says nothing about this one."""
    add_worker(owner, "bulk", datetime.now(UTC))
    assert milepost("worker", "alive", "--lane", "bulk").code == 4
    with owner.connect() as connection:
        connection.execute(text("UPDATE worker_processes SET host = :h"), {"h": socket.gethostname()})
    assert milepost("worker", "alive", "--lane", "bulk", "--json").document == {"alive": True, "processes": [7]}
    ran = milepost("worker", "alive", "--lane", "interactive")
    assert ran.code == 4
    assert "No worker of the lane interactive" in ran.err


def test_status_counts_and_lists_workers(milepost: Milepost, house: Settings, owner: Engine) -> None:
    worker_id = add_worker(owner, "bulk", datetime.now(UTC))
    document = milepost("status", "--json").document
    assert document["subscribers"] == 0
    assert [worker["id"] for worker in document["workers"]] == [worker_id]
    said = milepost("status").out
    assert worker_id in said
    assert "consent events" in said
