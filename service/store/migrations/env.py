"""How migrations run: as `owner`, one at a time, with short locks. Called by service/store/migrate.py only."""

from alembic import context
from sqlalchemy import text

from service.store.schema import Base

connection = context.config.attributes["connection"]

# Whoever waits longer than this for a lock blocks everybody behind him: fail and try again instead.
connection.execute(text("SET lock_timeout = '4s'; SET statement_timeout = '60s'"))
connection.commit()
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    transaction_per_migration=True,
    compare_server_default=False,
)
with context.begin_transaction():
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('milepost migrations'))"))
    context.run_migrations()
