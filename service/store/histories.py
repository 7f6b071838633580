"""What readers were mailed before Milepost: a history that somebody brings along, without a delivery."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from service.store.schema import Article, MailedArticle, Subscriber
from service.store.transaction import Transaction


def add_history(tx: Transaction, subscriber_ids: Sequence[int], published_before: datetime) -> None:
    """Note that these readers know every article in their language that was published before that time."""
    known = (
        select(Subscriber.id, Article.id)
        .join(Article, Article.language == Subscriber.language)
        .where(Subscriber.id.in_(subscriber_ids), Article.published_at < published_before)
    )
    tx.session.execute(
        insert(MailedArticle)
        .from_select([MailedArticle.subscriber_id, MailedArticle.article_id], known)
        .on_conflict_do_nothing()
    )
