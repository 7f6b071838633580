"""One rate of sending for all workers

One row; workers take moments from it, in order.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sending_rate",
        sa.Column("id", sa.SmallInteger(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_sending_rate_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sending_rate")),
    )
    op.execute("INSERT INTO sending_rate (id, next_at) VALUES (1, 'epoch')")
    op.execute("GRANT SELECT, UPDATE ON sending_rate TO milepost_app")


def downgrade() -> None:
    op.drop_table("sending_rate")
