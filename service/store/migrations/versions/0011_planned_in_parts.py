"""An audience is planned in parts, while the first of it are mailed"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("planned_to", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("campaigns", "planned_to")
