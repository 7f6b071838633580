"""Runs of a digest: who gets which articles, who gets none and why, and that nothing is mailed twice."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select, text

from service.domain.words import (
    CampaignStatus,
    DeliveryStatus,
    Lane,
    Language,
    Purpose,
    SkipReason,
    SubscriptionState,
    SuppressionReason,
)
from service.errors import ServiceError
from service.ports import Hint
from service.store import engine as store_engine
from service.store.schema import (
    Article,
    ArticleTopic,
    Campaign,
    Delivery,
    Issue,
    MailedArticle,
    Source,
    Subscriber,
    SubscriberTopic,
    Suppression,
    Topic,
)
from service.store.transaction import Transaction, TransactionFactory, factory
from service.usecases import digesting
from tests import builders
from tests.conftest import FrozenClock, HintList


@pytest.fixture(scope="module")
def shared_engine(empty_engine: Engine) -> Engine:
    """These have lists of their own."""
    return empty_engine


@dataclass
class Hub:
    """A list with a digest, topics and articles, made plainly."""

    tx: Transaction
    list_id: int = 0
    topics: dict[str, int] = field(default_factory=dict)
    source_id: int = 0

    def __post_init__(self) -> None:
        self.list_id = builders.a_list(self.tx, "hub")
        for slug in ("running", "gym"):
            topic = Topic(list_id=self.list_id, slug=slug, names={"en": slug, "de": slug})
            self.tx.session.add(topic)
            self.tx.session.flush()
            self.topics[slug] = topic.id
        source = Source(slug="feed", list_id=self.list_id, location="https://hub.example/feed", topic_map={})
        self.tx.session.add(source)
        self.tx.session.flush()
        self.source_id = source.id
        self.set_bounds()

    def set_bounds(self, least: int = 1, most: int = 3, days: int = 30) -> None:
        digesting.add_digest(
            self.tx,
            slug="hub",
            list_slug="hub",
            names={Language.EN: "Training", Language.DE: "Training"},
            min_items=least,
            max_items=most,
            max_age_days=days,
        )

    def article(
        self,
        title: str,
        *topics: str,
        language: Language = Language.EN,
        published: float = 1,
        seen: float = 1,
        withdrawn: bool = False,
    ) -> int:
        """`published` and `seen` are days ago."""
        now = self.tx.now
        article = Article(
            source_id=self.source_id,
            guid=title,
            canonical_url=f"https://hub.example/{title}",
            url_key=f"hub.example/{title}",
            title=title,
            summary="",
            language=language,
            published_at=now - timedelta(days=published),
            first_seen_at=now - timedelta(days=seen),
            withdrawn_at=now if withdrawn else None,
        )
        self.tx.session.add(article)
        self.tx.session.flush()
        for slug in topics:
            self.tx.session.add(ArticleTopic(article_id=article.id, topic_id=self.topics[slug]))
        self.tx.session.flush()
        return article.id

    def reader(self, address: str, *topics: str, **more: object) -> int:
        reader = builders.a_reader(self.tx, address, list_id=self.list_id, purpose=Purpose.DIGEST, **more)
        for slug in topics:
            self.tx.session.add(SubscriberTopic(subscriber_id=reader, topic_id=self.topics[slug]))
        self.tx.session.flush()
        return reader

    def run(self) -> tuple[int, digesting.RunPlanned]:
        started = digesting.start_run(self.tx, "hub", by="ada")
        planned = digesting.plan_run(self.tx, started.campaign_id)
        assert planned is not None
        return started.campaign_id, planned

    def issue_of(self, campaign_id: int, reader: int) -> Sequence[int] | SkipReason:
        delivery = self.tx.session.scalars(
            select(Delivery).where(Delivery.campaign_id == campaign_id, Delivery.subscriber_id == reader)
        ).one()
        if delivery.skip_reason is not None:
            assert delivery.status is DeliveryStatus.SKIPPED
            return delivery.skip_reason
        issue = self.tx.session.get(Issue, delivery.issue_id)
        assert issue is not None
        return issue.article_ids


@pytest.fixture
def hub(tx: Transaction) -> Hub:
    return Hub(tx)


def test_readers_get_the_articles_of_their_topics_in_their_language(hub: Hub) -> None:
    run, gym = hub.article("run", "running", published=2), hub.article("gym", "gym")
    both = hub.article("both", "running", "gym", published=3)
    lauf = hub.article("lauf", "running", language=Language.DE)
    neither = hub.article("neither", published=4)
    runner, lifter = hub.reader("r@a.example", "running"), hub.reader("l@a.example", "gym")
    german = hub.reader("d@a.example", "running", language=Language.DE)
    anything = hub.reader("x@a.example")
    hub.set_bounds(most=10)
    campaign, planned = hub.run()
    assert hub.issue_of(campaign, runner) == [run, both]
    assert hub.issue_of(campaign, lifter) == [gym, both]
    assert hub.issue_of(campaign, german) == [lauf]
    assert sorted(hub.issue_of(campaign, anything)) == sorted([run, gym, both, neither]), "no choice means all topics"
    assert planned == digesting.RunPlanned(audience=4, queued=4, issues=4)


def test_readers_with_the_same_articles_share_an_issue(hub: Hub) -> None:
    hub.article("run", "running")
    readers = [hub.reader(f"{n}@a.example", "running") for n in range(5)]
    campaign, planned = hub.run()
    assert planned.issues == 1
    assert {tuple(hub.issue_of(campaign, reader)) for reader in readers} == {tuple(hub.issue_of(campaign, readers[0]))}


def test_a_second_run_repeats_nothing_and_carries_over_what_did_not_fit(hub: Hub) -> None:
    articles = [hub.article(f"a{n}", "running", published=n) for n in range(1, 6)]
    reader = hub.reader("r@a.example", "running")
    first, second, third = (hub.run()[0] for _ in range(3))
    assert hub.issue_of(first, reader) == articles[:3]
    assert hub.issue_of(second, reader) == articles[3:]
    assert hub.issue_of(third, reader) is SkipReason.NOTHING_NEW


def test_every_reader_of_the_audience_is_in_exactly_one_bucket(hub: Hub, tx: Transaction) -> None:
    hub.article("run", "running")
    queued = hub.reader("ok@a.example", "running")
    nothing = hub.reader("gym@a.example", "gym")
    paused = hub.reader("paused@a.example", "running", paused_days=3)
    dead = hub.reader("dead@a.example", "running")
    hub.reader("gone@a.example", "running", state=SubscriptionState.UNSUBSCRIBED)
    hub.reader("asked@a.example", "running", state=SubscriptionState.PENDING)
    tx.session.add(
        Suppression(
            address_hmac=tx.session.scalars(select(Subscriber.address_hmac).where(Subscriber.id == dead)).one(),
            reason=SuppressionReason.PERMANENT_BOUNCE,
            source="test",
            created_at=tx.now,
        )
    )
    tx.session.flush()
    campaign, planned = hub.run()
    assert isinstance(hub.issue_of(campaign, queued), list)
    assert hub.issue_of(campaign, nothing) is SkipReason.NOTHING_NEW
    assert hub.issue_of(campaign, paused) is SkipReason.PAUSED
    assert hub.issue_of(campaign, dead) is SkipReason.SUPPRESSED
    assert planned.audience == planned.queued + sum(planned.skipped.values()) == 4
    assert tx.session.scalar(select(func.count()).select_from(MailedArticle)) == 1


def test_too_few_articles_wait(hub: Hub) -> None:
    hub.set_bounds(least=2)
    hub.article("one", "running")
    reader = hub.reader("r@a.example", "running")
    assert hub.issue_of(hub.run()[0], reader) is SkipReason.TOO_FEW
    hub.article("two", "running")
    assert len(hub.issue_of(hub.run()[0], reader)) == 2


@pytest.mark.parametrize(
    "article",
    [{"published": -1}, {"seen": 31}, {"withdrawn": True}, {"published": 33, "seen": 2}],
    ids=["future", "seen long ago", "withdrawn", "an archive when it was first seen"],
)
def test_articles_that_are_not_eligible(hub: Hub, article: dict[str, float]) -> None:
    hub.article("no", "running", **article)
    reader = hub.reader("r@a.example", "running")
    assert hub.issue_of(hub.run()[0], reader) is SkipReason.NOTHING_NEW


def test_an_article_that_was_old_before_the_run_but_new_when_seen_is_news(hub: Hub) -> None:
    article = hub.article("late", "running", published=50, seen=29)
    reader = hub.reader("r@a.example", "running")
    assert hub.issue_of(hub.run()[0], reader) == [article], "only its age when first seen counts"


def test_planning_is_done_once(hub: Hub, tx: Transaction, queue: HintList) -> None:
    hub.article("run", "running")
    hub.reader("r@a.example", "running")
    campaign, _ = hub.run()
    assert digesting.plan_run(tx, campaign) is None
    assert tx.session.get_one(Campaign, campaign).status is CampaignStatus.SENDING
    assert (Hint.SEND_DUE, Lane.BULK, ()) in tx.hints
    assert tx.session.scalar(select(func.count()).select_from(Delivery)) == 1


def test_a_large_run_has_time_to_be_planned(hub: Hub, tx: Transaction) -> None:
    digesting.plan_run(tx, digesting.start_run(tx, "hub", by="ada").campaign_id)
    assert tx.session.scalar(text("SHOW statement_timeout")) == "5min"


def test_no_other_run_while_one_is_planned(hub: Hub, tx: Transaction) -> None:
    digesting.start_run(tx, "hub", by="ada")
    with pytest.raises(ServiceError, match="still being planned") as refused:
        digesting.start_run(tx, "hub", by="ada")
    assert refused.value.code == "run_in_planning"


@pytest.mark.parametrize(("least", "most", "days"), [(0, 3, 30), (4, 3, 30), (1, 3, 0), (1, 21, 30)])
def test_impossible_digests_are_refused(hub: Hub, least: int, most: int, days: int) -> None:
    with pytest.raises(ServiceError, match="nothing was saved"):
        hub.set_bounds(least, most, days)


def test_an_unknown_digest_is_refused(tx: Transaction) -> None:
    with pytest.raises(ServiceError, match="no digest 'nope'"):
        digesting.start_run(tx, "nope", by="ada")


def test_two_digests_of_a_list_planned_at_once_do_not_mail_an_article_twice(
    fresh_database: tuple[str, str], clock: FrozenClock, queue: HintList
) -> None:
    engine = store_engine.create(fresh_database[1], "tests")
    transaction: TransactionFactory = factory(engine, clock, queue)
    with transaction() as tx:
        hub = Hub(tx)
        for n in range(4):
            hub.article(f"a{n}", "running")
        for n in range(50):
            hub.reader(f"{n}@a.example", "running")
        digesting.add_digest(tx, slug="extra", list_slug="hub", names={Language.EN: "x", Language.DE: "x"}, max_items=2)
        campaigns = [digesting.start_run(tx, slug, by="ada").campaign_id for slug in ("hub", "extra")]
    together = threading.Barrier(2)
    planned: list[digesting.RunPlanned | None] = []

    def plan(campaign_id: int) -> None:
        together.wait()
        with transaction() as tx:
            planned.append(digesting.plan_run(tx, campaign_id))

    threads = [threading.Thread(target=plan, args=(campaign,)) for campaign in campaigns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [p.audience for p in planned if p] == [50, 50]
    with transaction() as tx:
        assert tx.session.scalar(select(func.count()).select_from(MailedArticle)) == 50 * 4
    engine.dispose()


def test_one_run_planned_by_two_workers_is_planned_once(
    fresh_database: tuple[str, str], clock: FrozenClock, queue: HintList
) -> None:
    engine = store_engine.create(fresh_database[1], "tests")
    transaction: TransactionFactory = factory(engine, clock, queue)
    with transaction() as tx:
        hub = Hub(tx)
        hub.article("a", "running")
        for n in range(20):
            hub.reader(f"{n}@a.example", "running")
        campaign = digesting.start_run(tx, "hub", by="ada").campaign_id
    together = threading.Barrier(2)
    planned: list[digesting.RunPlanned | None] = []

    def plan() -> None:
        together.wait()
        with transaction() as tx:
            planned.append(digesting.plan_run(tx, campaign))

    threads = [threading.Thread(target=plan) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(planned) == 2
    assert [p.audience for p in planned if p] == [20]
    with transaction() as tx:
        assert tx.session.scalar(select(func.count()).select_from(Delivery)) == 20
    engine.dispose()


def test_a_plan_that_breaks_off_leaves_nothing(hub: Hub, tx: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.article("a", "running")
    hub.reader("r@a.example", "running")
    campaign = digesting.start_run(tx, "hub", by="ada").campaign_id
    monkeypatch.setattr(digesting.campaigns, "move_campaign", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError), tx.session.begin_nested():
        digesting.plan_run(tx, campaign)
    monkeypatch.undo()
    assert tx.session.scalar(select(func.count()).select_from(MailedArticle)) == 0
    assert digesting.plan_run(tx, campaign) == digesting.RunPlanned(audience=1, queued=1, issues=1)
