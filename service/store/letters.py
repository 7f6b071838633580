"""What each mail says: deliveries read together with their reader, list, revision, issue and sign-up."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import text

from service.domain.letters import Letter, LetterArticle, LetterChange, LetterNotice, LetterSignup
from service.domain.words import Language, MailKind, Purpose
from service.store.transaction import Transaction


def read_letters(tx: Transaction, delivery_ids: Sequence[int]) -> list[Letter]:
    """The letters of these deliveries, in their order; claimed ones only, for a letter needs its Message-ID."""
    ids = {"ids": list(delivery_ids)}
    rows = {row["id"]: row for row in tx.session.execute(text(_LETTERS), ids).mappings()}
    issues = any(row["article_ids"] for row in rows.values())
    articles = _read_articles(tx, ids) if issues else {}
    letters = [_letter(dict(rows[delivery_id]), articles.get(delivery_id, ())) for delivery_id in delivery_ids]
    if any(letter.kind is MailKind.OPERATOR_NOTICE for letter in letters):
        told = _read_notices(tx, ids)
        letters = [replace(letter, notice=told.get(letter.delivery_id)) for letter in letters]
    return letters


# A confirmation speaks the language of the form, and repeats nothing that somebody typed into it (E-09).
_LETTERS = """
SELECT d.id, d.kind, d.test_address IS NOT NULL AND d.kind <> 'operator_notice' AS test, d.subscriber_id,
       CASE WHEN d.kind = 'address_change' THEN nullif(h.address, '') ELSE coalesce(s.address, d.test_address) END
           AS address,
       coalesce(d.test_language, CASE WHEN d.kind IN ('confirmation', 'repermission') THEN g.language END, s.language)
           AS language,
       CASE WHEN d.kind NOT IN ('confirmation', 'repermission') THEN s.first_name END AS first_name,
       d.list_id, l.names AS list_names, l.list_id AS list_header_id, d.purpose,
       coalesce(d.campaign_id, r.campaign_id) AS campaign_id, d.message_id, b.given_at, b.event_id,
       coalesce(e.lawful_basis = 'imported', false) AS imported,
       g.id AS signup_id, g.created_at AS requested_at, g.expires_at, g.purposes,
       h.id AS change_id, h.expires_at AS change_expires_at, r.subject, r.body, i.article_ids
FROM deliveries d
JOIN lists l ON l.id = d.list_id
LEFT JOIN subscribers s ON s.id = d.subscriber_id
LEFT JOIN subscriptions b ON b.subscriber_id = d.subscriber_id AND b.list_id = d.list_id AND b.purpose = d.purpose
LEFT JOIN consent_events e ON e.id = b.event_id
LEFT JOIN signups g ON g.id = d.signup_id
LEFT JOIN address_changes h ON h.id = d.address_change_id
LEFT JOIN revisions r ON r.id = d.revision_id
LEFT JOIN issues i ON i.id = d.issue_id
WHERE d.id = ANY(:ids)
"""

_ARTICLES = """
SELECT d.id AS delivery_id, a.id, a.title, a.summary, a.canonical_url, a.author, a.image_url, a.image_alt,
       a.published_at, array(
           SELECT coalesce(t.names ->> s.language, t.slug)
           FROM article_topics o
           JOIN topics t ON t.id = o.topic_id
           JOIN subscriber_topics c ON c.topic_id = o.topic_id AND c.subscriber_id = d.subscriber_id
           WHERE o.article_id = a.id ORDER BY t.position, t.id) AS topics
FROM deliveries d
JOIN subscribers s ON s.id = d.subscriber_id
JOIN issues i ON i.id = d.issue_id
CROSS JOIN LATERAL unnest(i.article_ids) WITH ORDINALITY AS shown(article_id, place)
JOIN articles a ON a.id = shown.article_id
WHERE d.id = ANY(:ids) ORDER BY d.id, shown.place
"""


_NOTICES = """
SELECT m.delivery_id, m.is_over, n.began_at, n.ended_at, n.facts
FROM operator_mails m JOIN operator_notices n ON n.id = m.notice_id WHERE m.delivery_id = ANY(:ids)
"""


def _read_notices(tx: Transaction, ids: dict[str, list[int]]) -> dict[int, LetterNotice]:
    rows = tx.session.execute(text(_NOTICES), ids)
    return {row.delivery_id: LetterNotice(row.is_over, row.began_at, row.facts, row.ended_at) for row in rows}


def _read_articles(tx: Transaction, ids: dict[str, list[int]]) -> dict[int, list[LetterArticle]]:
    articles: dict[int, list[LetterArticle]] = defaultdict(list)
    for row in tx.session.execute(text(_ARTICLES), ids):
        articles[row.delivery_id].append(
            LetterArticle(
                id=row.id,
                title=row.title,
                summary=row.summary,
                url=row.canonical_url,
                author=row.author,
                image_url=row.image_url,
                image_alt=row.image_alt,
                topics=tuple(row.topics),
                published_at=row.published_at,
            )
        )
    return articles


def _letter(row: dict[str, Any], articles: Sequence[LetterArticle]) -> Letter:
    signup = None
    if row["signup_id"] is not None and row["expires_at"] is not None:
        purposes = tuple(Purpose(purpose) for purpose in row["purposes"])
        signup = LetterSignup(row["signup_id"], row["requested_at"], row["expires_at"], purposes)
    change = LetterChange(row["change_id"], row["change_expires_at"]) if row["change_id"] is not None else None
    names: dict[str, str] = row["list_names"]
    return Letter(
        delivery_id=row["id"],
        kind=MailKind(row["kind"]),
        test=row["test"],
        subscriber_id=row["subscriber_id"],
        address=row["address"],
        language=Language(row["language"]),
        first_name=row["first_name"],
        list_id=row["list_id"],
        list_name=names.get(row["language"]) or next(iter(names.values())),
        list_header_id=row["list_header_id"],
        purpose=Purpose(row["purpose"]) if row["purpose"] else None,
        campaign_id=row["campaign_id"],
        message_id=row["message_id"],
        given_at=row["given_at"],
        imported=row["imported"],
        event_id=row["event_id"],
        signup=signup,
        change=change,
        subject=row["subject"],
        body=row["body"],
        articles=tuple(articles),
    )
