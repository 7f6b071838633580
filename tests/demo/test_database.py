"""The demo on somebody's PostgreSQL: makes what it may, refuses what is not its own, and says what to do."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text

from service.demo.database import DATABASE, drop_external, prepare_database
from service.demo.servers import FAST_AND_UNSAFE, Postgres
from service.demo.state import DemoState
from service.errors import ConfigurationError


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server that is not the demo's own, without any of our roles."""
    server = Postgres(tmp_path_factory.mktemp("theirs") / "postgres", FAST_AND_UNSAFE)
    server.start()
    yield server
    server.stop()


def state_in(path: Path) -> DemoState:
    state = DemoState(path)
    state.prepare()
    return state


def run(server: Postgres, statement: str) -> None:
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute(statement)


def names(server: Postgres, query: str) -> set[str]:
    with psycopg.connect(server.conninfo) as connection:
        return {row[0] for row in connection.execute(query)}


ROLES = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'milepost%'"
DATABASES = "SELECT datname FROM pg_database"


def test_made_used_again_guarded_and_dropped(theirs: Postgres, tmp_path: Path) -> None:
    state = state_in(tmp_path / "one")
    plain = theirs.url().replace("postgresql+psycopg", "postgresql")
    _, app, applied = prepare_database(state, plain, external=True)
    assert applied
    engine = create_engine(app)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_user || ' ' || current_database()")) == f"milepost_app {DATABASE}"
    engine.dispose()
    assert prepare_database(state, plain, external=True)[2] == []
    assert (state.directory / "secrets.json").stat().st_mode & 0o777 == 0o600

    with pytest.raises(ConfigurationError, match="milepost_app and milepost_owner already"):
        prepare_database(state_in(tmp_path / "two"), plain, external=True)

    assert drop_external(state) is not None
    assert names(theirs, ROLES) == set()
    assert DATABASE not in names(theirs, DATABASES)
    assert drop_external(state_in(tmp_path / "two")) is None, "it made nothing there"


def test_a_role_that_may_not_says_what_to_do(theirs: Postgres, tmp_path: Path) -> None:
    run(theirs, "CREATE ROLE modest LOGIN")
    with pytest.raises(ConfigurationError, match="ALTER ROLE modest CREATEROLE CREATEDB"):
        prepare_database(state_in(tmp_path), theirs.url(user="modest"), external=True)
    assert names(theirs, ROLES) == set()


def test_a_role_that_is_no_superuser_is_enough(theirs: Postgres, tmp_path: Path) -> None:
    run(theirs, "CREATE ROLE maker LOGIN CREATEROLE CREATEDB")
    state = state_in(tmp_path)
    prepare_database(state, theirs.url(user="maker"), external=True)
    assert names(theirs, ROLES) == {"milepost_app", "milepost_owner"}
    drop_external(state)
    assert names(theirs, ROLES) == set()


def test_a_server_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"MILEPOST_DATABASE_URL cannot be used: .*unset") as refused:
        prepare_database(state_in(tmp_path), "postgresql://ada:pa55@127.0.0.1:1/postgres", external=True)
    assert "pa55" not in str(refused.value)


def test_a_server_that_went_away_before_the_reset(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    state.write("secrets.json", {"external_admin_url": "postgresql+psycopg://ada:pa55@127.0.0.1:1/postgres"})
    with pytest.raises(ConfigurationError, match="nothing was wiped") as refused:
        drop_external(state)
    assert "pa55" not in str(refused.value)
