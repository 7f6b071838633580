"""Digests, runs and issues, and the planning of a run in a few statements for all its readers together."""

from collections.abc import Sequence

from sqlalchemy import select

from service.store.schema import Digest, Run
from service.store.transaction import Transaction


def list_digests(tx: Transaction) -> Sequence[Digest]:
    """Every digest by its slug."""
    return tx.session.scalars(select(Digest).order_by(Digest.slug)).all()


def list_runs(tx: Transaction, digest_slug: str, limit: int = 20) -> Sequence[Run]:
    """The newest runs of a digest first."""
    raise NotImplementedError
