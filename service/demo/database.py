"""The demo's database: roles and tables, embedded or on the server that MILEPOST_DATABASE_URL names."""

from collections.abc import Sequence

from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from service.demo.state import DemoState
from service.errors import ConfigurationError
from service.store import migrate

DATABASE = "milepost_demo"


def prepare_database(state: DemoState, admin_url: str, *, external: bool) -> tuple[str, str, list[str]]:
    """Roles, database and tables; returns (owner URL, app URL, revisions applied). Raises ConfigurationError.

    On a server that is not ours the roles must be free: whoever has them already keeps their passwords.
    """
    if external:
        admin_url = str(make_url(admin_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False))
        _check_external(state, admin_url)
    owner, app = migrate.create_roles(admin_url, DATABASE, state.secret("owner_password"), state.secret("app_password"))
    if external:
        _remember(state, admin_url)
    return owner, app, migrate.upgrade(owner)


def drop_external(state: DemoState) -> str | None:
    """Remove what the demo made on somebody's server; returns the server's name, None if it made nothing."""
    admin_url = state.read("secrets.json").get("external_admin_url")
    if admin_url is None:
        return None
    server = str(make_url(admin_url).host)
    try:
        _run(
            admin_url,
            (
                f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)",
                f"DROP ROLE IF EXISTS {migrate.APP}",
                f"DROP ROLE IF EXISTS {migrate.OWNER}",
            ),
        )
    except SQLAlchemyError as error:
        raise ConfigurationError(
            f"The demo's database on {server} could not be dropped ({_first_line(error)}); nothing was wiped. "
            f"Make the server reachable, or drop the database {DATABASE} and the roles {migrate.OWNER} and "
            f"{migrate.APP} there and delete {state.directory}."
        ) from None
    return server


def _check_external(state: DemoState, admin_url: str) -> None:
    engine = create_engine(admin_url, hide_parameters=True, connect_args={"connect_timeout": 5})
    try:
        _check_admin(engine, known=_is_remembered(state, admin_url))
    except OperationalError as error:
        raise ConfigurationError(
            f"PostgreSQL at MILEPOST_DATABASE_URL cannot be used: {_first_line(error)}. Nothing was started. Correct "
            "the URL, or unset MILEPOST_DATABASE_URL to use the embedded server."
        ) from None
    finally:
        engine.dispose()


def _check_admin(engine: Engine, *, known: bool) -> None:
    with engine.connect() as connection:
        migrate.check_version(connection)
        role = connection.execute(
            text(
                "SELECT rolname, rolsuper OR (rolcreaterole AND rolcreatedb) AS may FROM pg_roles "
                "WHERE rolname = current_user"
            )
        ).one()
        taken = connection.scalars(
            text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names) ORDER BY rolname"),
            {"names": [migrate.OWNER, migrate.APP]},
        ).all()
    if not role.may:
        raise ConfigurationError(
            f"The role {role.rolname} of MILEPOST_DATABASE_URL may not create roles and databases; nothing was "
            f"started. Either an administrator runs: ALTER ROLE {role.rolname} CREATEROLE CREATEDB; or unset "
            "MILEPOST_DATABASE_URL to use the embedded server."
        )
    if taken and not known:
        raise ConfigurationError(
            f"The server at MILEPOST_DATABASE_URL has the role {' and '.join(taken)} already, which this demo did not "
            "make: its passwords are somebody's, so nothing was changed or started. Use another server, or unset "
            "MILEPOST_DATABASE_URL to use the embedded one."
        )


def _is_remembered(state: DemoState, admin_url: str) -> bool:
    """Whether this demo made its roles on that very server (another password or role to get in does not matter)."""
    kept = state.read("secrets.json").get("external_admin_url")
    if kept is None:
        return False
    ours, theirs = make_url(kept), make_url(admin_url)
    return (ours.host, ours.port, dict(ours.query)) == (theirs.host, theirs.port, dict(theirs.query))


def _remember(state: DemoState, admin_url: str) -> None:
    state.write("secrets.json", state.read("secrets.json") | {"external_admin_url": admin_url})


def _run(admin_url: str, statements: Sequence[str]) -> None:
    engine = create_engine(admin_url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()


def _first_line(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", error)).strip().partition("\n")[0].rstrip(".")
