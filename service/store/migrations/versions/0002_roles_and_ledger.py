"""What `app` may do, and a ledger that nobody changes

`app` serves: it can neither alter tables nor touch the past of what is evidence (invariant 3). The triggers say the
same to everybody else, so that a slip by `owner` is refused too.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

EVIDENCE = ("consent_events", "statements", "notices", "forms")
APPEND_ONLY = (*EVIDENCE, "revisions", "issues", "attempts")
WORKED_ON = (
    "api_tokens",
    "article_topics",
    "articles",
    "campaigns",
    "deliveries",
    "digests",
    "lists",
    "mailed_articles",
    "runs",
    "signups",
    "sources",
    "subscriber_topics",
    "subscribers",
    "subscriptions",
    "suppressions",
    "topics",
    "worker_processes",
)


def upgrade() -> None:
    op.execute("GRANT USAGE ON SCHEMA public TO milepost_app")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(WORKED_ON)} TO milepost_app")
    op.execute(f"GRANT SELECT, INSERT ON {', '.join(APPEND_ONLY)} TO milepost_app")
    op.execute("GRANT SELECT ON alembic_version TO milepost_app")
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    for table in EVIDENCE:
        op.execute(
            f"CREATE TRIGGER {table}_keep_rows BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_keep_table BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in EVIDENCE:
        op.execute(f"DROP TRIGGER {table}_keep_rows ON {table}")
        op.execute(f"DROP TRIGGER {table}_keep_table ON {table}")
    op.execute("DROP FUNCTION refuse_change()")
    op.execute("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM milepost_app")
    op.execute("REVOKE USAGE ON SCHEMA public FROM milepost_app")
