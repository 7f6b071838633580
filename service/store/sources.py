"""Sources of articles: where they are, how their last pull went."""

from collections.abc import Sequence

from sqlalchemy import select

from service.store.schema import Source
from service.store.transaction import Transaction


def list_sources(tx: Transaction) -> Sequence[Source]:
    """Every source by its slug."""
    return tx.session.scalars(select(Source).order_by(Source.slug)).all()
