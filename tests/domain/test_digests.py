"""Which articles make an issue, and when there is none."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Candidate, Rules, decide_issue
from service.domain.words import SkipReason

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
RUNNING, GYM, GEAR = 1, 2, 3


def an_article(article_id: int, *topics: int, days_ago: float = 1) -> Candidate:
    return Candidate(article_id, NOW - timedelta(days=days_ago), frozenset(topics))


def test_nothing_before_the_reader_is_nothing_new() -> None:
    assert decide_issue([], Rules(1, 5)) is SkipReason.NOTHING_NEW


def test_fewer_than_the_minimum_wait() -> None:
    assert decide_issue([an_article(1, RUNNING)], Rules(2, 5)) is SkipReason.TOO_FEW
    assert decide_issue([an_article(1, RUNNING), an_article(2, RUNNING)], Rules(2, 5)) == (1, 2)


def test_the_newest_leads_and_ties_go_to_the_lower_id() -> None:
    articles = [an_article(3, days_ago=2), an_article(9, days_ago=1), an_article(2, days_ago=2)]
    assert decide_issue(articles, Rules(1, 5)) == (9, 2, 3)


def test_a_busy_topic_does_not_crowd_out_the_others() -> None:
    busy = [an_article(n, RUNNING, days_ago=n / 10) for n in range(1, 6)]
    quiet = [an_article(20, GYM, days_ago=3), an_article(21, GEAR, days_ago=4)]
    assert decide_issue([*busy, *quiet], Rules(1, 3)) == (1, 20, 21)


candidates = st.lists(
    st.builds(
        an_article,
        st.integers(1, 50),
        st.integers(1, 4),
        st.integers(1, 4),
        days_ago=st.floats(0, 30, allow_nan=False),
    ),
    unique_by=lambda c: c.article_id,
    max_size=30,
)


@given(candidates, st.integers(1, 4), st.integers(0, 6), st.randoms())
def test_an_issue_keeps_the_rules_whatever_the_order_of_its_candidates(
    articles: list[Candidate], least: int, more: int, random: object
) -> None:
    rules = Rules(least, least + more)
    issue = decide_issue(articles, rules)
    shuffled = articles.copy()
    random.shuffle(shuffled)
    assert decide_issue(shuffled, rules) == issue, "the same candidates always make the same issue"
    if isinstance(issue, SkipReason):
        assert len(articles) < rules.min_items
        return
    assert len(set(issue)) == len(issue), "no article twice"
    assert set(issue) <= {c.article_id for c in articles}
    assert len(issue) == min(len(articles), rules.max_items)
    newest = min(articles, key=lambda c: (-c.published_at.timestamp(), c.article_id))
    assert issue[0] == newest.article_id
