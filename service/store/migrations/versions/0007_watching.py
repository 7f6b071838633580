"""What is watched while mail leaves, and mails to operators about it"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KINDS = (
    "confirmation",
    "already_subscribed",
    "welcome",
    "private_link",
    "address_change",
    "repermission",
    "digest",
    "campaign",
)


def upgrade() -> None:
    op.create_table(
        "relay_troubles",
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("kind", _word("troublekind", "refusing", "silent"), nullable=False),
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column(
            "phase", _word("phase", "connect", "tls", "ehlo", "auth", "mail", "rcpt", "data", "eom"), nullable=False
        ),
        sa.Column("code", sa.SmallInteger(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["worker_id"], ["worker_processes.id"], name=op.f("fk_relay_troubles_worker_id")),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_relay_troubles")),
    )
    op.create_table(
        "campaign_watches",
        sa.Column("campaign_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("is_first", sa.Boolean(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("answered", "dead", "refused", "failed", "uncertain")
        ),
        sa.Column("cause", _word("cause", "dead", "refused", "failed", "uncertain"), nullable=True),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_campaign_watches_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_campaign_watches")),
    )
    op.create_table(
        "operator_notices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_notices")),
    )
    op.create_index(
        "ix_operator_notices_open",
        "operator_notices",
        ["cause"],
        unique=True,
        postgresql_where="ended_at IS NULL",
    )
    op.create_index("ix_operator_notices_cause_told_at", "operator_notices", ["cause", "told_at"])
    op.create_table(
        "operator_mails",
        sa.Column("delivery_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("notice_id", sa.BigInteger(), nullable=False),
        sa.Column("is_over", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_operator_mails_delivery_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["notice_id"], ["operator_notices.id"], name=op.f("fk_operator_mails_notice_id")),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_operator_mails")),
    )
    op.create_index(op.f("ix_operator_mails_notice_id"), "operator_mails", ["notice_id"])
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON relay_troubles, campaign_watches TO milepost_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON operator_notices TO milepost_app")
    op.execute("GRANT SELECT, INSERT ON operator_mails TO milepost_app")
    _accept_kinds(*KINDS, "operator_notice")


def downgrade() -> None:
    op.drop_table("operator_mails")
    op.drop_table("operator_notices")
    op.drop_table("campaign_watches")
    op.drop_table("relay_troubles")
    op.execute("DELETE FROM attempts a USING deliveries d WHERE d.id = a.delivery_id AND d.kind = 'operator_notice'")
    op.execute("DELETE FROM deliveries WHERE kind = 'operator_notice'")
    op.execute("ALTER TABLE mail_templates DISABLE TRIGGER USER")
    op.execute("DELETE FROM mail_templates WHERE kind = 'operator_notice'")
    op.execute("ALTER TABLE mail_templates ENABLE TRIGGER USER")
    _accept_kinds(*KINDS)


def _word(name: str, *words: str) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=32)


def _accept_kinds(*kinds: str) -> None:
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    for table in ("deliveries", "mail_templates"):
        name = op.f(f"ck_{table}_mailkind")
        op.drop_constraint(name, table, type_="check")
        op.create_check_constraint(name, table, f"kind IN ({listed})")
