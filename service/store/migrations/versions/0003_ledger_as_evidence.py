"""The ledger stands as evidence

Consent events become a chain per subject with their personal fields encrypted; what they were true under, their seals,
what was erased and who asked for what have tables of their own. Events of the kind before cannot be chained after the
fact, and no release ever wrote any: a database that holds some is refused.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LANGUAGES = ("articles", "deliveries", "issues", "notices", "signups", "sources", "statements", "subscribers")
COLUMNS = {"deliveries": "test_language"}
VOCABULARIES = (
    # table, column, name of the check, before, added
    *((table, COLUMNS.get(table, "language"), "language", ("en", "de"), ("fr", "es")) for table in LANGUAGES),
    ("consent_events", "state", "consentstate", ("requested", "given", "withdrawn"), ("expired", "invalidated", "reaffirmed")),
    (
        "consent_events",
        "channel",
        "channel",
        ("form", "confirmation", "one_click", "page", "control", "undo", "operator"),
        ("address_change", "erasure", "import", "sweep"),
    ),
    (
        "signups",
        "state",
        "signupstate",
        ("received", "asked", "already_active", "limited", "suppressed", "confirmed", "expired"),
        ("held",),
    ),
    (
        "suppressions",
        "reason",
        "suppressionreason",
        ("permanent_bounce", "complaint", "unsubscribe_all", "manual"),
        ("erased", "imported"),
    ),
    (
        "deliveries",
        "kind",
        "mailkind",
        ("confirmation", "already_subscribed", "welcome", "digest", "campaign"),
        ("private_link", "address_change", "repermission"),
    ),
    (
        "deliveries",
        "skip_reason",
        "skipreason",
        ("no_consent", "suppressed", "paused", "nothing_new", "too_few", "expired"),
        ("rhythm",),
    ),
)
EVIDENCE = ("contexts", "form_snapshots", "mail_templates", "checkpoints", "audit_entries", "address_key_versions")
"""Nobody changes these rows."""
NUMBERS_IN_LINKS = (
    "address_changes_id_seq",
    "consent_events_id_seq",
    "deliveries_id_seq",
    "signups_id_seq",
    "subscribers_id_seq",
)
WORKED_ON = (
    "address_changes",
    "confirmation_mails",
    "erasures",
    "event_seals",
    "idempotent_requests",
    "import_rows",
    "imports",
    "privacy_requests",
    "retention_runs",
    "subject_keys",
)


def upgrade():
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT FROM consent_events)")):
        raise RuntimeError(
            "This database holds consent events from before the first release; nothing was changed. They cannot be "
            "chained after the fact. Start with an empty database (the demo: `milepost demo-reset`)."
        )
    for table, column, name, before, added in VOCABULARIES:
        _set_vocabulary(table, column, name, (*before, *added))
    op.create_table('audit_entries',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('act', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('details', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_entries'))
    )
    op.create_index('ix_audit_entries_at', 'audit_entries', ['at'], unique=False)
    op.create_table('checkpoints',
    sa.Column('number', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('frontier', postgresql.ARRAY(sa.LargeBinary()), nullable=False),
    sa.Column('line', sa.Text(), nullable=False),
    sa.Column('members', sa.Text(), nullable=False),
    sa.Column('sealed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_checkpoints'))
    )
    op.create_index('ix_checkpoints_size', 'checkpoints', ['size'], unique=False)
    op.create_table('contexts',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('sha256', sa.LargeBinary(), nullable=False),
    sa.Column('published_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_contexts')),
    sa.UniqueConstraint('sha256', name=op.f('uq_contexts_sha256'))
    )
    op.create_table('address_key_versions',
    sa.Column('version', sa.SmallInteger(), autoincrement=False, nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('version', name=op.f('pk_address_key_versions'))
    )
    op.execute(
        "CREATE FUNCTION current_address_version() RETURNS smallint LANGUAGE sql STABLE AS "
        "'SELECT coalesce(max(version), 1::smallint) FROM address_key_versions'"
    )
    op.create_table('retention_runs',
    sa.Column('rule', sa.Text(), nullable=False),
    sa.Column('ran_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('affected', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('rule', name=op.f('pk_retention_runs'))
    )
    op.create_table('erasures',
    sa.Column('number', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('subscriber_id', sa.BigInteger(), nullable=True),
    sa.Column('erased_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('line_sha256', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_erasures')),
    sa.UniqueConstraint('subscriber_id', name=op.f('uq_erasures_subscriber_id'))
    )
    op.create_table('idempotent_requests',
    sa.Column('token_name', sa.Text(), nullable=False),
    sa.Column('key_hmac', sa.LargeBinary(), nullable=False),
    sa.Column('request_hmac', sa.LargeBinary(), nullable=False),
    sa.Column('answer', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('token_name', 'key_hmac', name=op.f('pk_idempotent_requests'))
    )
    op.create_index('ix_idempotent_requests_created_at', 'idempotent_requests', ['created_at'], unique=False)
    op.create_table('mail_templates',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('kind', sa.Enum('confirmation', 'already_subscribed', 'welcome', 'private_link', 'address_change', 'repermission', 'digest', 'campaign', name='mailkind', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('sha256', sa.LargeBinary(), nullable=False),
    sa.Column('published_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mail_templates')),
    sa.UniqueConstraint('sha256', name=op.f('uq_mail_templates_sha256'))
    )
    op.create_table('privacy_requests',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('kind', sa.Enum('access', 'rectify', 'erase', name='privacyrequestkind', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('subscriber_id', sa.BigInteger(), nullable=False),
    sa.Column('asked_by', sa.Text(), nullable=False),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('done_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_privacy_requests'))
    )
    op.create_index('ix_privacy_requests_open', 'privacy_requests', ['due_at'], unique=False, postgresql_where='done_at IS NULL')
    op.create_table('subject_keys',
    sa.Column('subscriber_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('wrapped', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('subscriber_id', name=op.f('pk_subject_keys'))
    )
    op.create_table('address_changes',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('subscriber_id', sa.BigInteger(), nullable=False),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('dedupe_key', sa.Text(), nullable=False),
    sa.Column('address_hmac', sa.LargeBinary(), nullable=False),
    sa.Column('abuse_hmac', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['subscriber_id'], ['subscribers.id'], name=op.f('fk_address_changes_subscriber_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_address_changes'))
    )
    op.create_index(op.f('ix_address_changes_subscriber_id'), 'address_changes', ['subscriber_id'], unique=False)
    op.create_index(op.f('ix_address_changes_abuse_hmac'), 'address_changes', ['abuse_hmac'], unique=False)
    op.create_table('imports',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('list_id', sa.BigInteger(), nullable=False),
    sa.Column('source_system', sa.Text(), nullable=False),
    sa.Column('file_sha256', sa.LargeBinary(), nullable=False),
    sa.Column('mapping', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('rules', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('wrapped', sa.LargeBinary(), nullable=True),
    sa.Column('operator', sa.Text(), nullable=False),
    sa.Column('attestation', sa.Text(), nullable=False),
    sa.Column('status', sa.Enum('checked', 'admitting', 'done', 'undone', name='importstatus', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('counts', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('undone_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['list_id'], ['lists.id'], name=op.f('fk_imports_list_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_imports'))
    )
    op.create_table('form_snapshots',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('form_id', sa.BigInteger(), nullable=False),
    sa.Column('language', sa.Enum('en', 'de', 'fr', 'es', name='language', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('sha256', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['form_id'], ['forms.id'], name=op.f('fk_form_snapshots_form_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_form_snapshots')),
    sa.UniqueConstraint('form_id', 'language', name=op.f('uq_form_snapshots_form_id_language'))
    )
    op.create_table('import_rows',
    sa.Column('import_id', sa.BigInteger(), nullable=False),
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('verdict', sa.Enum('mailable', 'needs_confirming', 'suppressed', 'unreadable', 'unchanged', name='importverdict', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('address_hmac', sa.LargeBinary(), nullable=True),
    sa.Column('sealed', sa.LargeBinary(), nullable=True),
    sa.Column('subscriber_id', sa.BigInteger(), nullable=True),
    sa.Column('signup_id', sa.BigInteger(), nullable=True),
    sa.Column('admitted_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("admitted_at IS NULL OR verdict IN ('mailable', 'needs_confirming')", name=op.f('ck_import_rows_admitted_readers')),
    sa.ForeignKeyConstraint(['import_id'], ['imports.id'], name=op.f('fk_import_rows_import_id')),
    sa.PrimaryKeyConstraint('import_id', 'line', name=op.f('pk_import_rows'))
    )
    op.create_index('ix_import_rows_address_hmac', 'import_rows', ['address_hmac'], unique=False)
    op.create_index(op.f('ix_import_rows_subscriber_id'), 'import_rows', ['subscriber_id'], unique=False)
    op.create_index(op.f('ix_import_rows_signup_id'), 'import_rows', ['signup_id'], unique=False)
    op.create_index('ix_import_rows_waiting', 'import_rows', ['import_id', 'line'], unique=False, postgresql_where='admitted_at IS NULL AND sealed IS NOT NULL')
    op.create_index('ix_import_rows_asked_once', 'import_rows', ['address_hmac'], unique=True, postgresql_where="verdict = 'needs_confirming' AND admitted_at IS NOT NULL")
    op.create_table('event_seals',
    sa.Column('event_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('position', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['event_id'], ['consent_events.id'], name=op.f('fk_event_seals_event_id')),
    sa.PrimaryKeyConstraint('event_id', name=op.f('pk_event_seals')),
    sa.UniqueConstraint('position', name=op.f('uq_event_seals_position'))
    )
    op.create_index('ix_event_seals_unsealed', 'event_seals', ['event_id'], unique=False, postgresql_where='position IS NULL')
    op.create_table('confirmation_mails',
    sa.Column('delivery_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('subscriber_id', sa.BigInteger(), nullable=False),
    sa.Column('template_id', sa.BigInteger(), nullable=True),
    sa.Column('sealed', sa.LargeBinary(), nullable=False),
    sa.Column('sha256', sa.LargeBinary(), nullable=False),
    sa.Column('written_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['delivery_id'], ['deliveries.id'], name=op.f('fk_confirmation_mails_delivery_id')),
    sa.ForeignKeyConstraint(['template_id'], ['mail_templates.id'], name=op.f('fk_confirmation_mails_template_id')),
    sa.PrimaryKeyConstraint('delivery_id', name=op.f('pk_confirmation_mails'))
    )
    op.create_index(op.f('ix_confirmation_mails_subscriber_id'), 'confirmation_mails', ['subscriber_id'], unique=False)
    op.add_column('api_tokens', sa.Column('roles', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False))
    op.add_column('consent_events', sa.Column('record_id', sa.Uuid(), nullable=False))
    op.add_column('consent_events', sa.Column('seq', sa.Integer(), nullable=False))
    op.add_column('consent_events', sa.Column('lawful_basis', sa.Enum('consent_doi', 'imported', name='lawfulbasis', native_enum=False, create_constraint=True, length=32), nullable=False))
    op.add_column('consent_events', sa.Column('recorded_at', sa.DateTime(timezone=True), nullable=False))
    op.add_column('consent_events', sa.Column('context_id', sa.BigInteger(), nullable=True))
    op.add_column('consent_events', sa.Column('suspect_scanner', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('consent_events', sa.Column('address_hmac', sa.LargeBinary(), nullable=True))
    op.add_column('consent_events', sa.Column('address_version', sa.SmallInteger(), nullable=True))
    op.add_column('consent_events', sa.Column('personal', sa.LargeBinary(), nullable=False))
    op.add_column('consent_events', sa.Column('prev_hash', sa.LargeBinary(), nullable=False))
    op.add_column('consent_events', sa.Column('hash', sa.LargeBinary(), nullable=False))
    op.add_column('consent_events', sa.Column('mac', sa.LargeBinary(), nullable=False))
    op.drop_index(op.f('ix_consent_events_subscriber_id_id'), table_name='consent_events')
    op.create_index('ix_consent_events_address_hmac', 'consent_events', ['address_hmac'], unique=False, postgresql_where='address_hmac IS NOT NULL')
    op.create_unique_constraint(op.f('uq_consent_events_record_id'), 'consent_events', ['record_id'])
    op.create_unique_constraint(op.f('uq_consent_events_subscriber_id_seq'), 'consent_events', ['subscriber_id', 'seq'])
    op.drop_constraint(op.f('fk_consent_events_subscriber_id'), 'consent_events', type_='foreignkey')
    op.create_foreign_key(op.f('fk_consent_events_context_id'), 'consent_events', 'contexts', ['context_id'], ['id'])
    op.drop_column('consent_events', 'ip')
    op.drop_column('consent_events', 'user_agent')
    op.drop_column('consent_events', 'page_url')
    op.add_column('deliveries', sa.Column('erased_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('deliveries', sa.Column('address_change_id', sa.BigInteger(), nullable=True))
    op.create_index('ix_deliveries_address_change_id', 'deliveries', ['address_change_id'], unique=False, postgresql_where='address_change_id IS NOT NULL')
    op.create_index('ix_deliveries_test_address', 'deliveries', [sa.literal_column('lower(test_address)')], unique=False, postgresql_where='test_address IS NOT NULL')
    op.create_foreign_key(op.f('fk_deliveries_address_change_id'), 'deliveries', 'address_changes', ['address_change_id'], ['id'], ondelete='SET NULL')
    op.add_column('signups', sa.Column('domain_hmac', sa.LargeBinary(), nullable=True))
    op.add_column('signups', sa.Column('entered', sa.Text(), nullable=True))
    op.alter_column('signups', 'address', nullable=True)
    op.alter_column('signups', 'dedupe_key', nullable=True)
    op.alter_column('signups', 'address_hmac', nullable=True)
    op.create_index('ix_signups_domain_hmac_created_at', 'signups', ['domain_hmac', 'created_at'], unique=False)
    op.add_column('signups', sa.Column('released_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('ix_signups_form_id_created_at', 'signups', ['form_id', 'created_at'], unique=False)
    op.create_index('ix_signups_held', 'signups', ['id'], unique=False, postgresql_where="state = 'held'")
    op.drop_constraint(op.f('fk_signups_subscriber_id'), 'signups', type_='foreignkey')
    op.add_column('subscribers', sa.Column('address_version', sa.SmallInteger(), server_default=sa.text('current_address_version()'), nullable=False))
    op.add_column('subscribers', sa.Column('rhythm', sa.Enum('daily', 'weekly', 'fortnightly', 'monthly', name='rhythm', native_enum=False, create_constraint=True, length=32), server_default='daily', nullable=False))
    op.add_column('subscribers', sa.Column('local_hour', sa.SmallInteger(), nullable=True))
    op.add_column('subscribers', sa.Column('time_zone', sa.Text(), nullable=True))
    op.add_column('subscribers', sa.Column('address_changed_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('suppressions', sa.Column('address_version', sa.SmallInteger(), server_default=sa.text('current_address_version()'), nullable=False))
    op.drop_constraint(op.f('ck_deliveries_one_recipient'), 'deliveries', type_='check')
    op.create_check_constraint(op.f('ck_deliveries_one_recipient'), 'deliveries', "num_nonnulls(subscriber_id, test_address, erased_at) = 1")
    op.create_check_constraint(op.f('ck_subscribers_hour_of_a_day'), 'subscribers', "local_hour BETWEEN 0 AND 23")
    # One round trip for what the next link of a chain has to know. Two statements, so that the second sees what somebody
    # else committed while the first was waiting for them.
    op.execute(
        """
        CREATE FUNCTION lock_chain(reader bigint, for_list bigint, for_purpose text, shown bigint, noticed bigint, filled bigint)
        RETURNS TABLE (address text, address_hmac bytea, address_version smallint, wrapped bytea, seq integer, hash bytea,
                       before text, given_at timestamptz, context_id bigint, context bytea,
                       statement bytea, notice bytea, form bytea)
        LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM FROM subscribers s WHERE s.id = reader FOR NO KEY UPDATE;
            RETURN QUERY
            SELECT s.address, s.address_hmac, s.address_version, k.wrapped, h.seq, h.hash,
                   b.state::text, b.given_at, c.id, c.sha256,
                   (SELECT w.sha256 FROM statements w WHERE w.id = shown),
                   (SELECT w.sha256 FROM notices w WHERE w.id = noticed),
                   (SELECT w.sha256 FROM forms w WHERE w.id = filled)
            FROM subscribers s
            LEFT JOIN subject_keys k ON k.subscriber_id = s.id
            LEFT JOIN LATERAL (SELECT e.seq, e.hash FROM consent_events e WHERE e.subscriber_id = s.id
                               ORDER BY e.seq DESC LIMIT 1) h ON true
            LEFT JOIN subscriptions b ON b.subscriber_id = s.id AND b.list_id = for_list AND b.purpose = for_purpose
            LEFT JOIN LATERAL (SELECT x.id, x.sha256 FROM contexts x ORDER BY x.id DESC LIMIT 1) c ON true
            WHERE s.id = reader;
        END $$
        """
    )
    op.execute(f"GRANT SELECT, INSERT ON {', '.join(EVIDENCE)} TO milepost_app")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(WORKED_ON)} TO milepost_app")
    # A relay's words may quote an address: they are emptied with their age, and when their reader is erased.
    op.execute("GRANT UPDATE (text) ON attempts TO milepost_app")
    # After a restore no number that stands in a link of a lost mail may be given to somebody else.
    op.execute(f"GRANT SELECT, UPDATE ON SEQUENCE {', '.join(NUMBERS_IN_LINKS)} TO milepost_app")
    for table in EVIDENCE:
        op.execute(
            f"CREATE TRIGGER {table}_keep_rows BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_keep_table BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade():
    for table in EVIDENCE:
        op.execute(f"DROP TRIGGER {table}_keep_rows ON {table}")
        op.execute(f"DROP TRIGGER {table}_keep_table ON {table}")
    op.execute("REVOKE UPDATE (text) ON attempts FROM milepost_app")
    op.execute(f"REVOKE ALL ON SEQUENCE {', '.join(NUMBERS_IN_LINKS)} FROM milepost_app")
    op.drop_index("ix_deliveries_test_address", "deliveries")
    op.drop_constraint(op.f('ck_subscribers_hour_of_a_day'), 'subscribers', type_='check')
    op.drop_constraint(op.f('ck_deliveries_one_recipient'), 'deliveries', type_='check')
    op.create_check_constraint(op.f('ck_deliveries_one_recipient'), 'deliveries', "(subscriber_id IS NULL) = (test_address IS NOT NULL)")
    for table, columns in ADDED.items():
        for column in columns:
            op.drop_column(table, column)
    for column in ("ip", "user_agent", "page_url"):
        op.add_column("consent_events", sa.Column(column, postgresql.INET() if column == "ip" else sa.Text()))
    for column in ("address", "dedupe_key", "address_hmac"):
        op.alter_column("signups", column, nullable=False)
    op.drop_index("ix_signups_domain_hmac_created_at", "signups", if_exists=True)
    op.drop_index("ix_signups_form_id_created_at", "signups")
    op.drop_index("ix_signups_held", "signups")
    op.create_index("ix_consent_events_subscriber_id_id", "consent_events", ["subscriber_id", "id"])
    for table in ("consent_events", "signups"):
        op.create_foreign_key(f"fk_{table}_subscriber_id", table, "subscribers", ["subscriber_id"], ["id"])
    for table in (*WORKED_ON[:2], "event_seals", "import_rows", "imports", "form_snapshots", "mail_templates", "subject_keys", "idempotent_requests",
                  "privacy_requests", "retention_runs", "address_key_versions", "erasures", "contexts", "checkpoints", "audit_entries"):
        op.drop_table(table)
    op.execute("DROP FUNCTION current_address_version()")
    op.execute("DROP FUNCTION lock_chain(bigint, bigint, text, bigint, bigint, bigint)")
    for table, column, name, before, _ in VOCABULARIES:
        _set_vocabulary(table, column, name, before)


ADDED = {
    "api_tokens": ("roles",),
    "consent_events": (
        "record_id",
        "seq",
        "lawful_basis",
        "recorded_at",
        "context_id",
        "suspect_scanner",
        "address_hmac",
        "address_version",
        "personal",
        "prev_hash",
        "hash",
        "mac",
    ),
    "deliveries": ("erased_at", "address_change_id"),
    "signups": ("domain_hmac", "entered", "released_at"),
    "subscribers": ("address_version", "rhythm", "local_hour", "time_zone", "address_changed_at"),
    "suppressions": ("address_version",),
}


def _set_vocabulary(table, column, name, words):
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{name}")
    quoted = ", ".join(f"'{word}'" for word in words)
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{name} CHECK ({column} IN ({quoted}))")
