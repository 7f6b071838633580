"""A campaign may say until when it is worth sending; a relay may be replaced by the second one"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

KINDS = "'refusing', 'silent'"


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("expire_after", sa.Integer(), nullable=True))
    op.create_check_constraint(op.f("ck_campaigns_expires_later"), "campaigns", "expire_after > 0")
    _accept_kinds(f"{KINDS}, 'replaced'")


def downgrade() -> None:
    op.execute("DELETE FROM relay_troubles WHERE kind = 'replaced'")
    _accept_kinds(KINDS)
    op.drop_column("campaigns", "expire_after")


def _accept_kinds(listed: str) -> None:
    name = op.f("ck_relay_troubles_troublekind")
    op.drop_constraint(name, "relay_troubles", type_="check")
    op.create_check_constraint(name, "relay_troubles", f"kind IN ({listed})")
