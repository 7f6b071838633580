"""The schema and the code agree, both ways, and the ledger refuses to forget."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from service.store import migrate
from service.store.schema import Base
from service.store.transaction import Transaction


def test_models_and_migrations_agree(template: tuple[str, str]) -> None:
    engine = create_engine(template[0])
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_every_migration_goes_down_and_up_again(fresh_database: tuple[str, str]) -> None:
    from alembic import command

    owner, _ = fresh_database
    engine = create_engine(owner)
    with engine.connect() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    engine.dispose()
    assert migrate.upgrade(owner) == [f"{number:04}" for number in range(1, 12)]
    assert migrate.upgrade(owner) == []


@pytest.mark.parametrize(
    "table", ["consent_events", "statements", "notices", "forms", "contexts", "mail_templates", "audit_entries"]
)
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET id = DEFAULT", "TRUNCATE {} CASCADE"])
def test_the_serving_role_cannot_touch_evidence(tx: Transaction, table: str, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), tx.session.begin_nested():
        tx.session.execute(text(statement.format(table)))


def test_the_owner_is_refused_by_trigger(template: tuple[str, str]) -> None:
    engine = create_engine(template[0])
    with engine.connect() as connection:
        connection.execute(
            text("INSERT INTO notices (language, body, sha256) VALUES ('en', 'We never share.', '\\x00')")
        )
        for statement in ("DELETE FROM notices", "UPDATE notices SET body = ''", "TRUNCATE notices CASCADE"):
            with pytest.raises(DBAPIError, match="append-only"), connection.begin_nested():
                connection.execute(text(statement))
        connection.rollback()
    engine.dispose()


def test_the_serving_role_cannot_alter_tables(tx: Transaction) -> None:
    with pytest.raises(ProgrammingError, match="must be owner"), tx.session.begin_nested():
        tx.session.execute(text("ALTER TABLE lists ADD COLUMN x int"))
