"""Digests, runs and issues, and the planning of a run in a few statements for all its readers together.

A run is planned in one transaction: `gather_readers` puts everybody of the audience into a temporary table with the
articles before them, `list_cohorts` reads the distinct cases, the caller decides each, `add_issues` and
`add_deliveries` write the result down. The primary key of `mailed_articles` refuses whatever would mail an article
twice (invariant 7).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects import postgresql

from service.domain.digests import Candidate
from service.domain.words import CampaignStatus, DeliveryStatus, Language, Purpose, SkipReason
from service.errors import Kind, ServiceError
from service.store.schema import Article, ArticleTopic, Campaign, Delivery, Digest, Issue, Run
from service.store.subscribers import keep_readers
from service.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Cohort:
    """Readers of one language with the same articles before them."""

    language: Language
    article_ids: tuple[int, ...]
    """Ascending."""


def add_digest(
    tx: Transaction,
    *,
    slug: str,
    list_id: int,
    names: Mapping[Language, str],
    min_items: int,
    max_items: int,
    max_age_days: int,
) -> int:
    """Add a digest, or change the one with this slug."""
    values = {
        "list_id": list_id,
        "names": {language.value: name for language, name in names.items()},
        "min_items": min_items,
        "max_items": max_items,
        "max_age_days": max_age_days,
    }
    statement = (
        postgresql.insert(Digest)
        .values(slug=slug, **values)
        .on_conflict_do_update(index_elements=[Digest.slug], set_=values)
        .returning(Digest.id)
    )
    return tx.session.scalars(statement).one()


def get_digest(tx: Transaction, slug: str) -> Digest:
    """The digest with this slug; raises ServiceError (NOT_FOUND)."""
    found = tx.session.scalar(select(Digest).where(Digest.slug == slug))
    if found is None:
        raise ServiceError(
            Kind.NOT_FOUND,
            "digest_unknown",
            f"There is no digest {slug!r}; nothing was done. `milepost digest list` shows them.",
            field="digest",
        )
    return found


def list_digests(tx: Transaction) -> Sequence[Digest]:
    """Every digest by its slug."""
    return tx.session.scalars(select(Digest).order_by(Digest.slug)).all()


def add_run(tx: Transaction, digest: Digest, *, cutoff_at: datetime, by: str) -> tuple[int, int]:
    """A run and the campaign it is sent as, waiting to be planned. Returns both ids (run, campaign)."""
    run = Run(digest_id=digest.id, cutoff_at=cutoff_at, created_at=tx.now)
    tx.session.add(run)
    tx.session.flush()
    campaign = Campaign(
        list_id=digest.list_id,
        purpose=Purpose.DIGEST,
        name=f"{digest.slug} {tx.now:%Y-%m-%d %H:%M}",
        status=CampaignStatus.PLANNING,
        run_id=run.id,
        changed_by=by,
        created_at=tx.now,
        ordered_at=tx.now,
    )
    tx.session.add(campaign)
    tx.session.flush()
    return run.id, campaign.id


def find_run_in_planning(tx: Transaction, digest_id: int) -> int | None:
    """The campaign of a run of this digest that has not been planned yet."""
    return tx.session.scalar(
        select(Campaign.id)
        .join(Run, Run.id == Campaign.run_id)
        .where(Run.digest_id == digest_id, Campaign.status == CampaignStatus.PLANNING)
    )


def get_run(tx: Transaction, run_id: int) -> tuple[Run, Digest]:
    row = tx.session.execute(select(Run, Digest).join(Digest, Digest.id == Run.digest_id).where(Run.id == run_id)).one()
    return row.Run, row.Digest


def list_runs(tx: Transaction, digest_slug: str, limit: int = 20) -> Sequence[Run]:
    """The newest runs of a digest first."""
    digest = get_digest(tx, digest_slug)
    return tx.session.scalars(select(Run).where(Run.digest_id == digest.id).order_by(Run.id.desc()).limit(limit)).all()


def lock_planning(tx: Transaction, list_id: int) -> None:
    """One run of a list is planned at a time, so that two never reach for the same article for the same reader."""
    tx.session.execute(text("SELECT pg_advisory_xact_lock(hashtext('milepost digest planning'), :id)"), {"id": list_id})


def gather_readers(tx: Transaction, *, list_id: int, cutoff_at: datetime, max_age_days: int) -> None:
    """Put the audience into the temporary table `run_readers`, each with the articles before them or a reason."""
    keep_readers(tx)
    tx.session.execute(text("DROP TABLE IF EXISTS run_readers"))
    tx.session.execute(
        text(
            "CREATE TEMPORARY TABLE run_readers (subscriber_id bigint, language text, article_ids bigint[], "
            "reason text, due_at timestamptz) ON COMMIT DROP"
        )
    )
    tx.session.execute(
        text(_GATHER),
        {
            "list": list_id,
            "cutoff": cutoff_at,
            "max_age": timedelta(days=max_age_days),
            "early": EARLY,
            "now": tx.now,
        },
    )


EARLY = timedelta(hours=6)
"""A run may come so much earlier in its day, week or month than the one before, and still be the next one."""

# A rhythm counts from when the last digest of this list was planned, not from when it arrived: a later local hour must
# not cost its reader a run. Weeks are days and months are the calendar's, so runs on the first of each month are all
# taken. What failed or was cancelled counts for nothing.
# A local hour is due at once while it lasts, else when the reader's clocks show it next; an hour that they leap over in
# spring is due where they go on. A time zone that this PostgreSQL does not know is UTC, and stops nobody's digest.
# Who has chosen no topic of the list gets them all: an empty choice on a form means "no preference".
# Who is just being erased is waited for, and passed over; nobody else is erased before the deliveries are there.
# What was old already when it was first seen is an archive, not news: a new source does not flood anybody (peers §2.2).
_GATHER = """
INSERT INTO run_readers
WITH eligible AS MATERIALIZED (
    SELECT a.id, a.language FROM articles a JOIN sources f ON f.id = a.source_id
    WHERE f.list_id = :list AND a.withdrawn_at IS NULL
      AND a.first_seen_at > :cutoff - :max_age
      AND a.published_at BETWEEN a.first_seen_at - :max_age AND :cutoff
), audience AS (
    SELECT s.id, s.language,
           CASE WHEN EXISTS (SELECT 1 FROM suppressions x
                             WHERE x.address_hmac = s.address_hmac AND x.lifted_at IS NULL
                               AND (x.list_id IS NULL OR x.list_id = b.list_id)) THEN 'suppressed'
                WHEN s.paused_until > :now THEN 'paused'
                WHEN last.planned_at > :now - CASE s.rhythm WHEN 'weekly' THEN interval '7 days'
                                                            WHEN 'fortnightly' THEN interval '14 days'
                                                            ELSE interval '1 month' END + :early THEN 'rhythm' END
               AS reason,
           ARRAY(SELECT t.topic_id FROM subscriber_topics t JOIN topics o ON o.id = t.topic_id AND o.list_id = b.list_id
                 WHERE t.subscriber_id = s.id) AS topic_ids,
           s.local_hour, CAST(:now AS timestamptz) AT TIME ZONE coalesce(z.name, 'UTC') AS clock,
           coalesce(z.name, 'UTC') AS zone
    FROM subscriptions b JOIN subscribers s ON s.id = b.subscriber_id
    LEFT JOIN pg_timezone_names z ON z.name = s.time_zone
    LEFT JOIN LATERAL (
        SELECT max(d.created_at) AS planned_at FROM deliveries d
        WHERE s.rhythm <> 'daily' AND d.subscriber_id = s.id AND d.list_id = b.list_id AND d.kind = 'digest'
          AND d.status IN ('queued', 'sending', 'accepted', 'uncertain')
    ) last ON TRUE
    WHERE b.list_id = :list AND b.purpose = 'digest' AND b.state = 'active'
)
SELECT r.id, r.language,
       CASE WHEN r.reason IS NULL THEN ARRAY(
           SELECT e.id FROM eligible e
           WHERE e.language = r.language
             AND (r.topic_ids = '{}' OR EXISTS (SELECT 1 FROM article_topics t
                                                WHERE t.article_id = e.id AND t.topic_id = ANY (r.topic_ids)))
             AND NOT EXISTS (SELECT 1 FROM mailed_articles m WHERE m.subscriber_id = r.id AND m.article_id = e.id)
           ORDER BY e.id) END,
       r.reason,
       CASE WHEN r.local_hour IS NULL OR r.local_hour = extract(hour FROM r.clock) THEN CAST(:now AS timestamptz)
            ELSE (date_trunc('day', r.clock) + make_interval(
                     days => CAST(r.local_hour < extract(hour FROM r.clock) AS int), hours => r.local_hour)
                 ) AT TIME ZONE r.zone END
FROM audience r
"""


def list_cohorts(tx: Transaction) -> list[Cohort]:
    """The distinct cases among the readers who may be mailed."""
    rows = tx.session.execute(
        text("SELECT DISTINCT language, article_ids FROM run_readers WHERE reason IS NULL ORDER BY 1, 2")
    )
    return [Cohort(Language(row.language), tuple(row.article_ids)) for row in rows]


def read_candidates(tx: Transaction, article_ids: set[int]) -> dict[int, Candidate]:
    rows = tx.session.execute(
        select(Article.id, Article.published_at, func.array_agg(ArticleTopic.topic_id).label("topic_ids"))
        .outerjoin(ArticleTopic, ArticleTopic.article_id == Article.id)
        .where(Article.id.in_(article_ids))
        .group_by(Article.id)
    )
    return {
        row.id: Candidate(row.id, row.published_at, frozenset(t for t in row.topic_ids if t is not None))
        for row in rows
    }


def add_issues(tx: Transaction, run_id: int, contents: Sequence[tuple[Language, tuple[int, ...]]]) -> list[int]:
    """One issue per distinct content; the ids in the order given."""
    if not contents:
        return []
    rows = [{"run_id": run_id, "language": language, "article_ids": list(ids)} for language, ids in contents]
    return list(tx.session.scalars(insert(Issue).returning(Issue.id, sort_by_parameter_order=True), rows))


def add_deliveries(
    tx: Transaction, campaign: Campaign, decided: Mapping[Cohort, int | SkipReason]
) -> dict[DeliveryStatus, int]:
    """One delivery per reader of the audience, and the articles of its issue counted as mailed.

    `decided` gives every cohort its issue, or why it gets none. Returns how many are queued and skipped.
    """
    tx.session.execute(text("DROP TABLE IF EXISTS run_cohorts"))
    tx.session.execute(
        text(
            "CREATE TEMPORARY TABLE run_cohorts (language text, article_ids bigint[], issue_id bigint, reason text) "
            "ON COMMIT DROP"
        )
    )
    if decided:
        tx.session.execute(
            text("INSERT INTO run_cohorts VALUES (:language, CAST(:ids AS bigint[]), :issue, :reason)"),
            [
                {
                    "language": cohort.language,
                    "ids": list(cohort.article_ids),
                    "issue": None if isinstance(what, SkipReason) else what,
                    "reason": what if isinstance(what, SkipReason) else None,
                }
                for cohort, what in decided.items()
            ],
        )
    tx.session.execute(text(_DELIVER), {"campaign": campaign.id, "list": campaign.list_id, "now": tx.now})
    tx.session.execute(text(_COUNT_AS_MAILED), {"campaign": campaign.id})
    rows = tx.session.execute(
        select(Delivery.status, func.count().label("readers"))
        .where(Delivery.campaign_id == campaign.id)
        .group_by(Delivery.status)
    )
    return {row.status: row.readers for row in rows}


_DELIVER = """
INSERT INTO deliveries (lane, kind, subscriber_id, list_id, purpose, campaign_id, issue_id,
                        status, skip_reason, due_at, created_at, finished_at)
SELECT 'bulk', 'digest', r.subscriber_id, :list, 'digest', :campaign, c.issue_id,
       CASE WHEN c.issue_id IS NULL THEN 'skipped' ELSE 'queued' END, coalesce(r.reason, c.reason),
       CASE WHEN c.issue_id IS NULL THEN CAST(:now AS timestamptz) ELSE r.due_at END, :now,
       CASE WHEN c.issue_id IS NULL THEN CAST(:now AS timestamptz) END
FROM run_readers r
LEFT JOIN run_cohorts c ON r.reason IS NULL AND c.language = r.language AND c.article_ids = r.article_ids
ORDER BY r.subscriber_id
"""
_COUNT_AS_MAILED = """
INSERT INTO mailed_articles (subscriber_id, article_id, delivery_id)
SELECT d.subscriber_id, unnest(i.article_ids), d.id
FROM deliveries d JOIN issues i ON i.id = d.issue_id
WHERE d.campaign_id = :campaign AND d.status = 'queued'
"""


def count_skipped(tx: Transaction, campaign_id: int) -> dict[SkipReason, int]:
    rows = tx.session.execute(
        select(Delivery.skip_reason, func.count().label("readers"))
        .where(Delivery.campaign_id == campaign_id, Delivery.skip_reason.is_not(None))
        .group_by(Delivery.skip_reason)
    )
    return {row.skip_reason: row.readers for row in rows}
