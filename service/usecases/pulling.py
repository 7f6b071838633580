"""Reading sources: fetched outside of any transaction, then stored in one transaction per source."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.content.fetch import Fetcher
from service.domain.words import Language
from service.store.transaction import Transaction, TransactionFactory


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """An item of a feed that became no article, and why."""

    item: str
    """Its title, or what else names it."""
    reason: str


@dataclass(frozen=True, slots=True)
class PullResult:
    """What one pull of one source did."""

    source: str
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: tuple[SkippedItem, ...] = ()
    unmapped: tuple[str, ...] = ()
    """Categories of articles that got no topic; only readers who chose no topics get those articles."""
    not_modified: bool = False
    """The feed is the same as last time, so nothing was looked at."""
    error: str | None = None
    """Why nothing was read and nothing was changed."""


def add_source(
    tx: Transaction,
    *,
    slug: str,
    list_slug: str,
    location: str,
    language: Language | None = None,
    topic_map: Mapping[str, str] | None = None,
) -> int:
    """Add a source, or change the one with this slug. Returns its id."""
    raise NotImplementedError


def pull_sources(transaction: TransactionFactory, fetcher: Fetcher, *, slug: str | None = None) -> list[PullResult]:
    """Read every source, or the one with this slug."""
    raise NotImplementedError
