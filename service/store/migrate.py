"""Roles and migrations: what has to be done as somebody who may do more than `app`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.engine import URL

from service.errors import ConfigurationError

OWNER, APP = "milepost_owner", "milepost_app"
MINIMUM_VERSION = 15


def create_roles(admin_url: str, database: str, owner_password: str, app_password: str) -> tuple[str, str]:
    """Create or update both login roles and the database; return the URLs (owner, app) to it.

    `admin_url` must belong to a role with CREATEROLE and CREATEDB. Safe to repeat; passwords are set anew.
    """
    engine = create_engine(admin_url, isolation_level="AUTOCOMMIT", hide_parameters=True)
    with engine.connect() as admin:
        check_version(admin)
        for role, password in ((OWNER, owner_password), (APP, app_password)):
            exists = admin.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :r"), {"r": role})
            verb = "ALTER" if exists else "CREATE"
            # DDL takes no parameters: let the server quote the password.
            quoted = admin.scalar(text("SELECT quote_literal(:p)"), {"p": password})
            admin.exec_driver_sql(f"{verb} ROLE {role} LOGIN PASSWORD {quoted}".replace("%", "%%"))
        admin.exec_driver_sql(f"GRANT {OWNER} TO CURRENT_USER")
        if not admin.scalar(text("SELECT 1 FROM pg_database WHERE datname = :d"), {"d": database}):
            name = admin.dialect.identifier_preparer.quote(database)
            admin.exec_driver_sql(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE template0 ENCODING 'UTF8'")
    engine.dispose()
    base = make_url(admin_url)
    return _as(base, database, OWNER, owner_password), _as(base, database, APP, app_password)


def upgrade(owner_url: str, revision: str = "head") -> list[str]:
    """Bring the database to `revision`; return the revisions that were applied."""
    engine = create_engine(owner_url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            check_version(connection)
            before = MigrationContext.configure(connection).get_current_revision()
            connection.commit()
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            scripts = ScriptDirectory.from_config(config)
            applied = [s.revision for s in scripts.iterate_revisions(revision, before)]
            return applied[::-1]
    finally:
        engine.dispose()


def pending(engine: Engine) -> list[str]:
    """Revisions that the code knows and the database does not; empty when it is up to date."""
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(_config())
    return [s.revision for s in scripts.iterate_revisions("head", current)][::-1]


def check_version(connection: Connection) -> None:
    major = int(connection.scalar(text("SHOW server_version_num")) or 0) // 10000
    if major < MINIMUM_VERSION:
        raise ConfigurationError(f"PostgreSQL {major} is too old: Milepost needs {MINIMUM_VERSION} or later.")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _as(base: URL, database: str, role: str, password: str) -> str:
    return base.set(database=database, username=role, password=password).render_as_string(hide_password=False)
