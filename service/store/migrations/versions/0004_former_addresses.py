"""Addresses that readers left

What a reader decides holds for the addresses that they had before as well. Those left before this table was there are
found in the consent events, as far as their fingerprints are of the version that is current.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "former_addresses",
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("address_hmac", sa.LargeBinary(), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscribers.id"], name=op.f("fk_former_addresses_subscriber_id")),
        sa.PrimaryKeyConstraint("subscriber_id", "address_hmac", name=op.f("pk_former_addresses")),
    )
    op.create_index("ix_former_addresses_address_hmac", "former_addresses", ["address_hmac"], unique=False)
    op.execute(
        "INSERT INTO former_addresses (subscriber_id, address_hmac, left_at) "
        "SELECT s.id, e.address_hmac, max(e.occurred_at) FROM consent_events e JOIN subscribers s ON s.id = e.subscriber_id "
        "WHERE e.address_hmac <> s.address_hmac AND e.address_version = current_address_version() GROUP BY 1, 2"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON former_addresses TO milepost_app")


def downgrade() -> None:
    op.drop_table("former_addresses")
