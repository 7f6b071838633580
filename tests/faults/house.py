"""Every process of an installation, real and separate, so that any of them can be killed: a database and a Valkey of
their own, Celery workers, beat, web, and a sink that notes whom it has taken.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import Engine, text

from service.bootstrap import SystemClock
from service.demo.servers import Postgres, Valkey, free_port
from service.domain.words import CampaignStatus, DeliveryStatus
from service.store import engine as store_engine
from service.store import migrate, watches
from service.store.reports import CampaignReport, get_campaign_report
from service.store.transaction import TransactionFactory, factory
from service.taskqueue import CeleryTaskQueue
from service.usecases import campaigning
from tests.builders import a_campaign, a_list, many_readers

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 200.0

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

WAL_IS_WRITTEN = ("fsync=off", "full_page_writes=off")
"""Survives `kill -9` of PostgreSQL. Not synchronous_commit=off: its last commits are still in memory then."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A message as a relay noted it; times are Unix times."""

    recipient: str
    message_id: str
    at: float
    began_at: float
    connection: int
    helo: str


class FaultHouse:
    """Started by `fault_house`.

    Process names: bulk, interactive, inbound, beat, web, sink or relay, valkey, postgres. More than one of a kind:
    bulk-2 and so on. `settings` are added to those of the house.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str] = NO_SETTINGS) -> None:
        self.settings = settings
        self.directory = directory
        self.root = ROOT
        self.postgres = Postgres(directory / "postgres", WAL_IS_WRITTEN)
        self.valkey = Valkey(directory / "valkey")
        self.taken_file = directory / "taken"
        self.sink_port, self.web_port = free_port(), free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment: dict[str, str] = {}
        self.engine: Engine
        self.transaction: TransactionFactory

    def prepare(self) -> None:
        self.postgres.start()
        self.valkey.start()
        owner, app = migrate.create_roles(self.postgres.url(), "milepost", "owner-pass", "app-pass")
        migrate.upgrade(owner)
        settings = {
            "environment": "demo",
            "database_url": app,
            "redis_url": self.valkey.url,
            "secret_key": "b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu",
            "state_dir": str(self.directory / "state"),
            "public_url": f"http://localhost:{self.web_port}",
            "site_url": "http://localhost:8026",
            "controller_name": "Fjellsko Sport AS",
            "controller_address": "Loypa 1, 0000 Fjellby, Norway",
            "controller_contact": "privacy@fjellsko.example",
            "sender_name": "Fjellsko Training Hub",
            "sender_address": "training@fjellsko.example",
            "relay_host": "127.0.0.1",
            "relay_port": str(self.sink_port),
            "relay_tls": "none",
            "processors_file": str(ROOT / "service/demo/processors.toml"),
            "helo_name": "localhost",
            "signup_check_dns": "false",
            "log_format": "console",
            **self.settings,
        }
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MILEPOST_")}
        self.environment = clean | {f"MILEPOST_{name.upper()}": value for name, value in settings.items()}
        self.engine = store_engine.create(app, "fault tests")
        self.transaction = factory(self.engine, SystemClock(), CeleryTaskQueue(self.valkey.url))

    # Processes

    def start(self, *names: str, sink: Sequence[str] = ()) -> None:
        """`sink`: further arguments of the sink."""
        for name in names:
            if name in ("postgres", "valkey"):
                getattr(self, name).start()
                continue
            with (self.directory / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    self.command(name, sink), env=self.environment, cwd=self.root, stdout=log, stderr=log
                )

    def command(self, name: str, sink: Sequence[str] = ()) -> list[str]:
        if name in ("sink", "relay"):
            return [sys.executable, "-m", f"tests.faults.{name}", str(self.sink_port), str(self.taken_file), *sink]
        if name == "web":
            serve = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--port", str(self.web_port)]
            return [*serve, "service.web.app:from_environment"]
        celery = [sys.executable, "-m", "celery", "-A", "workers.app"]
        if name == "beat":
            return [*celery, "beat", "-s", str(self.directory / "beat-schedule"), "--pidfile="]
        options = [
            "-P",
            "solo",
            "-Q",
            name.partition("-")[0],
            "-n",
            f"{name}@%h",
            "--without-gossip",
            "--without-mingle",
        ]
        return [*celery, "worker", *options]

    def kill(self, name: str) -> None:
        """kill -9, and wait until it is gone."""
        server = getattr(self, name).process if name in ("postgres", "valkey") else self.processes.pop(name)
        server.send_signal(signal.SIGKILL)
        server.wait()

    def stop(self, name: str) -> None:
        """As an operator does: SIGTERM, and wait until it has gone by itself."""
        process = self.processes.pop(name)
        process.terminate()
        assert process.wait(timeout=30) == 0, self.log(name)[-2000:]

    def stop_all(self) -> None:
        self.engine.dispose()
        last = ("web", "sink", "relay")
        for name in sorted(self.processes, key=lambda name: (name in last, name != "beat")):
            self.processes[name].terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.valkey.stop()
        self.postgres.stop()

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def run(self, *words: str) -> str:
        """`milepost …`, and what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "service", *words],
            env=self.environment,
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout + done.stderr

    # What happened

    def a_campaign_to(self, readers: int) -> int:
        with self.transaction() as tx:
            list_id = a_list(tx)
            many_readers(tx, readers, list_id=list_id)
            campaign_id = a_campaign(tx, list_id=list_id)
            campaigning.order_campaign(tx, campaign_id, by="ada")
        return campaign_id

    def report(self, campaign_id: int) -> CampaignReport:
        with self.transaction() as tx:
            report = get_campaign_report(tx, campaign_id)
        assert report is not None
        assert sum(report.buckets.values()) == report.audience  # invariant 8, at every moment
        return report

    def taken(self) -> list[str]:
        """Recipients in the order in which the sink took their messages."""
        return [recipient for recipient, _, _ in self.taken_lines()]

    def relay_is(self, mode: str) -> None:
        """What `tests.faults.relay` is like from now on."""
        place = self.taken_file.with_name(f"{self.taken_file.name}.mode")
        part = place.with_name(f"{place.name}.part")
        part.write_text(mode)
        part.replace(place)
        self.wait_until(f"the relay is {mode}", lambda: self.log("relay").splitlines()[-1:] == [f"now {mode}"])

    def messages(self) -> list[Taken]:
        """What `tests.faults.relay` has noted, in order."""
        if not self.taken_file.exists():
            return []
        whole, _, _ = self.taken_file.read_text().rpartition("\n")
        return [
            Taken(recipient, message_id, float(at), float(began_at), int(connection), helo)
            for recipient, message_id, at, began_at, connection, helo in map(str.split, whole.splitlines())
        ]

    def taken_lines(self) -> list[tuple[str, str, float]]:
        """Recipient, Message-ID and time of each message that the sink took."""
        if not self.taken_file.exists():
            return []
        whole, _, _ = self.taken_file.read_text().rpartition(
            "\n"
        )  # the last line may be in the middle of being written
        lines = (line.split()[:3] for line in whole.splitlines())
        return [(recipient, message_id, float(at)) for recipient, message_id, at in lines]

    def by_status(self, campaign_id: int) -> dict[DeliveryStatus, set[str]]:
        found: dict[DeliveryStatus, set[str]] = {status: set() for status in DeliveryStatus}
        with self.engine.connect() as connection:
            rows = connection.execute(
                text(
                    "SELECT d.status, s.address FROM deliveries d JOIN subscribers s ON s.id = d.subscriber_id "
                    "WHERE d.campaign_id = :id"
                ),
                {"id": campaign_id},
            )
            for status, address in rows:
                found[DeliveryStatus(status)].add(address)
        return found

    def wait_until(self, what: str, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not condition():
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended or time.monotonic() > end:
                logs = "\n".join(f"--- {name}\n{self.log(name)[-3000:]}" for name in ended or self.processes)
                why = f"{', '.join(ended)} ended" if ended else f"not within {seconds:.0f} s"
                raise AssertionError(f"{why}: {what}\n{logs}")
            time.sleep(0.05)

    def wait_until_sent(self, campaign_id: int, seconds: float = PATIENCE) -> CampaignReport:
        self.wait_until("the campaign is sent", lambda: self.report(campaign_id).status is CampaignStatus.SENT, seconds)
        return self.report(campaign_id)

    def assert_nobody_twice_nobody_missing(self, campaign_id: int, *, uncertain_at_most: int) -> None:
        """Sink and table, recipient by recipient."""
        counts = Counter(self.taken())
        assert {address: n for address, n in counts.items() if n > 1} == {}
        statuses = self.by_status(campaign_id)
        accepted, uncertain = statuses[DeliveryStatus.ACCEPTED], statuses[DeliveryStatus.UNCERTAIN]
        assert accepted <= counts.keys(), "accepted, and the sink knows nothing of it"
        assert counts.keys() - accepted <= uncertain, "taken, and we do not know that it may be"
        assert len(uncertain) <= uncertain_at_most
        others = {status for status, people in statuses.items() if people}
        assert others <= {DeliveryStatus.ACCEPTED, DeliveryStatus.UNCERTAIN}


@contextmanager
def fault_house(directory: Path, settings: Mapping[str, str] = NO_SETTINGS) -> Iterator[FaultHouse]:
    house = FaultHouse(directory, settings)
    try:
        house.prepare()
        yield house
    finally:
        house.stop_all()


def is_seen(house: FaultHouse) -> bool:
    """That the relay is not answering, by what `milepost status` reads; to start that takes a busy machine seconds."""
    with house.transaction() as tx:
        return bool(watches.list_relays_down(tx))


def drop_everything_in(valkey: Valkey) -> None:
    import redis

    with redis.Redis(port=valkey.port, password=valkey.password) as client:
        client.flushall()
