"""Real servers once per test process, a database of its own, and a savepoint around each test that wants one."""

import functools
import io
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jinja2 import BytecodeCache, environment
from jinja2.bccache import Bucket
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.orm import Session

from service import egress
from service.demo.servers import FAST_AND_UNSAFE, Postgres, Valkey
from service.domain.contexts import Circumstances
from service.domain.letters import Publisher
from service.domain.words import Lane
from service.mail import render, writer
from service.ports import Clock, Hint
from service.settings import Settings, load
from service.store import engine as store_engine
from service.store import migrate
from service.store.transaction import Transaction, TransactionFactory, factory
from service.usecases import wording
from service.usecases.wording import NOTHING_STATED
from service.web import pages

ROOT = Path(__file__).parent.parent

# Every test runs under the guard: what reaches for another machine, or asks a name server, fails (D-31).
egress.install((), loopback=True)

# Templates do not change while tests run: read and compiled once a process, not once for each of a thousand containers.
for _module, _name in ((writer, "Catalogue"), (writer, "Renderer"), (pages, "Catalogue")):
    setattr(_module, _name, functools.cache(getattr(_module, _name)))
render.Renderer.computed = functools.cache(render.Renderer.computed)  # type: ignore[method-assign]


class Compiled(BytecodeCache):
    """Known by a template's name and source, as jinja2 keeps them in files."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if kept := self._kept.get(bucket.key):
            bucket.load_bytecode(io.BytesIO(kept))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key] = bucket.bytecode_to_string()


pages.Environment = functools.partial(environment.Environment, bytecode_cache=Compiled())  # type: ignore[misc]


# What takes minutes begins first, so that no worker is left alone with it; what mostly waits begins before what works.
LONGEST = (
    *("test_relay_outages", "test_kill_nine", "test_campaign_deaths", "test_fresh_clone", "test_operators_are_told"),
    *("test_erasure_leaves_no_trace", "test_gate", "test_accessibility", "test_servers_deaths", "test_supervisor"),
    *("test_mails_of_a_demo_run", "test_demo_once", "test_network_namespace", "test_services", "test_two_hosts"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


class FrozenClock:
    """Time that moves only when a test says so."""

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now or datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def advance(self, **delta: float) -> None:
        self._now += timedelta(**delta)


class HintList:
    """A task queue that remembers; what Redis would have been told."""

    def __init__(self) -> None:
        self.hints: list[tuple[Hint, Lane, tuple[int, ...]]] = []

    def hint(self, hint: Hint, lane: Lane, *ids: int) -> None:
        self.hints.append((hint, lane, ids))


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="milepost-test-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def postgres(servers_dir: Path) -> Iterator[Postgres]:
    server = Postgres(servers_dir / "postgres", FAST_AND_UNSAFE)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey(servers_dir: Path) -> Iterator[Valkey]:
    server = Valkey(servers_dir / "valkey")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> tuple[str, str]:
    """The URLs (owner, app) of a migrated, empty database that others are copied from."""
    owner, app = migrate.create_roles(postgres.url(), "template_milepost", "owner-pass", "app-pass")
    migrate.upgrade(owner)
    return owner, app


_numbers = itertools.count()


@contextmanager
def database_copy(postgres: Postgres, template: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """A database of its own: (owner URL, app URL). For tests that commit, start processes, or break things."""
    name = f"milepost_{os.getpid()}_{next(_numbers)}"
    admin = create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
    of = make_url(template[0]).database or ""
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} OWNER milepost_owner TEMPLATE {of} STRATEGY FILE_COPY"))
    yield tuple(url.replace(of, name) for url in template)  # type: ignore[misc]
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def fresh_database(postgres: Postgres, template: tuple[str, str]) -> Iterator[tuple[str, str]]:
    with database_copy(postgres, template) as urls:
        yield urls


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    engine = store_engine.create(url, "tests")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def empty_engine(postgres: Postgres, template: tuple[str, str]) -> Iterator[Engine]:
    with database_copy(postgres, template) as (_, app), engine_of(app) as engine:
        yield engine


@pytest.fixture(scope="session")
def shared_engine(empty_engine: Engine) -> Engine:
    """As role `app`, like the product; shared by the savepoint tests, which leave nothing behind."""
    return empty_engine


@contextmanager
def published(
    postgres: Postgres,
    template: tuple[str, str],
    publisher: Publisher,
    circumstances: Circumstances = NOTHING_STATED,
    clock: Clock | None = None,
) -> Iterator[tuple[str, str]]:
    """A database that has the words already: to publish them costs as much as a whole test."""
    with database_copy(postgres, template) as urls:
        with engine_of(urls[1]) as engine, factory(engine, clock or FrozenClock(), HintList())() as tx:
            wording.publish(tx, publisher, circumstances)
        yield urls


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def queue() -> HintList:
    return HintList()


@pytest.fixture
def connection(shared_engine: Engine) -> Iterator[Connection]:
    with shared_engine.connect() as connection, connection.begin() as outer:
        yield connection
        outer.rollback()


@pytest.fixture
def transaction(connection: Connection, clock: FrozenClock, queue: HintList) -> TransactionFactory:
    """Like the product's, but a commit only releases a savepoint: the test's own transaction is rolled back."""

    @contextmanager
    def begin() -> Iterator[Transaction]:
        with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            tx = Transaction(session, clock.now())
            with session.begin():
                yield tx
        for hint, lane, ids in tx.hints:
            queue.hint(hint, lane, *ids)

    return begin


@pytest.fixture
def tx(transaction: TransactionFactory) -> Iterator[Transaction]:
    with transaction() as tx:
        yield tx


def demo_settings(state_dir: Path, **overrides: str) -> Settings:
    """Valid settings of a demo."""
    values = {
        "environment": "demo",
        "database_url": "postgresql://milepost_app@/nowhere",
        "redis_url": "redis://127.0.0.1:1/0",
        "secret_key": "b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu",
        "state_dir": str(state_dir),
        "public_url": "http://localhost:8025",
        "site_url": "http://localhost:8026",
        "controller_name": "Fjellsko Sport AS",
        "controller_address": "Løypa 1, 0000 Fjellby, Norway",
        "controller_contact": "privacy@fjellsko.example",
        "sender_name": "Fjellsko Training Hub",
        "sender_address": "training@fjellsko.example",
        "relay_host": "127.0.0.1",
        "relay_port": "1025",
        "relay_tls": "none",
        "processors_file": str(ROOT / "service/demo/processors.toml"),
        "signup_check_dns": "false",
    } | overrides
    return load({f"MILEPOST_{name.upper()}": value for name, value in values.items()})


SettingsMaker = Callable[..., Settings]


@pytest.fixture
def make_settings(tmp_path: Path) -> SettingsMaker:
    """Valid demo settings; override any by its field name."""
    return functools.partial(demo_settings, tmp_path)
