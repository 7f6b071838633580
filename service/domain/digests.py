"""What goes into one issue of a digest: decided once for all readers who have the same articles before them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from service.domain.words import SkipReason

MOST_ITEMS = 20
"""Articles in one issue: so many, with long titles and summaries, stay below what mail clients show (A-43)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An article that a reader may be mailed: in their language and topics, new enough, never mailed to them."""

    article_id: int
    published_at: datetime
    topic_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Rules:
    """How many articles an issue holds: 0 < min_items <= max_items."""

    min_items: int
    max_items: int


def decide_issue(candidates: Iterable[Candidate], rules: Rules) -> tuple[int, ...] | SkipReason:
    """The article ids of the issue in the order they are shown, or why there is none.

    The newest article leads. Then come, newest first, those whose topics have been shown least, so that one busy topic
    does not crowd out the others. Ties go to the lower id: the same candidates always make the same issue. What does
    not fit stays unmailed, and so is before the reader again next time.
    """
    left = sorted(candidates, key=lambda c: (-c.published_at.timestamp(), c.article_id))
    if not left:
        return SkipReason.NOTHING_NEW
    if len(left) < rules.min_items:
        return SkipReason.TOO_FEW
    chosen: list[int] = []
    shown: Counter[int] = Counter()
    while left and len(chosen) < rules.max_items:
        # min() keeps the first of equals, and `left` is in order of recency.
        best = min(left, key=lambda c: sum(shown[topic] for topic in c.topic_ids))
        left.remove(best)
        chosen.append(best.article_id)
        shown.update(best.topic_ids)
    return tuple(chosen)
