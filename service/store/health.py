"""What the database can say about its own fitness: version, rights, published words, heartbeats, troubled sources."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, func, select, text

from service.domain.words import Language, Purpose
from service.store import migrate
from service.store.schema import Notice, Source, Statement, WorkerProcess
from service.store.transaction import Transaction

RIGHTS = {"SELECT": True, "INSERT": True, "UPDATE": False, "DELETE": False, "TRUNCATE": False}
LEDGER = ("consent_events", "statements", "notices", "forms")


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    version: str
    role: str
    superuser: bool
    owned: tuple[str, ...]
    """Tables that the role may alter or drop; none, for a role that serves (design §4)."""
    pending: tuple[str, ...]
    """Migrations that this version knows and the database does not."""


def get_database_facts(engine: Engine) -> DatabaseFacts:
    """Raises what the driver raises when the server cannot be reached, and ConfigurationError if it is too old."""
    with engine.connect() as connection:
        migrate.check_version(connection)
        version = str(connection.scalar(text("SHOW server_version")))
        role, superuser = connection.execute(
            text("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user")
        ).one()
        owned = connection.scalars(
            text(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
                "AND pg_has_role(current_user, tableowner, 'USAGE') ORDER BY 1"
            )
        ).all()
    return DatabaseFacts(version, role, superuser, tuple(owned), tuple(migrate.pending(engine)))


def list_ledger_faults(tx: Transaction) -> list[str]:
    """Where our rights on the evidence are not exactly "read and append" (invariant 3), as sentences."""
    faults = []
    for table in LEDGER:
        for right, wanted in RIGHTS.items():
            has = tx.session.scalar(select(func.has_table_privilege(table, right)))
            if has is not wanted:
                faults.append(f"{'may' if has else 'may not'} {right} {table}")
    return faults


def list_missing_wordings(tx: Transaction) -> list[str]:
    """Which statements and notices nobody has published yet; without them no form can be shown."""
    statements = {
        (row.purpose, row.language) for row in tx.session.execute(select(Statement.purpose, Statement.language))
    }
    notices = set(tx.session.scalars(select(Notice.language).distinct()))
    missing = [f"statement {p}/{lang}" for p in Purpose for lang in Language if (p, lang) not in statements]
    return missing + [f"notice {lang}" for lang in Language if lang not in notices]


def list_open_worker_processes(tx: Transaction) -> Sequence[WorkerProcess]:
    """Those not yet ended or declared lost, alive or not."""
    open_ = select(WorkerProcess).where(WorkerProcess.ended_at.is_(None))
    return tx.session.scalars(open_.order_by(WorkerProcess.lane, WorkerProcess.started_at)).all()


def list_troubled_sources(tx: Transaction) -> Sequence[Source]:
    """Sources whose last pull failed."""
    return tx.session.scalars(select(Source).where(Source.error.is_not(None)).order_by(Source.slug)).all()
