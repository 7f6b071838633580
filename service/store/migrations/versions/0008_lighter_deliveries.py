"""What is checked once per campaign is not checked again per recipient

Lists, campaigns, revisions and worker processes are never deleted, and a delivery names them as the one statement read
them that made it. Checking that for each row cost more than writing it. Its reader is locked by whoever adds it, and an
erasure takes the reader out of all deliveries first.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

CHECKED = {
    "deliveries": {
        "campaign_id": "campaigns",
        "claimed_by": "worker_processes",
        "issue_id": "issues",
        "list_id": "lists",
        "revision_id": "revisions",
        "subscriber_id": "subscribers",
    },
    "attempts": {"delivery_id": "deliveries"},
}


def upgrade() -> None:
    for table, columns in CHECKED.items():
        for column in columns:
            op.drop_constraint(op.f(f"fk_{table}_{column}"), table, type_="foreignkey")
    op.drop_index(op.f("ix_deliveries_signup_id"), table_name="deliveries")
    op.create_index(
        "ix_deliveries_signup_id",
        "deliveries",
        ["signup_id"],
        unique=False,
        postgresql_where="signup_id IS NOT NULL",
    )


def downgrade() -> None:
    op.drop_index("ix_deliveries_signup_id", table_name="deliveries", postgresql_where="signup_id IS NOT NULL")
    op.create_index(op.f("ix_deliveries_signup_id"), "deliveries", ["signup_id"], unique=False)
    for table, columns in CHECKED.items():
        for column, of in columns.items():
            op.create_foreign_key(op.f(f"fk_{table}_{column}"), table, of, [column], ["id"])
