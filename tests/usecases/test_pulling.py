"""Pulling: what a feed does to the articles, and what it must not touch."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text

from service.content.fetch import Fetcher
from service.domain.words import Language
from service.errors import Kind, ServiceError
from service.store.schema import Article, ArticleTopic, Source, Topic
from service.store.transaction import Transaction, TransactionFactory
from service.usecases.pulling import PullResult, add_source, pull_sources
from tests import builders
from tests.conftest import FrozenClock
from tests.content.documents import an_item, an_rss
from tests.content.test_fetch import Site


@pytest.fixture(scope="module")
def shared_engine(empty_engine: Engine) -> Engine:
    """These have lists of their own."""
    return empty_engine


class Hub:
    """A list with two topics, and one source per file that a test writes."""

    def __init__(self, transaction: TransactionFactory, clock: FrozenClock, folder: Path) -> None:
        self.transaction = transaction
        self.clock = clock
        self.fetcher = Fetcher(["localhost"], ["localhost"], clock)
        self._folder = folder
        with transaction() as tx:
            list_id = builders.a_list(tx, "hub")
            for slug, german in (("running", "Laufen"), ("race-day", "Wettkampf")):
                tx.session.add(Topic(list_id=list_id, slug=slug, names={"en": slug.title(), "de": german}))

    def write(self, *items: str, source: str = "feed", language: str | None = "en", **more: object) -> None:
        path = self._folder / f"{source}.xml"
        path.write_bytes(an_rss(items, language))
        if not self.known(source):
            self.add(source, str(path), **more)

    def known(self, slug: str) -> bool:
        with self.transaction() as tx:
            return tx.session.scalar(select(Source.id).where(Source.slug == slug)) is not None

    def add(self, slug: str, location: str, **more: object) -> None:
        with self.transaction() as tx:
            add_source(tx, slug=slug, list_slug="hub", location=location, **more)  # type: ignore[arg-type]

    def pull(self, source: str = "feed") -> PullResult:
        self.clock.advance(minutes=15)
        [result] = pull_sources(self.transaction, self.fetcher, slug=source)
        return result

    def articles(self) -> dict[str, Article]:
        with self.transaction() as tx:
            found = tx.session.scalars(select(Article).execution_options(populate_existing=True))
            return {article.guid: article for article in found}

    def topics(self, guid: str = "guid-1") -> set[str]:
        with self.transaction() as tx:
            return set(
                tx.session.scalars(
                    select(Topic.slug)
                    .join(ArticleTopic, ArticleTopic.topic_id == Topic.id)
                    .join(Article, Article.id == ArticleTopic.article_id)
                    .where(Article.guid == guid)
                )
            )

    def rows(self) -> list[tuple[object, ...]]:
        """Where every version of every row of content lies: any UPDATE shows."""
        with self.transaction() as tx:
            return [
                tuple(row)
                for table in ("articles", "article_topics")
                for row in tx.session.execute(text(f"SELECT '{table}', ctid::text, xmin::text FROM {table} ORDER BY 2"))
            ]

    def source(self, slug: str = "feed") -> Source:
        with self.transaction() as tx:
            return tx.session.scalars(
                select(Source).where(Source.slug == slug).execution_options(populate_existing=True)
            ).one()


@pytest.fixture
def hub(transaction: TransactionFactory, clock: FrozenClock, tmp_path: Path) -> Hub:
    return Hub(transaction, clock, tmp_path)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site().running() as site:
        yield site


def test_a_first_pull(hub: Hub) -> None:
    hub.write(an_item(1), an_item(2, category="Wettkampf"), an_item(3, category="Cooking"), an_item(4, pubDate="soon"))
    result = hub.pull()
    assert (result.source, result.new, result.updated, result.unchanged) == ("feed", 3, 0, 0)
    [skipped] = result.skipped
    assert (skipped.item, skipped.reason) == ("Article 4", "its date cannot be understood: soon")
    assert result.unmapped == ("Cooking",)
    assert (hub.topics("guid-1"), hub.topics("guid-2"), hub.topics("guid-3")) == ({"running"}, {"race-day"}, set())
    article = hub.articles()["guid-1"]
    assert (article.title, article.language) == ("Article 1", Language.EN)
    assert article.first_seen_at == article.updated_at == hub.clock.now()
    assert hub.source().pulled_at == hub.clock.now()


def test_the_same_feed_again_changes_nothing(hub: Hub) -> None:
    hub.write(an_item(1), an_item(2))
    hub.pull()
    before = hub.rows()
    assert hub.pull() == PullResult("feed", not_modified=True)
    assert hub.rows() == before
    assert hub.source().pulled_at == hub.clock.now()


def test_the_same_articles_in_other_words_of_xml_change_nothing(hub: Hub) -> None:
    hub.write(an_item(1), an_item(2))
    hub.pull()
    before = hub.rows()
    hub.write(an_item(2, title="<![CDATA[Article 2]]>"), an_item(1, link="https://hub.example/a1?utm_source=rss"), "\n")
    assert hub.pull() == PullResult("feed", unchanged=2)
    assert hub.rows() == before


def test_304_changes_nothing(hub: Hub, site: Site) -> None:
    site.page("/f", an_rss([an_item(1)]), ETag='"1"', Last_Modified="Sun, 01 Mar 2026 08:00:00 GMT")
    hub.add("web", site.url("/f"))
    assert hub.pull("web").new == 1
    before = hub.rows()
    site.page("/f", status=304)
    assert hub.pull("web") == PullResult("web", not_modified=True)
    assert site.requests[-1][1]["if-none-match"] == '"1"'
    assert hub.rows() == before
    assert hub.source("web").etag == '"1"'


def test_an_edit_updates_and_keeps_the_identity(hub: Hub) -> None:
    hub.write(an_item(1), an_item(2))
    hub.pull()
    before = hub.articles()
    hub.write(an_item(1, title="Better", pubDate="Mon, 02 Mar 2026 08:00:00 GMT"), an_item(2))
    assert hub.pull() == PullResult("feed", updated=1, unchanged=1)
    after = hub.articles()
    assert after["guid-1"].title == "Better"
    assert after["guid-1"].published_at == before["guid-1"].published_at + timedelta(days=1)
    assert after["guid-1"].id == before["guid-1"].id
    assert after["guid-1"].first_seen_at == before["guid-1"].first_seen_at
    assert after["guid-1"].updated_at == hub.clock.now()
    assert after["guid-2"].updated_at == before["guid-2"].updated_at


def test_a_new_address_with_the_same_guid_is_the_same_article(hub: Hub) -> None:
    hub.write(an_item(1))
    hub.pull()
    before = hub.articles()["guid-1"]
    hub.write(an_item(1, link="https://hub.example/moved"))
    assert hub.pull() == PullResult("feed", updated=1)
    after = hub.articles()
    assert list(after) == ["guid-1"]
    assert (after["guid-1"].id, after["guid-1"].canonical_url) == (before.id, "https://hub.example/moved")


@pytest.mark.parametrize("guid", [None, "other"])
def test_the_same_address_with_another_guid_is_the_same_article(hub: Hub, guid: str | None) -> None:
    hub.write(an_item(1))
    hub.pull()
    before = hub.rows()
    hub.write(an_item(1, guid=guid, link="http://hub.example/a1/"), "\n")
    assert hub.pull() == PullResult("feed", updated=1), "only the address as linked"
    hub.write(an_item(1, guid=guid))
    hub.pull()
    assert len(hub.articles()) == 1
    assert len(hub.rows()) == len(before)


def test_first_another_guid_and_later_another_address_is_still_the_same_article(hub: Hub) -> None:
    """Invariant 7: a new article would be mailed again to everybody."""
    hub.write(an_item(1))
    hub.pull()
    [before] = hub.articles().values()
    hub.write(an_item(1, guid="other", link="https://hub.example/a1"))
    assert hub.pull() == PullResult("feed", updated=1)
    assert hub.pull() == PullResult("feed", not_modified=True)
    hub.write(an_item(1, guid="other", link="https://hub.example/moved"))
    assert hub.pull() == PullResult("feed", updated=1)
    after = hub.articles()
    assert (list(after), after["other"].id) == (["other"], before.id)
    assert after["other"].canonical_url == "https://hub.example/moved"


def test_a_guid_left_out_for_a_time_is_remembered(hub: Hub) -> None:
    hub.write(an_item(1))
    hub.pull()
    hub.write(an_item(1, guid=None))
    hub.pull()
    hub.write(an_item(1, link="https://hub.example/moved"))
    assert hub.pull() == PullResult("feed", updated=1)
    assert list(hub.articles()) == ["guid-1"]


def test_a_guid_that_the_feed_still_says_is_not_replaced(hub: Hub) -> None:
    """The article with the first GUID wants an address that is taken, and another item has its own."""
    hub.write(an_item(1), an_item(2))
    hub.pull()
    hub.write(
        an_item(1, link="https://hub.example/a2"),
        an_item(3, guid="other", link="https://hub.example/a1"),
    )
    hub.pull()
    assert set(hub.articles()) == {"guid-1", "guid-2"}


def test_guids_that_move_on_by_one_collide_with_nothing(hub: Hub) -> None:
    """Mistaken generators number their items anew with each one that comes."""
    hub.write(*(an_item(n, guid=f"n{n}", link=f"https://hub.example/p{n}") for n in (1, 2, 3)))
    hub.pull()
    hub.write(*(an_item(n, guid=f"n{n + 1}", link=f"https://hub.example/p{n}") for n in (1, 2, 3)))
    result = hub.pull()
    assert (result.error, result.new, len(hub.articles())) == (None, 0, 3)


def test_an_old_address_may_be_taken_by_a_new_article(hub: Hub) -> None:
    hub.write(an_item(1))
    hub.pull()
    hub.write(an_item(2, link="https://hub.example/a1"), an_item(1, link="https://hub.example/moved"))
    assert hub.pull() == PullResult("feed", new=1, updated=1)
    assert {guid: a.url_key for guid, a in hub.articles().items()} == {
        "guid-1": "hub.example/moved",
        "guid-2": "hub.example/a1",
    }


def test_two_articles_that_swap_addresses_keep_theirs(hub: Hub) -> None:
    hub.write(an_item(1), an_item(2))
    hub.pull()
    before = hub.rows()
    hub.write(an_item(1, link="https://hub.example/a2"), an_item(2, link="https://hub.example/a1"))
    result = hub.pull()
    assert [s.reason for s in result.skipped] == ["its new address is that of another article, which keeps it"] * 2
    assert hub.rows() == before


def test_one_article_under_two_guids_of_which_one_is_known(hub: Hub) -> None:
    hub.write(an_item(1))
    hub.pull()
    hub.write(an_item(1, guid="other", link="https://hub.example/a1"), an_item(1, link="https://hub.example/a1"), "\n")
    result = hub.pull()
    assert len(result.skipped) == 1
    assert len(hub.articles()) == 1
    hub.write(an_item(1, guid="other"), an_item(1, guid="guid-1", link="https://hub.example/moved"))
    assert (hub.pull().new, len(hub.articles())) == (1, 2)


def test_what_left_the_feed_stays(hub: Hub) -> None:
    hub.write(an_item(1), an_item(2))
    hub.pull()
    hub.write(an_item(2))
    assert hub.pull() == PullResult("feed", unchanged=1)
    assert len(hub.articles()) == 2


def test_changed_categories_change_the_topics(hub: Hub) -> None:
    hub.write(an_item(1))
    hub.pull()
    hub.write(an_item(1, category="race-day"))
    assert hub.pull() == PullResult("feed", updated=1)
    assert hub.topics() == {"race-day"}


def test_two_feeds_with_the_same_article_make_one_with_the_topics_of_both(hub: Hub) -> None:
    hub.write(an_item(1))
    hub.write(an_item(1, guid="theirs", title="Another title", category="Race-Day"), source="second")
    assert hub.pull().new == 1
    assert hub.pull("second") == PullResult("second", updated=1)
    assert hub.topics() == {"running", "race-day"}
    assert [a.title for a in hub.articles().values()] == ["Article 1"], "the words are those of the first source"
    hub.write(an_item(1, description="edited"))
    hub.pull()
    assert hub.topics() == {"running", "race-day"}, "a source takes back its own topics only"
    hub.write(an_item(1, guid="theirs", category=None), source="second")
    hub.pull("second")
    assert hub.topics() == {"running"}


def test_the_language_of_the_source_and_its_map_of_topics(hub: Hub) -> None:
    hub.write(
        an_item(1, category="Half  Marathon"),
        language="it",
        topic_map={"half marathon": "race-day"},
    )
    assert "its language is it" in hub.pull().skipped[0].reason
    path = hub.source().location
    hub.add("feed", path, language=Language.DE, topic_map={"Half Marathon": "race-day"})
    assert hub.pull().new == 1, "a changed source is read anew, though its feed is the same"
    assert hub.articles()["guid-1"].language is Language.DE
    assert hub.topics() == {"race-day"}
    hub.add("feed", path, language=Language.DE, topic_map={"half marathon": "race-day"})
    assert hub.pull().not_modified, "the same again is no change"


BROKEN = {
    "broken XML": an_rss([an_item(9)])[:-20],
    "a bomb": an_rss([an_item(9)], head='<!DOCTYPE rss [<!ENTITY a "b">]>'),
    "10,000 items": an_rss(an_item(n) for n in range(10_000)),
    "a web page": b"<!doctype html><p>Sorry",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_a_source_in_trouble_keeps_everything_and_says_why(hub: Hub, body: bytes) -> None:
    hub.write(an_item(1))
    hub.pull()
    before, good = hub.rows(), hub.source()
    Path(good.location).write_bytes(body)
    result = hub.pull()
    assert result.error is not None
    assert "Nothing was changed" in result.error
    assert result == PullResult("feed", error=result.error)
    bad = hub.source()
    assert (bad.error, bad.failed_at) == (result.error, hub.clock.now())
    assert (bad.pulled_at, bad.body_sha256) == (good.pulled_at, good.body_sha256)
    assert hub.rows() == before
    hub.write(an_item(1))
    assert hub.pull().not_modified
    mended = hub.source()
    assert (mended.error, mended.failed_at) == (None, None)


def test_one_source_in_trouble_does_not_keep_the_others_from_being_read(hub: Hub) -> None:
    hub.add("a", "https://forbidden.example/feed")
    hub.write(an_item(1), source="b")
    hub.add("c", "/nowhere/feed.xml")
    results = pull_sources(hub.transaction, hub.fetcher)
    assert [(r.source, r.new, r.error is None) for r in results] == [("a", 0, False), ("b", 1, True), ("c", 0, False)]
    assert "MILEPOST_CONTENT_HOSTS" in (results[0].error or "")


def test_an_unknown_source(hub: Hub) -> None:
    with pytest.raises(ServiceError, match="no source 'nope'; nothing was read") as refused:
        hub.pull("nope")
    assert refused.value.kind is Kind.NOT_FOUND


def test_a_source_that_is_changed_while_it_is_read_is_left_alone(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.write(an_item(1))
    real = hub.fetcher.fetch

    def slow(location: str, **validators: str | None) -> object:
        answer = real(location, **validators)
        hub.add("feed", "/another/feed.xml")
        return answer

    monkeypatch.setattr(hub.fetcher, "fetch", slow)
    assert "pull again" in (hub.pull().error or "")
    assert hub.articles() == {}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"slug": "No Good"}, "source_slug"),
        ({"location": "feed.xml"}, "source_location"),
        ({"location": "ftp://hub.example/f"}, "source_location"),
        ({"location": "https://"}, "source_location"),
        ({"location": "https://a:b@hub.example/"}, "source_location"),
        ({"location": "https://[bad/"}, "source_location"),
        ({"location": "/srv/\nfeed.xml"}, "source_location"),
        ({"topic_map": {"x": "swimming"}}, "source_topic_map"),
        ({"list_slug": "nope"}, "list_unknown"),
        ({"slug": "second"}, "source_location_taken"),
        ({"list_slug": "other"}, "source_slug_taken"),
    ],
)
def test_sources_that_cannot_be(hub: Hub, tx: Transaction, wrong: dict[str, object], code: str) -> None:
    builders.a_list(tx, "other")
    right = {"slug": "feed", "list_slug": "hub", "location": "https://hub.example/feed"}
    add_source(tx, **right)
    with pytest.raises(ServiceError, match=r"[Nn]othing was (added|changed|done)") as refused:
        add_source(tx, **right | wrong)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert tx.session.scalar(select(func.count()).select_from(Source)) == 1
