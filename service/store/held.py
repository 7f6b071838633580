"""Reads all that is held about one person, table by table (GDPR 15, D-13).

Whoever adds a table that says something about a person adds it here; `test_every_table_about_a_person_is_read` asks.
"""

from typing import Any

from sqlalchemy import text

from service.domain.held import (
    HeldArticle,
    HeldArticleRead,
    HeldChange,
    HeldFormerAddress,
    HeldImportRow,
    HeldLook,
    HeldMail,
    HeldProfile,
    HeldRequest,
    HeldSignup,
    HeldSubscription,
    HeldSuppression,
)
from service.store.schema import Subscriber
from service.store.transaction import Transaction


def find_profile(tx: Transaction, subscriber_id: int, language: str | None) -> HeldProfile | None:
    row = tx.session.get(Subscriber, subscriber_id, populate_existing=True)
    if row is None:
        return None
    topics = tx.session.scalars(text(_TOPICS), {"id": subscriber_id, "language": language or row.language.value})
    return HeldProfile(
        subscriber_id=row.id,
        address=row.address,
        language=row.language.value,
        first_name=row.first_name,
        rhythm=row.rhythm.value,
        local_hour=row.local_hour,
        time_zone=row.time_zone,
        paused_until=row.paused_until,
        created_at=row.created_at,
        address_changed_at=row.address_changed_at,
        topics=tuple(topics),
    )


def list_subscriptions(tx: Transaction, subscriber_id: int, language: str) -> tuple[HeldSubscription, ...]:
    return tuple(HeldSubscription(**row) for row in _rows(tx, _SUBSCRIPTIONS, subscriber_id, language=language))


def list_events(tx: Transaction, subscriber_id: int, language: str) -> list[dict[str, Any]]:
    """The columns of `HeldEvent`, with `sealed` still encrypted instead of `personal`; oldest first."""
    return _rows(tx, _EVENTS, subscriber_id, language=language)


def list_confirmation_mails(tx: Transaction, subscriber_id: int) -> list[dict[str, Any]]:
    """delivery_id, written_at, sealed. None that asked another address about a change, unless that answered."""
    return _rows(tx, _CONFIRMATION_MAILS, subscriber_id)


def list_signups(tx: Transaction, subscriber_id: int) -> tuple[HeldSignup, ...]:
    rows = _rows(tx, _SIGNUPS, subscriber_id)
    return tuple(HeldSignup(**row | {"purposes": tuple(row["purposes"])}) for row in rows)


def list_mails(tx: Transaction, subscriber_id: int) -> tuple[HeldMail, ...]:
    """The newest first. Not those that asked another address about a change: their fate is that mailbox's secret."""
    return tuple(
        HeldMail(
            **row
            | {
                "articles": tuple(HeldArticle(title, url) for title, url in row["articles"] or ()),
                "answers": tuple(row["answers"]),
            }
        )
        for row in _rows(tx, _MAILS, subscriber_id)
    )


def list_articles(tx: Transaction, subscriber_id: int) -> tuple[HeldArticleRead, ...]:
    return tuple(HeldArticleRead(**row) for row in _rows(tx, _ARTICLES, subscriber_id))


def list_suppressions(tx: Transaction, subscriber_id: int) -> tuple[HeldSuppression, ...]:
    return tuple(HeldSuppression(**row) for row in _rows(tx, _SUPPRESSIONS, subscriber_id))


def list_import_rows(tx: Transaction, subscriber_id: int) -> tuple[HeldImportRow, ...]:
    return tuple(HeldImportRow(**row) for row in _rows(tx, _IMPORTS, subscriber_id))


def list_address_changes(tx: Transaction, subscriber_id: int) -> tuple[HeldChange, ...]:
    return tuple(HeldChange(**row) for row in _rows(tx, _CHANGES, subscriber_id))


def list_former_addresses(tx: Transaction, subscriber_id: int) -> tuple[HeldFormerAddress, ...]:
    return tuple(HeldFormerAddress(**row) for row in _rows(tx, _FORMER_ADDRESSES, subscriber_id))


def list_privacy_requests(tx: Transaction, subscriber_id: int) -> tuple[HeldRequest, ...]:
    return tuple(HeldRequest(**row) for row in _rows(tx, _REQUESTS, subscriber_id))


def list_looks(tx: Transaction, subscriber_id: int) -> tuple[HeldLook, ...]:
    return tuple(HeldLook(**row) for row in _rows(tx, _LOOKS, subscriber_id))


def _rows(tx: Transaction, statement: str, subscriber_id: int, **values: object) -> list[dict[str, Any]]:
    found = tx.session.execute(text(statement), {"id": subscriber_id, **values}).mappings()
    return [dict(row) for row in found]


_TOPICS = """
SELECT coalesce(t.names ->> :language, t.slug) FROM subscriber_topics c JOIN topics t ON t.id = c.topic_id
WHERE c.subscriber_id = :id ORDER BY t.list_id, t.position, t.slug
"""
_SUBSCRIPTIONS = """
SELECT l.slug AS list, coalesce(l.names ->> :language, l.slug) AS list_name, b.purpose, b.state, b.given_at,
       b.updated_at
FROM subscriptions b JOIN lists l ON l.id = b.list_id
WHERE b.subscriber_id = :id ORDER BY l.id, b.purpose
"""
_EVENTS = """
SELECT e.id AS event_id, e.record_id::text AS record_id, e.occurred_at, l.slug AS list,
       coalesce(l.names ->> :language, l.slug) AS list_name, e.purpose, e.state, e.channel, e.lawful_basis, e.actor,
       s.body AS statement, s.language AS statement_language, e.notice_id, e.personal AS sealed
FROM consent_events e JOIN lists l ON l.id = e.list_id LEFT JOIN statements s ON s.id = e.statement_id
WHERE e.subscriber_id = :id ORDER BY e.seq
"""
_CONFIRMATION_MAILS = """
SELECT m.delivery_id, m.written_at, m.sealed FROM confirmation_mails m JOIN deliveries d ON d.id = m.delivery_id
WHERE m.subscriber_id = :id AND (d.kind <> 'address_change' OR EXISTS (
    SELECT FROM consent_events e WHERE e.subscriber_id = :id AND e.delivery_id = m.delivery_id))
ORDER BY m.delivery_id
"""
# A sign-up that was kept back knows no subscriber, but it is this address's.
_SIGNUPS = """
SELECT g.created_at, l.slug AS list, g.purposes, g.state, g.language, g.address, g.first_name, g.page_url,
       host(g.ip) AS ip, g.user_agent, g.decided_at, g.confirmed_at
FROM signups g JOIN lists l ON l.id = g.list_id
WHERE g.subscriber_id = :id OR g.address_hmac = (SELECT s.address_hmac FROM subscribers s WHERE s.id = :id)
ORDER BY g.id
"""
_MAILS = """
SELECT d.id AS delivery_id, d.kind, l.slug AS list, d.purpose, r.subject, i.language, d.status, d.skip_reason,
       d.created_at, d.due_at, d.finished_at, d.message_id,
       (SELECT jsonb_agg(jsonb_build_array(a.title, a.canonical_url) ORDER BY shown.place)
        FROM unnest(i.article_ids) WITH ORDINALITY AS shown(article_id, place)
        JOIN articles a ON a.id = shown.article_id) AS articles,
       ARRAY(SELECT t.text FROM attempts t WHERE t.delivery_id = d.id ORDER BY t.id) AS answers
FROM deliveries d
JOIN lists l ON l.id = d.list_id
LEFT JOIN revisions r ON r.id = d.revision_id
LEFT JOIN issues i ON i.id = d.issue_id
WHERE d.subscriber_id = :id AND d.kind <> 'address_change' ORDER BY d.id DESC
"""
_ARTICLES = """
SELECT a.title, a.canonical_url AS url, m.delivery_id
FROM mailed_articles m JOIN articles a ON a.id = m.article_id
WHERE m.subscriber_id = :id ORDER BY a.published_at DESC, a.id
"""
_SUPPRESSIONS = """
SELECT x.reason, x.source, l.slug AS list, x.created_at, x.lifted_at
FROM suppressions x LEFT JOIN lists l ON l.id = x.list_id
WHERE x.address_hmac = (SELECT s.address_hmac FROM subscribers s WHERE s.id = :id) ORDER BY x.id
"""
_IMPORTS = """
SELECT i.source_system, i.created_at AS imported_at, r.line, r.verdict, r.reason, r.admitted_at
FROM import_rows r JOIN imports i ON i.id = r.import_id
WHERE r.subscriber_id = :id OR r.address_hmac = (SELECT s.address_hmac FROM subscribers s WHERE s.id = :id)
ORDER BY i.id, r.line
"""
_CHANGES = """
SELECT address, created_at, expires_at FROM address_changes
WHERE subscriber_id = :id AND address <> '' ORDER BY id
"""
_FORMER_ADDRESSES = "SELECT left_at FROM former_addresses WHERE subscriber_id = :id ORDER BY left_at"
_REQUESTS = """
SELECT kind, asked_by, asked_at, due_at, done_at FROM privacy_requests WHERE subscriber_id = :id ORDER BY id
"""
_LOOKS = """
SELECT at, act, reason FROM audit_entries
WHERE details @> jsonb_build_object('subscriber_id', CAST(:id AS bigint))
   OR details @> jsonb_build_object('subjects', jsonb_build_array(CAST(:id AS bigint)))
ORDER BY id
"""
