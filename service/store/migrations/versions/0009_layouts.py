"""A campaign may be a plain letter instead of a card"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = ("campaigns", "revisions")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("layout", sa.String(length=32), server_default="card", nullable=False))
        op.create_check_constraint(op.f(f"ck_{table}_layout"), table, "layout IN ('card', 'plain')")


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "layout")
