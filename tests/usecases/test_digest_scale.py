"""Planning a run costs a few statements for all readers together, whatever their topics and histories."""

import time

import pytest
from sqlalchemy import func, select, text

from service.domain.words import Language, SkipReason
from service.store.schema import Delivery, MailedArticle
from service.store.transaction import Transaction
from service.usecases import digesting
from tests import builders

READERS, ARTICLES, TOPICS = 2_000, 200, 6

FILL = """
WITH topic AS (
    INSERT INTO topics (list_id, slug, names) SELECT :list, 't' || n, '{{"en": "t", "de": "t"}}'
    FROM generate_series(1, {topics}) n RETURNING id
), reader AS (
    INSERT INTO subscribers (address, dedupe_key, address_hmac, language)
    SELECT n || '@a.example', n || '@a.example', sha256(n::text::bytea), CASE WHEN n % 3 = 0 THEN 'de' ELSE 'en' END
    FROM generate_series(1, {readers}) n RETURNING id
), subscribed AS (
    INSERT INTO subscriptions (subscriber_id, list_id, purpose, state, event_id)
    SELECT id, :list, 'digest', 'active', 0 FROM reader
), interest AS (
    INSERT INTO subscriber_topics (subscriber_id, topic_id)
    SELECT r.id, t.id FROM reader r, topic t WHERE (r.id * 7 + t.id) % 3 = 0
), article AS (
    INSERT INTO articles (source_id, guid, canonical_url, url_key, title, summary, language, published_at,
                          first_seen_at)
    SELECT :source, n, 'https://hub.example/' || n, n, 'Article ' || n, '', CASE WHEN n % 2 = 0 THEN 'de' ELSE 'en' END,
           CAST(:now AS timestamptz) - n * interval '1 hour', CAST(:now AS timestamptz) - interval '1 day'
    FROM generate_series(1, {articles}) n RETURNING id
), about AS (
    INSERT INTO article_topics (article_id, topic_id)
    SELECT a.id, t.id FROM article a, topic t WHERE (a.id + t.id) % {topics} < 2
)
INSERT INTO mailed_articles (subscriber_id, article_id)
SELECT r.id, a.id FROM reader r, article a WHERE {history}
"""
HISTORIES = {
    "most readers have the same": "a.id % 4 = 0 AND r.id % 5 > 0",
    "every reader has another": "(a.id * 31 + r.id * 17) % 101 < 20",
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES.keys())
def test_planning_2000_readers_takes_seconds_not_minutes(tx: Transaction, history: str) -> None:
    list_id = builders.a_list(tx, "hub")
    source = tx.session.scalar(
        text("INSERT INTO sources (slug, list_id, location) VALUES ('feed', :list, '/f') RETURNING id"),
        {"list": list_id},
    )
    fill = FILL.format(readers=READERS, articles=ARTICLES, topics=TOPICS, history=history)
    tx.session.execute(text(fill), {"list": list_id, "source": source, "now": tx.now})
    digesting.add_digest(tx, slug="hub", list_slug="hub", names={Language.EN: "T", Language.DE: "T"}, max_items=5)
    campaign = digesting.start_run(tx, "hub", by="ada").campaign_id
    before = tx.session.scalar(select(func.count()).select_from(MailedArticle)) or 0
    start = time.perf_counter()
    planned = digesting.plan_run(tx, campaign)
    seconds = time.perf_counter() - start
    assert planned is not None
    assert planned.audience == READERS == planned.queued + sum(planned.skipped.values())
    assert set(planned.skipped) <= {SkipReason.NOTHING_NEW}
    assert planned.queued > READERS / 2
    assert tx.session.scalar(select(func.count()).select_from(MailedArticle)) == before + 5 * planned.queued
    assert tx.session.scalar(select(func.count()).select_from(Delivery)) == READERS
    assert seconds < 10
