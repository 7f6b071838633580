"""The hub: articles from files, feeds as publishers write them, pages that load nothing from elsewhere."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import feedparser
import pytest

from service.demo.articles import HubArticle, read_articles, topics
from service.demo.feeds import ATOM, MEDIA
from service.demo.http import Answer, Site
from service.demo.hub import TEXTS, hub_site
from service.demo.readers import NAMES
from service.demo.seed import FEEDS
from service.demo.state import checkout
from service.domain.words import Language
from service.errors import ConfigurationError

BASE = "http://localhost:8027"
STARTED = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ARTICLE = """---
slug: hills & more
title: Hills: "why" & <how>
summary: Short hills, strong legs & a calm head.
topics: running, gym
author: Kari Nordmann
published: 3
image: running.png
---

# Not shown twice

Some *text* with <script>alert(1)</script>.
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    for language, slug in (("en", "hills"), ("de", "berge")):
        (tmp_path / language).mkdir()
        (tmp_path / language / "01.md").write_text(ARTICLE.replace("hills & more", slug))
        (tmp_path / language / "02.md").write_text(
            ARTICLE.replace("hills & more", f"{slug}-2").replace("published: 3", "published: 1")
        )
    return tmp_path


@pytest.fixture
def site(written: Path) -> Site:
    images = written / "images"
    images.mkdir()
    (images / "running.png").write_bytes(b"\x89PNG")
    return hub_site(
        read_articles(written, STARTED), images, BASE, "http://localhost:8025", lambda language, page: f"<p>{page}</p>"
    )


def get(site: Site, path: str) -> Answer:
    return site.answer(path, {})


def test_articles_are_dated_from_the_first_start(written: Path) -> None:
    articles = read_articles(written, STARTED)
    assert [a.published_at for a in articles if a.language is Language.EN] == [
        STARTED - timedelta(days=1),
        STARTED - timedelta(days=3),
    ]
    assert articles[0].title == 'Hills: "why" & <how>'
    assert articles[0].topics == ("running", "gym")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: ", "titel: ", "lacks title"),
        ("topics: running, gym", "topics: running, chess", "unknown topics: chess"),
    ],
)
def test_a_broken_article_stops_the_start(written: Path, old: str, new: str, message: str) -> None:
    path = written / "en" / "01.md"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigurationError, match=message):
        read_articles(written, STARTED)


def test_no_articles_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no articles"):
        read_articles(tmp_path, STARTED)


def test_the_rss_feed(site: Site) -> None:
    answer = get(site, "/feeds/en.rss")
    assert answer.content_type.startswith("application/rss+xml")
    feed = feedparser.parse(answer.body)
    assert not feed.bozo
    assert feed.feed.language == "en"
    newest, oldest = feed.entries
    assert newest.title == 'Hills: "why" & <how>'
    assert newest.link == f"{BASE}/en/articles/hills-2"
    assert newest.id == "tag:fjellsko.example,2026:en/hills-2", "an article keeps its name when the port changes"
    assert newest.author == "Kari Nordmann"
    assert [tag.term for tag in newest.tags] == [topics()["running"][Language.EN], topics()["gym"][Language.EN]]
    assert newest.media_content[0]["url"] == f"{BASE}/images/running.png"
    assert parsedate_to_datetime(oldest.published) == STARTED - timedelta(days=3)


def test_the_atom_feed(site: Site) -> None:
    answer = get(site, "/feeds/de.atom")
    root = ET.fromstring(answer.body)
    assert root.tag == f"{{{ATOM}}}feed"
    assert root.get("{http://www.w3.org/XML/1998/namespace}lang") == "de"
    entry = root.find(f"{{{ATOM}}}entry")
    assert entry is not None
    assert [c.get("term") for c in entry.findall(f"{{{ATOM}}}category")] == ["running", "gym"]
    assert entry.find(f"{{{MEDIA}}}content") is not None
    feed = feedparser.parse(answer.body)
    assert not feed.bozo
    assert feed.entries[0].link == f"{BASE}/de/articles/berge-2"
    assert feed.entries[0].updated == "2026-03-01T09:00:00+00:00"


@pytest.mark.parametrize("path", ["/", "/en/", "/de/", "/en/topics/gym", "/en/articles/hills", "/de/articles/berge"])
def test_pages_load_nothing_from_elsewhere_and_hold_the_sign_up_box(site: Site, path: str) -> None:
    answer = get(site, path)
    text = answer.body.decode()
    assert answer.status == 200
    assert "default-src 'none'" in answer.policy
    assert "form-action http://localhost:8025" in answer.policy
    assert not re.search(r'(?:src|href)="(?:https?:)?//(?!localhost)', text)
    assert "<script" not in text
    own = "/en/" if path == "/" else path
    assert f"<p>{BASE}{own}</p>" in text or (path == "/en/topics/gym" and f"<p>{BASE}/en/</p>" in text)


def test_without_milepost_a_link_stands_in_for_the_box(written: Path) -> None:
    site = hub_site(read_articles(written, STARTED), written, BASE, "http://localhost:8025", lambda *_: None)
    assert "http://localhost:8025/subscribe?language=de" in get(site, "/de/").body.decode()


@pytest.mark.parametrize(
    "path",
    ["/fr/", "/en/articles/none", "/en/topics/chess", "/images/none.png", "/images/..%2fetc", "/feeds/fr.rss", "/x"],
)
def test_what_is_not_there_is_not_found(site: Site, path: str) -> None:
    assert get(site, path).status == 404


def test_feeds_say_when_they_changed_and_are_not_sent_twice(site: Site) -> None:
    import threading

    import httpx

    server = site.server("127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/feeds/en.rss"
        with httpx.Client() as client:
            first = client.get(url)
            assert parsedate_to_datetime(first.headers["last-modified"]) == STARTED - timedelta(days=1)
            second = client.get(url, headers={"If-None-Match": first.headers["etag"]})
            assert second.status_code == 304
            assert second.content == b""
            head = client.head(url)
            assert head.content == b""
            assert head.headers["content-length"] == str(len(first.content))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_checkouts_articles() -> None:
    """At least forty, in each of the hub's languages, for every topic, each with its image."""
    articles: list[HubArticle] = read_articles(checkout() / "demo" / "articles", STARTED)
    assert len(articles) >= 40
    assert {a.language for a in articles} == set(TEXTS) == set(FEEDS) == set(NAMES), "hub, feeds and readers agree"
    for language in TEXTS:
        of_language = [a for a in articles if a.language is language]
        assert len(of_language) >= 12
        assert {topic for a in of_language for topic in a.topics} == set(topics())
        assert len({a.slug for a in of_language}) == len(of_language)
    for article in articles:
        assert (checkout() / "demo" / "images" / article.image).is_file(), article.image
        assert article.published_at <= STARTED
        assert len(article.body) > 500
        assert re.fullmatch(r"[a-z0-9-]+", article.slug)
