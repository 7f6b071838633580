"""What each mail says: deliveries read together with their reader, list, revision, issue and sign-up."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from sqlalchemy import text

from service.domain.letters import Letter, LetterArticle, LetterChange, LetterNotice, LetterSignup
from service.domain.words import Language, Layout, MailKind, Purpose
from service.store.transaction import Transaction


def read_letters(tx: Transaction, delivery_ids: Sequence[int]) -> list[Letter]:
    """The letters of these deliveries, in their order; claimed ones only, for a letter needs its Message-ID.

    What many have in common (list, revision, articles) is read once, and is one object in all of them.
    """
    ids = {"ids": list(delivery_ids)}
    rows = tx.session.execute(text(_LETTERS), ids).all()
    shared = _Shared(tx, rows, _LETTERS_AT)
    letters = {row[0]: _letter(row, shared) for row in rows}
    if any(letter.kind is MailKind.OPERATOR_NOTICE for letter in letters.values()):
        told = _read_notices(tx, ids)
        letters = {key: replace(letter, notice=told.get(key)) for key, letter in letters.items()}
    return [letters[delivery_id] for delivery_id in delivery_ids]


def write_bulk(tx: Transaction, rows: Sequence[Sequence[Any]]) -> list[Letter]:
    """The letters of what was claimed of a campaign, from what the claim has read already (`claims.Claimed`)."""
    shared = _Shared(tx, rows, _BULK_AT)
    return [_bulk_letter(row, shared) for row in rows]


# A confirmation speaks the language of the form, and repeats nothing that somebody typed into it (E-09).
_LETTERS = """
SELECT d.id, d.kind, d.test_address IS NOT NULL AND d.kind <> 'operator_notice' AS test, d.subscriber_id,
       CASE WHEN d.kind = 'address_change' THEN nullif(h.address, '') ELSE coalesce(s.address, d.test_address) END
           AS address,
       coalesce(d.test_language, CASE WHEN d.kind IN ('confirmation', 'repermission') THEN g.language END, s.language)
           AS language,
       CASE WHEN d.kind NOT IN ('confirmation', 'repermission') THEN s.first_name END AS first_name,
       d.list_id, d.purpose, d.campaign_id, d.message_id, b.given_at, b.event_id,
       coalesce(e.lawful_basis = 'imported', false) AS imported,
       d.revision_id, d.issue_id, s.language AS topic_language,
       g.id AS signup_id, g.created_at AS requested_at, g.expires_at, g.purposes,
       h.id AS change_id, h.expires_at AS change_expires_at
FROM deliveries d
LEFT JOIN subscribers s ON s.id = d.subscriber_id
LEFT JOIN subscriptions b ON b.subscriber_id = d.subscriber_id AND b.list_id = d.list_id AND b.purpose = d.purpose
LEFT JOIN consent_events e ON e.id = b.event_id
LEFT JOIN signups g ON g.id = d.signup_id
LEFT JOIN address_changes h ON h.id = d.address_change_id
WHERE d.id = ANY(:ids)
"""
_LETTERS_AT = {"subscriber": 3, "list": 7, "revision": 14, "issue": 15}
_BULK_AT = {"subscriber": 5, "list": 9, "revision": 16, "issue": 17}
"""Where these stand in a row."""

_LISTS = "SELECT id, names, list_id FROM lists WHERE id = ANY(:ids)"
_REVISIONS = "SELECT id, campaign_id, subject, body, layout FROM revisions WHERE id = ANY(:ids)"
_ISSUES = "SELECT id, article_ids FROM issues WHERE id = ANY(:ids)"
_ARTICLES = """
SELECT id, title, summary, canonical_url, author, image_url, image_alt, published_at
FROM articles WHERE id = ANY(:ids)
"""
_TOPICS = """
SELECT o.article_id, t.id, t.slug, t.names
FROM article_topics o JOIN topics t ON t.id = o.topic_id
WHERE o.article_id = ANY(:ids) ORDER BY t.position, t.id
"""
_CHOSEN = """
SELECT subscriber_id, array_agg(topic_id ORDER BY topic_id)
FROM subscriber_topics WHERE subscriber_id = ANY(:ids) GROUP BY subscriber_id
"""

_NOTICES = """
SELECT m.delivery_id, m.is_over, n.began_at, n.ended_at, n.facts
FROM operator_mails m JOIN operator_notices n ON n.id = m.notice_id WHERE m.delivery_id = ANY(:ids)
"""


def _read_notices(tx: Transaction, ids: dict[str, list[int]]) -> dict[int, LetterNotice]:
    rows = tx.session.execute(text(_NOTICES), ids)
    return {row.delivery_id: LetterNotice(row.is_over, row.began_at, row.facts, row.ended_at) for row in rows}


_KINDS = {kind.value: kind for kind in MailKind}
_LANGUAGES = {language.value: language for language in Language}
_LAYOUTS = {layout.value: layout for layout in Layout}
_NO_REVISION = None, None, None, Layout.CARD.value
_PURPOSES = {purpose.value: purpose for purpose in Purpose}


class _Shared:
    """What the letters of a batch have in common."""

    def __init__(self, tx: Transaction, rows: Sequence[Sequence[Any]], at: Mapping[str, int]) -> None:
        self._tx = tx
        lists, revised, issued = (set(map(itemgetter(at[what]), rows)) for what in ("list", "revision", "issue"))
        self.lists = {row[0]: row[1:] for row in self._read(_LISTS, lists)}
        self._list_names: dict[tuple[int, str], str] = {}
        self.revisions = {row[0]: row[1:] for row in self._read(_REVISIONS, revised)}
        issues = {row[0]: row[1] for row in self._read(_ISSUES, issued)}
        self._shown: dict[tuple[Any, ...], tuple[LetterArticle, ...]] = {}
        articles = {article for ids in issues.values() for article in ids}
        self._articles = {row[0]: row for row in self._read(_ARTICLES, articles)}
        self._topics: dict[int, list[tuple[int, str, dict[str, str]]]] = defaultdict(list)
        for article, *topic in self._read(_TOPICS, articles):
            self._topics[article].append((topic[0], topic[1], topic[2]))
        self._issues = {
            issue: ([article for article in ids if article in self._articles], self._topics_of(ids))
            for issue, ids in issues.items()
        }
        readers = {row[at["subscriber"]] for row in rows if row[at["issue"]] is not None}
        self._chosen = {row[0]: frozenset(row[1]) for row in self._read(_CHOSEN, readers)}

    def _read(self, statement: str, ids: Iterable[int | None]) -> Iterable[Sequence[Any]]:
        wanted = [each for each in ids if each is not None]
        return self._tx.session.execute(text(statement), {"ids": wanted}).all() if wanted else ()

    def list_name(self, list_id: int, language: str) -> str:
        """In this language, or whatever it has."""
        if (name := self._list_names.get((list_id, language))) is None:
            names = self.lists[list_id][0]
            name = self._list_names[list_id, language] = names.get(language) or next(iter(names.values()))
        return name

    def _topics_of(self, articles: Iterable[int]) -> frozenset[int]:
        return frozenset(topic[0] for article in articles for topic in self._topics.get(article, ()))

    def articles(self, issue_id: int, subscriber_id: int, language: str) -> tuple[LetterArticle, ...]:
        """An issue's articles with the topics that the reader chose; the same object for all who chose the same."""
        if issue_id not in self._issues:
            return ()
        ids, topics = self._issues[issue_id]
        chosen = self._chosen.get(subscriber_id, frozenset()) & topics
        key = (issue_id, language, chosen)
        if (shown := self._shown.get(key)) is None:
            shown = self._shown[key] = tuple(self._article(article, language, chosen) for article in ids)
        return shown

    def _article(self, article_id: int, language: str, chosen: frozenset[int]) -> LetterArticle:
        key, title, summary, url, author, image_url, image_alt, published_at = self._articles[article_id]
        names = [
            slug if (name := names.get(language)) is None else name
            for topic, slug, names in self._topics.get(article_id, ())
            if topic in chosen
        ]
        return LetterArticle(key, title, summary, url, author, image_url, image_alt, tuple(names), published_at)


def _letter(row: Sequence[Any], shared: _Shared) -> Letter:
    (
        delivery_id, kind, test, subscriber_id, address, language, first_name, list_id, purpose, campaign_id,
        message_id, given_at, event_id, imported, revision_id, issue_id, topic_language, signup_id, requested_at,
        expires_at, purposes, change_id, change_expires_at,
    ) = row  # fmt: skip
    signup = change = None
    if signup_id is not None and expires_at is not None:
        signup = LetterSignup(signup_id, requested_at, expires_at, tuple(_PURPOSES[each] for each in purposes))
    if change_id is not None:
        change = LetterChange(change_id, change_expires_at)
    revised, subject, body, layout = _NO_REVISION if revision_id is None else shared.revisions[revision_id]
    return Letter(
        delivery_id=delivery_id,
        kind=_KINDS[kind],
        test=test,
        subscriber_id=subscriber_id,
        address=address,
        language=_LANGUAGES[language],
        first_name=first_name,
        list_id=list_id,
        list_name=shared.list_name(list_id, language),
        list_header_id=shared.lists[list_id][1],
        purpose=_PURPOSES[purpose] if purpose else None,
        campaign_id=revised if campaign_id is None else campaign_id,
        message_id=message_id,
        given_at=given_at,
        imported=imported,
        event_id=event_id,
        signup=signup,
        change=change,
        subject=subject,
        body=body,
        layout=_LAYOUTS[layout],
        articles=()
        if issue_id is None or topic_language is None
        else shared.articles(issue_id, subscriber_id, topic_language),
    )


def _bulk_letter(row: Sequence[Any], shared: _Shared) -> Letter:
    (
        delivery_id, _, _, _, kind, subscriber_id, address, language, first_name, list_id, purpose, campaign_id,
        message_id, given_at, event_id, imported, revision_id, issue_id,
    ) = row  # fmt: skip
    _, subject, body, layout = _NO_REVISION if revision_id is None else shared.revisions[revision_id]
    # By position, in the order of Letter's fields: for a million readers their names cost a second.
    return Letter(
        delivery_id,
        _KINDS[kind],
        False,
        subscriber_id,
        address,
        _LANGUAGES[language],
        first_name,
        list_id,
        shared.list_name(list_id, language),
        shared.lists[list_id][1],
        _PURPOSES[purpose],
        campaign_id,
        message_id,
        given_at,
        imported,
        event_id,
        subject=subject,
        body=body,
        layout=_LAYOUTS[layout],
        articles=() if issue_id is None else shared.articles(issue_id, subscriber_id, language),
    )
