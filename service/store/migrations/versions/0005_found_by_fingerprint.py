"""Sign-ups and changes of address are found by their fingerprint

An erasure looks for them, and holds the erasure log while it does.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_signups_address_hmac",
        "signups",
        ["address_hmac"],
        unique=False,
        postgresql_where="address_hmac IS NOT NULL",
    )
    op.create_index("ix_address_changes_address_hmac", "address_changes", ["address_hmac"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_address_changes_address_hmac", table_name="address_changes")
    op.drop_index("ix_signups_address_hmac", table_name="signups", postgresql_where="address_hmac IS NOT NULL")
