"""first tables"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('api_tokens',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('token_sha256', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_tokens')),
    sa.UniqueConstraint('name', name=op.f('uq_api_tokens_name')),
    sa.UniqueConstraint('token_sha256', name=op.f('uq_api_tokens_token_sha256'))
    )
    op.create_table('lists',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('names', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('list_id', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_lists')),
    sa.UniqueConstraint('list_id', name=op.f('uq_lists_list_id')),
    sa.UniqueConstraint('slug', name=op.f('uq_lists_slug'))
    )
    op.create_table('notices',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('language', sa.Enum('en', 'de', name='language', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('sha256', sa.LargeBinary(), nullable=False),
    sa.Column('published_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notices')),
    sa.UniqueConstraint('language', 'sha256', name=op.f('uq_notices_language_sha256'))
    )
    op.create_table('statements',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('purpose', sa.Enum('digest', 'offers', name='purpose', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('language', sa.Enum('en', 'de', name='language', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('sha256', sa.LargeBinary(), nullable=False),
    sa.Column('published_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_statements')),
    sa.UniqueConstraint('purpose', 'language', 'sha256', name=op.f('uq_statements_purpose_language_sha256'))
    )
    op.create_table('subscribers',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('dedupe_key', sa.Text(), nullable=False),
    sa.Column('address_hmac', sa.LargeBinary(), nullable=False),
    sa.Column('language', sa.Enum('en', 'de', name='language', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('first_name', sa.Text(), nullable=True),
    sa.Column('paused_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_subscribers')),
    sa.UniqueConstraint('address_hmac', name=op.f('uq_subscribers_address_hmac')),
    sa.UniqueConstraint('dedupe_key', name=op.f('uq_subscribers_dedupe_key'))
    )
    op.create_table('worker_processes',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('lane', sa.Enum('interactive', 'bulk', 'inbound', name='lane', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('host', sa.Text(), nullable=False),
    sa.Column('pid', sa.Integer(), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('beat_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_worker_processes'))
    )
    op.create_table('digests',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('list_id', sa.BigInteger(), nullable=False),
    sa.Column('names', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('min_items', sa.Integer(), nullable=False),
    sa.Column('max_items', sa.Integer(), nullable=False),
    sa.Column('max_age_days', sa.Integer(), nullable=False),
    sa.CheckConstraint('0 < min_items AND min_items <= max_items', name=op.f('ck_digests_item_bounds')),
    sa.ForeignKeyConstraint(['list_id'], ['lists.id'], name=op.f('fk_digests_list_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_digests')),
    sa.UniqueConstraint('slug', name=op.f('uq_digests_slug'))
    )
    op.create_table('forms',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('list_id', sa.BigInteger(), nullable=False),
    sa.Column('definition', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('sha256', sa.LargeBinary(), nullable=False),
    sa.Column('published_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['list_id'], ['lists.id'], name=op.f('fk_forms_list_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_forms')),
    sa.UniqueConstraint('slug', 'sha256', name=op.f('uq_forms_slug_sha256'))
    )
    op.create_table('sources',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('list_id', sa.BigInteger(), nullable=False),
    sa.Column('location', sa.Text(), nullable=False),
    sa.Column('language', sa.Enum('en', 'de', name='language', native_enum=False, create_constraint=True, length=32), nullable=True),
    sa.Column('topic_map', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('etag', sa.Text(), nullable=True),
    sa.Column('last_modified', sa.Text(), nullable=True),
    sa.Column('body_sha256', sa.LargeBinary(), nullable=True),
    sa.Column('pulled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('failed_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['list_id'], ['lists.id'], name=op.f('fk_sources_list_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sources')),
    sa.UniqueConstraint('location', name=op.f('uq_sources_location')),
    sa.UniqueConstraint('slug', name=op.f('uq_sources_slug'))
    )
    op.create_table('subscriptions',
    sa.Column('subscriber_id', sa.BigInteger(), nullable=False),
    sa.Column('list_id', sa.BigInteger(), nullable=False),
    sa.Column('purpose', sa.Enum('digest', 'offers', name='purpose', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('state', sa.Enum('pending', 'active', 'unsubscribed', name='subscriptionstate', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('event_id', sa.BigInteger(), nullable=False),
    sa.Column('given_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['list_id'], ['lists.id'], name=op.f('fk_subscriptions_list_id')),
    sa.ForeignKeyConstraint(['subscriber_id'], ['subscribers.id'], name=op.f('fk_subscriptions_subscriber_id')),
    sa.PrimaryKeyConstraint('subscriber_id', 'list_id', 'purpose', name=op.f('pk_subscriptions'))
    )
    op.create_index('ix_subscriptions_active', 'subscriptions', ['list_id', 'purpose', 'subscriber_id'], unique=False, postgresql_where="state = 'active'")
    op.create_table('suppressions',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('address_hmac', sa.LargeBinary(), nullable=False),
    sa.Column('list_id', sa.BigInteger(), nullable=True),
    sa.Column('reason', sa.Enum('permanent_bounce', 'complaint', 'unsubscribe_all', 'manual', name='suppressionreason', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('lifted_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('lifted_at >= created_at', name=op.f('ck_suppressions_lifted_later')),
    sa.ForeignKeyConstraint(['list_id'], ['lists.id'], name=op.f('fk_suppressions_list_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_suppressions'))
    )
    op.create_index('ix_suppressions_in_force', 'suppressions', ['address_hmac'], unique=False, postgresql_where='lifted_at IS NULL')
    op.create_table('topics',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('list_id', sa.BigInteger(), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('names', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('position', sa.Integer(), server_default='0', nullable=False),
    sa.ForeignKeyConstraint(['list_id'], ['lists.id'], name=op.f('fk_topics_list_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_topics')),
    sa.UniqueConstraint('list_id', 'slug', name=op.f('uq_topics_list_id_slug'))
    )
    op.create_table('articles',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('source_id', sa.BigInteger(), nullable=False),
    sa.Column('guid', sa.Text(), nullable=False),
    sa.Column('canonical_url', sa.Text(), nullable=False),
    sa.Column('url_key', sa.Text(), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('summary', sa.Text(), nullable=False),
    sa.Column('author', sa.Text(), nullable=True),
    sa.Column('image_url', sa.Text(), nullable=True),
    sa.Column('image_alt', sa.Text(), nullable=True),
    sa.Column('language', sa.Enum('en', 'de', name='language', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('published_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('first_seen_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['source_id'], ['sources.id'], name=op.f('fk_articles_source_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_articles')),
    sa.UniqueConstraint('source_id', 'guid', name=op.f('uq_articles_source_id_guid')),
    sa.UniqueConstraint('url_key', name=op.f('uq_articles_url_key'))
    )
    op.create_index('ix_articles_language_published_at', 'articles', ['language', 'published_at'], unique=False)
    op.create_table('consent_events',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('subscriber_id', sa.BigInteger(), nullable=False),
    sa.Column('list_id', sa.BigInteger(), nullable=False),
    sa.Column('purpose', sa.Enum('digest', 'offers', name='purpose', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('state', sa.Enum('requested', 'given', 'withdrawn', name='consentstate', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('channel', sa.Enum('form', 'confirmation', 'one_click', 'page', 'control', 'undo', 'operator', name='channel', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('occurred_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('signup_id', sa.BigInteger(), nullable=True),
    sa.Column('statement_id', sa.BigInteger(), nullable=True),
    sa.Column('notice_id', sa.BigInteger(), nullable=True),
    sa.Column('form_id', sa.BigInteger(), nullable=True),
    sa.Column('delivery_id', sa.BigInteger(), nullable=True),
    sa.Column('page_url', sa.Text(), nullable=True),
    sa.Column('ip', postgresql.INET(), nullable=True),
    sa.Column('user_agent', sa.Text(), nullable=True),
    sa.Column('actor', sa.Text(), server_default='subscriber', nullable=False),
    sa.ForeignKeyConstraint(['form_id'], ['forms.id'], name=op.f('fk_consent_events_form_id')),
    sa.ForeignKeyConstraint(['list_id'], ['lists.id'], name=op.f('fk_consent_events_list_id')),
    sa.ForeignKeyConstraint(['notice_id'], ['notices.id'], name=op.f('fk_consent_events_notice_id')),
    sa.ForeignKeyConstraint(['statement_id'], ['statements.id'], name=op.f('fk_consent_events_statement_id')),
    sa.ForeignKeyConstraint(['subscriber_id'], ['subscribers.id'], name=op.f('fk_consent_events_subscriber_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_consent_events'))
    )
    op.create_index('ix_consent_events_subscriber_id_id', 'consent_events', ['subscriber_id', 'id'], unique=False)
    op.create_table('runs',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('digest_id', sa.BigInteger(), nullable=False),
    sa.Column('cutoff_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['digest_id'], ['digests.id'], name=op.f('fk_runs_digest_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_runs'))
    )
    op.create_index(op.f('ix_runs_digest_id'), 'runs', ['digest_id'], unique=False)
    op.create_table('signups',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('dedupe_key', sa.Text(), nullable=False),
    sa.Column('address_hmac', sa.LargeBinary(), nullable=False),
    sa.Column('abuse_hmac', sa.LargeBinary(), nullable=False),
    sa.Column('first_name', sa.Text(), nullable=True),
    sa.Column('language', sa.Enum('en', 'de', name='language', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('list_id', sa.BigInteger(), nullable=False),
    sa.Column('purposes', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('topic_ids', postgresql.ARRAY(sa.BigInteger()), nullable=False),
    sa.Column('form_id', sa.BigInteger(), nullable=False),
    sa.Column('statement_ids', postgresql.ARRAY(sa.BigInteger()), nullable=False),
    sa.Column('notice_id', sa.BigInteger(), nullable=False),
    sa.Column('page_url', sa.Text(), nullable=True),
    sa.Column('ip', postgresql.INET(), nullable=True),
    sa.Column('user_agent', sa.Text(), nullable=True),
    sa.Column('state', sa.Enum('received', 'asked', 'already_active', 'limited', 'suppressed', 'confirmed', 'expired', name='signupstate', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('subscriber_id', sa.BigInteger(), nullable=True),
    sa.Column('mailed', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('confirmed_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['form_id'], ['forms.id'], name=op.f('fk_signups_form_id')),
    sa.ForeignKeyConstraint(['list_id'], ['lists.id'], name=op.f('fk_signups_list_id')),
    sa.ForeignKeyConstraint(['notice_id'], ['notices.id'], name=op.f('fk_signups_notice_id')),
    sa.ForeignKeyConstraint(['subscriber_id'], ['subscribers.id'], name=op.f('fk_signups_subscriber_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_signups'))
    )
    op.create_index('ix_signups_abuse_hmac_created_at', 'signups', ['abuse_hmac', 'created_at'], unique=False)
    op.create_index('ix_signups_received', 'signups', ['id'], unique=False, postgresql_where="state = 'received'")
    op.create_index(op.f('ix_signups_subscriber_id'), 'signups', ['subscriber_id'], unique=False)
    op.create_table('subscriber_topics',
    sa.Column('subscriber_id', sa.BigInteger(), nullable=False),
    sa.Column('topic_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['subscriber_id'], ['subscribers.id'], name=op.f('fk_subscriber_topics_subscriber_id')),
    sa.ForeignKeyConstraint(['topic_id'], ['topics.id'], name=op.f('fk_subscriber_topics_topic_id')),
    sa.PrimaryKeyConstraint('subscriber_id', 'topic_id', name=op.f('pk_subscriber_topics'))
    )
    op.create_index(op.f('ix_subscriber_topics_topic_id'), 'subscriber_topics', ['topic_id'], unique=False)
    op.create_table('article_topics',
    sa.Column('article_id', sa.BigInteger(), nullable=False),
    sa.Column('topic_id', sa.BigInteger(), nullable=False),
    sa.Column('source_id', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['article_id'], ['articles.id'], name=op.f('fk_article_topics_article_id')),
    sa.ForeignKeyConstraint(['source_id'], ['sources.id'], name=op.f('fk_article_topics_source_id')),
    sa.ForeignKeyConstraint(['topic_id'], ['topics.id'], name=op.f('fk_article_topics_topic_id')),
    sa.PrimaryKeyConstraint('article_id', 'topic_id', name=op.f('pk_article_topics'))
    )
    op.create_index(op.f('ix_article_topics_topic_id'), 'article_topics', ['topic_id'], unique=False)
    op.create_table('campaigns',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('list_id', sa.BigInteger(), nullable=False),
    sa.Column('purpose', sa.Enum('digest', 'offers', name='purpose', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('status', sa.Enum('draft', 'planning', 'sending', 'paused', 'sent', 'cancelled', name='campaignstatus', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('subject', sa.Text(), nullable=True),
    sa.Column('body', sa.Text(), nullable=True),
    sa.Column('revision_id', sa.BigInteger(), nullable=True),
    sa.Column('run_id', sa.BigInteger(), nullable=True),
    sa.Column('changed_by', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('ordered_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('planned_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('run_id IS NULL OR revision_id IS NULL', name=op.f('ck_campaigns_one_content')),
    sa.ForeignKeyConstraint(['list_id'], ['lists.id'], name=op.f('fk_campaigns_list_id')),
    sa.ForeignKeyConstraint(['revision_id'], ['revisions.id'], name=op.f('fk_campaigns_revision_id'), use_alter=True),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_campaigns_run_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_campaigns')),
    sa.UniqueConstraint('run_id', name=op.f('uq_campaigns_run_id'))
    )
    op.create_table('issues',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('run_id', sa.BigInteger(), nullable=False),
    sa.Column('language', sa.Enum('en', 'de', name='language', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('article_ids', postgresql.ARRAY(sa.BigInteger()), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_issues_run_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_issues'))
    )
    op.create_index(op.f('ix_issues_run_id'), 'issues', ['run_id'], unique=False)
    op.create_table('revisions',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('campaign_id', sa.BigInteger(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('sha256', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaigns.id'], name=op.f('fk_revisions_campaign_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_revisions'))
    )
    op.create_index(op.f('ix_revisions_campaign_id'), 'revisions', ['campaign_id'], unique=False)
    op.create_table('deliveries',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('lane', sa.Enum('interactive', 'bulk', 'inbound', name='lane', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('kind', sa.Enum('confirmation', 'already_subscribed', 'welcome', 'digest', 'campaign', name='mailkind', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('subscriber_id', sa.BigInteger(), nullable=True),
    sa.Column('test_address', sa.Text(), nullable=True),
    sa.Column('test_language', sa.Enum('en', 'de', name='language', native_enum=False, create_constraint=True, length=32), nullable=True),
    sa.Column('list_id', sa.BigInteger(), nullable=False),
    sa.Column('purpose', sa.Enum('digest', 'offers', name='purpose', native_enum=False, create_constraint=True, length=32), nullable=True),
    sa.Column('campaign_id', sa.BigInteger(), nullable=True),
    sa.Column('revision_id', sa.BigInteger(), nullable=True),
    sa.Column('issue_id', sa.BigInteger(), nullable=True),
    sa.Column('signup_id', sa.BigInteger(), nullable=True),
    sa.Column('status', sa.Enum('queued', 'sending', 'accepted', 'failed', 'skipped', 'cancelled', 'uncertain', name='deliverystatus', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('skip_reason', sa.Enum('no_consent', 'suppressed', 'paused', 'nothing_new', 'too_few', 'expired', name='skipreason', native_enum=False, create_constraint=True, length=32), nullable=True),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('attempts', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('claimed_by', sa.Uuid(), nullable=True),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('message_id', sa.Text(), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("(status = 'sending') = (claimed_by IS NOT NULL)", name=op.f('ck_deliveries_claimed_while_sending')),
    sa.CheckConstraint("(status = 'skipped') = (skip_reason IS NOT NULL)", name=op.f('ck_deliveries_skips_have_reasons')),
    sa.CheckConstraint('(subscriber_id IS NULL) = (test_address IS NOT NULL)', name=op.f('ck_deliveries_one_recipient')),
    sa.CheckConstraint('(test_address IS NULL) = (test_language IS NULL)', name=op.f('ck_deliveries_tests_have_a_language')),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaigns.id'], name=op.f('fk_deliveries_campaign_id')),
    sa.ForeignKeyConstraint(['claimed_by'], ['worker_processes.id'], name=op.f('fk_deliveries_claimed_by')),
    sa.ForeignKeyConstraint(['issue_id'], ['issues.id'], name=op.f('fk_deliveries_issue_id')),
    sa.ForeignKeyConstraint(['list_id'], ['lists.id'], name=op.f('fk_deliveries_list_id')),
    sa.ForeignKeyConstraint(['revision_id'], ['revisions.id'], name=op.f('fk_deliveries_revision_id')),
    sa.ForeignKeyConstraint(['signup_id'], ['signups.id'], name=op.f('fk_deliveries_signup_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['subscriber_id'], ['subscribers.id'], name=op.f('fk_deliveries_subscriber_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deliveries')),
    sa.UniqueConstraint('campaign_id', 'subscriber_id', name=op.f('uq_deliveries_campaign_id_subscriber_id'))
    )
    op.create_index('ix_deliveries_campaign_id_status', 'deliveries', ['campaign_id', 'status'], unique=False)
    op.create_index('ix_deliveries_due', 'deliveries', ['lane', 'campaign_id', 'due_at', 'id'], unique=False, postgresql_where="status = 'queued'")
    op.create_index('ix_deliveries_sending', 'deliveries', ['lease_until'], unique=False, postgresql_where="status = 'sending'")
    op.create_index(op.f('ix_deliveries_signup_id'), 'deliveries', ['signup_id'], unique=False)
    op.create_index('ix_deliveries_subscriber_id_id', 'deliveries', ['subscriber_id', 'id'], unique=False)
    op.create_table('attempts',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('delivery_id', sa.BigInteger(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('phase', sa.Enum('connect', 'tls', 'ehlo', 'auth', 'mail', 'rcpt', 'data', 'eom', name='phase', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('code', sa.SmallInteger(), nullable=True),
    sa.Column('enhanced', sa.Text(), nullable=True),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('fate', sa.Text(), nullable=False),
    sa.Column('scope', sa.Text(), nullable=False),
    sa.Column('relay', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['delivery_id'], ['deliveries.id'], name=op.f('fk_attempts_delivery_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_attempts'))
    )
    op.create_index(op.f('ix_attempts_delivery_id'), 'attempts', ['delivery_id'], unique=False)
    op.create_table('mailed_articles',
    sa.Column('subscriber_id', sa.BigInteger(), nullable=False),
    sa.Column('article_id', sa.BigInteger(), nullable=False),
    sa.Column('delivery_id', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['article_id'], ['articles.id'], name=op.f('fk_mailed_articles_article_id')),
    sa.ForeignKeyConstraint(['delivery_id'], ['deliveries.id'], name=op.f('fk_mailed_articles_delivery_id')),
    sa.ForeignKeyConstraint(['subscriber_id'], ['subscribers.id'], name=op.f('fk_mailed_articles_subscriber_id')),
    sa.PrimaryKeyConstraint('subscriber_id', 'article_id', name=op.f('pk_mailed_articles'))
    )
    op.create_index(op.f('ix_mailed_articles_article_id'), 'mailed_articles', ['article_id'], unique=False)
    op.create_index(op.f('ix_mailed_articles_delivery_id'), 'mailed_articles', ['delivery_id'], unique=False)
    op.create_foreign_key('fk_campaigns_revision_id', 'campaigns', 'revisions', ['revision_id'], ['id'])


def downgrade() -> None:
    op.drop_constraint('fk_campaigns_revision_id', 'campaigns')
    op.drop_index(op.f('ix_mailed_articles_delivery_id'), table_name='mailed_articles')
    op.drop_index(op.f('ix_mailed_articles_article_id'), table_name='mailed_articles')
    op.drop_table('mailed_articles')
    op.drop_index(op.f('ix_attempts_delivery_id'), table_name='attempts')
    op.drop_table('attempts')
    op.drop_index('ix_deliveries_subscriber_id_id', table_name='deliveries')
    op.drop_index(op.f('ix_deliveries_signup_id'), table_name='deliveries')
    op.drop_index('ix_deliveries_sending', table_name='deliveries', postgresql_where="status = 'sending'")
    op.drop_index('ix_deliveries_due', table_name='deliveries', postgresql_where="status = 'queued'")
    op.drop_index('ix_deliveries_campaign_id_status', table_name='deliveries')
    op.drop_table('deliveries')
    op.drop_index(op.f('ix_revisions_campaign_id'), table_name='revisions')
    op.drop_table('revisions')
    op.drop_index(op.f('ix_issues_run_id'), table_name='issues')
    op.drop_table('issues')
    op.drop_table('campaigns')
    op.drop_index(op.f('ix_article_topics_topic_id'), table_name='article_topics')
    op.drop_table('article_topics')
    op.drop_index(op.f('ix_subscriber_topics_topic_id'), table_name='subscriber_topics')
    op.drop_table('subscriber_topics')
    op.drop_index(op.f('ix_signups_subscriber_id'), table_name='signups')
    op.drop_index('ix_signups_received', table_name='signups', postgresql_where="state = 'received'")
    op.drop_index('ix_signups_abuse_hmac_created_at', table_name='signups')
    op.drop_table('signups')
    op.drop_index(op.f('ix_runs_digest_id'), table_name='runs')
    op.drop_table('runs')
    op.drop_index('ix_consent_events_subscriber_id_id', table_name='consent_events')
    op.drop_table('consent_events')
    op.drop_index('ix_articles_language_published_at', table_name='articles')
    op.drop_table('articles')
    op.drop_table('topics')
    op.drop_index('ix_suppressions_in_force', table_name='suppressions', postgresql_where='lifted_at IS NULL')
    op.drop_table('suppressions')
    op.drop_index('ix_subscriptions_active', table_name='subscriptions', postgresql_where="state = 'active'")
    op.drop_table('subscriptions')
    op.drop_table('sources')
    op.drop_table('forms')
    op.drop_table('digests')
    op.drop_table('worker_processes')
    op.drop_table('subscribers')
    op.drop_table('statements')
    op.drop_table('notices')
    op.drop_table('lists')
    op.drop_table('api_tokens')
