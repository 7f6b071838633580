"""What makes an item an article, what makes two items the same one, and why some are none."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.articles import (
    LONGEST_GUID,
    ArticleDraft,
    FeedItem,
    Reading,
    SkippedItem,
    canonical_url,
    draft_articles,
    match_topics,
    read_language,
    url_key,
)
from service.domain.words import Language

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
READING = Reading(None, {"running": 1, "laufen": 1, "race day": 2})
ITEM = FeedItem(
    guid="g1",
    url="https://hub.example/a",
    title="A",
    language="en",
    published="Sun, 01 Mar 2026 08:00:00 GMT",
    published_at=NOW - timedelta(days=1),
)


def drafts(items: Iterable[FeedItem], reading: Reading = READING) -> list[ArticleDraft | SkippedItem]:
    return list(draft_articles(items, reading, NOW))


def reason(item: FeedItem, reading: Reading = READING) -> str:
    [draft] = drafts([item], reading)
    assert isinstance(draft, SkippedItem), draft
    return draft.reason


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTPS://Hub.Example:443/a", "https://hub.example/a"),
        ("http://hub.example:80/a", "http://hub.example/a"),
        ("http://hub.example:8080/a", "http://hub.example:8080/a"),
        ("https://hub.example", "https://hub.example/"),
        ("https://hub.example./a", "https://hub.example/a"),
        ("https://hub.example/a#part", "https://hub.example/a"),
        ("https://hub.example/a?utm_source=rss&utm_medium=feed", "https://hub.example/a"),
        ("https://hub.example/a?id=3&UTM_Campaign=x&fbclid=y", "https://hub.example/a?id=3"),
        ("https://hub.example/a?b=2&a=1&empty=", "https://hub.example/a?b=2&a=1&empty="),
        ("https://hub.example/%7eann/%c3%a4", "https://hub.example/~ann/%C3%A4"),
        ("https://hub.example/ä b", "https://hub.example/%C3%A4%20b"),
        ("https://hub.example/a%2Fb", "https://hub.example/a%2Fb"),
        ("https://läufer.example/", "https://xn--lufer-gra.example/"),
        (' https://hub.example/"><script> ', "https://hub.example/%22%3E%3Cscript%3E"),
        ("https://hub.example/\r\nBcc: x@y.example", None),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("/a", None),
        ("//hub.example/a", None),
        ("https://ann:pw@hub.example/", None),
        ("https://hub.example:99999/", None),
        ("https://[::1]/", None),
        ("https://hub..example/", None),
        ("https://good.example\\@evil.example/", None),
        ("https:///a", None),
        ("", None),
        ("https://hub.example/" + "a" * 2000, None),
    ],
)
def test_the_address_that_mails_link(url: str, canonical: str | None) -> None:
    assert canonical_url(url) == canonical


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://hub.example/a", "https://hub.example/a"),
        ("https://hub.example/a/", "https://hub.example/a"),
        ("https://hub.example/", "https://hub.example"),
        ("https://hub.example/a?x=1&y=2", "https://hub.example/a?y=2&x=1"),
        ("https://hub.example/a?utm_source=x#top", "https://HUB.example/a"),
    ],
)
def test_addresses_of_the_same_article(one: str, other: str) -> None:
    assert url_key(one) == url_key(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://hub.example/a", "https://hub.example/A"),
        ("https://hub.example/a", "https://www.hub.example/a"),
        ("https://hub.example/?p=1", "https://hub.example/?p=2"),
        ("https://hub.example/a/b", "https://hub.example/a%2Fb"),
        ("https://hub.example:8443/a", "https://hub.example/a"),
    ],
)
def test_addresses_of_different_articles(one: str, other: str) -> None:
    assert url_key(one) != url_key(other)


@given(st.text(alphabet=st.sampled_from("ab/.?&=%#:@+-_~ä2Fé utm_[]\\\"'<>"), max_size=40))
def test_a_normal_form_is_normal(rest: str) -> None:
    canonical = canonical_url("https://hub.example/" + rest)
    if canonical is not None:
        assert canonical_url(canonical) == canonical
        assert url_key(canonical) == url_key("https://hub.example/" + rest)
        assert canonical.isascii()
        assert not set(canonical) & set(' <>"\\\r\n')


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en", Language.EN),
        ("en-GB", Language.EN),
        ("DE_at", Language.DE),
        (" de ", Language.DE),
        ("fr-CA", Language.FR),
        ("es-419", Language.ES),
        ("it", None),
        ("english", None),
        ("", None),
        (None, None),
    ],
)
def test_languages(tag: str | None, language: Language | None) -> None:
    assert read_language(tag) == language


def test_categories_name_topics_whatever_their_case_and_blanks() -> None:
    assert match_topics(["RUNNING", " Race  Day ", "Cooking"], READING.topics) == {1, 2}
    assert match_topics([], READING.topics) == frozenset()


def test_a_whole_article() -> None:
    [draft] = drafts([replace(ITEM, image_url="https://hub.example/i.png", image_alt="Hill", categories=("Laufen",))])
    assert draft == ArticleDraft(
        guid="g1",
        url_key="hub.example/a",
        canonical_url="https://hub.example/a",
        title="A",
        summary="",
        author=None,
        image_url="https://hub.example/i.png",
        image_alt="Hill",
        language=Language.EN,
        published_at=NOW - timedelta(days=1),
        topic_ids=frozenset({1}),
    )


@pytest.mark.parametrize(
    ("flaw", "why"),
    [
        ({"title": ""}, "no title"),
        ({"title": "https://hub.example/a"}, "its title is a web address"),
        ({"title": "HTTP://other.example"}, "its title is a web address"),
        ({"title": "www.other.example/b?c=d"}, "its title is a web address"),
        ({"url": None}, "no web address"),
        ({"url": "ftp://hub.example/a"}, "cannot be opened: ftp://hub.example/a"),
        ({"published": None, "published_at": None}, "no date"),
        ({"published": "soon", "published_at": None}, "cannot be understood: soon"),
        ({"published_at": datetime(1900, 1, 1, tzinfo=UTC)}, "a mistake: 1900-01-01"),
        ({"published_at": datetime(2999, 1, 1, tzinfo=UTC)}, "a mistake: 2999-01-01"),
        ({"language": "it-IT"}, "its language is it-IT"),
        ({"language": None}, "set one for the source"),
    ],
)
def test_an_item_that_is_no_article_says_why(flaw: dict[str, object], why: str) -> None:
    assert why in reason(replace(ITEM, **flaw))


@pytest.mark.parametrize("title", ["www.hub.example is new", "Why https://hub.example moved", "wwwhat?", "https"])
def test_a_title_may_speak_of_an_address(title: str) -> None:
    [draft] = drafts([replace(ITEM, title=title)])
    assert isinstance(draft, ArticleDraft)


def test_a_skipped_item_is_named_by_what_it_has() -> None:
    named = [replace(ITEM, url=None), replace(ITEM, title=""), replace(ITEM, title="", url=None)]
    assert [d.item for d in drafts(named) if isinstance(d, SkippedItem)] == ["A", ITEM.url, "g1"]


def test_a_date_ahead_is_kept_until_its_time_comes() -> None:
    ahead = NOW + timedelta(days=300)
    [draft] = drafts([replace(ITEM, published_at=ahead)])
    assert isinstance(draft, ArticleDraft)
    assert draft.published_at == ahead


def test_the_source_overrides_what_a_feed_says_of_its_language() -> None:
    [draft] = drafts([replace(ITEM, language="fr")], Reading(Language.DE, {}))
    assert isinstance(draft, ArticleDraft)
    assert draft.language is Language.DE


def test_an_image_that_cannot_be_opened_is_left_out() -> None:
    [draft] = drafts([replace(ITEM, image_url="javascript:x", image_alt="Hill")])
    assert isinstance(draft, ArticleDraft)
    assert (draft.image_url, draft.image_alt) == (None, None)


@pytest.mark.parametrize("guid", [None, "", "x" * (LONGEST_GUID + 1)])
def test_an_item_without_a_usable_guid_still_has_an_identity(guid: str | None) -> None:
    [draft] = drafts([replace(ITEM, guid=guid)])
    assert isinstance(draft, ArticleDraft)
    assert draft.guid.startswith("sha256:" if guid else "hub.example/a")


@pytest.mark.parametrize(
    "second",
    [
        ITEM,
        replace(ITEM, title="Other"),
        replace(ITEM, guid="g2", url="http://hub.example/a/?utm_source=x"),
        replace(ITEM, guid=None),
    ],
    ids=["same", "same GUID and address", "same address", "no GUID"],
)
def test_the_first_of_two_items_for_one_article_counts(second: FeedItem) -> None:
    first, other = drafts([ITEM, second])
    assert isinstance(first, ArticleDraft)
    assert first.title == "A"
    assert isinstance(other, SkippedItem)
    assert "further up" in other.reason


def test_a_guid_that_every_item_has_is_none() -> None:
    items = [replace(ITEM, guid="1", url=f"https://hub.example/{n}") for n in range(3)]
    found = drafts(items)
    assert len({d.guid for d in found if isinstance(d, ArticleDraft)}) == 3
