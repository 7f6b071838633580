"""Every article is complete, in each of the hub's languages, useful in length, and names nobody else's host."""

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.demo.articles import HubArticle, read_articles
from service.demo.hub import TEXTS as LANGUAGES

DEMO = Path(__file__).resolve().parents[2] / "demo"
FILES = sorted((DEMO / "articles").glob("*/*.md"))
TOPICS = {"running", "gym", "injury", "nutrition", "race-day", "gear"}


@pytest.fixture(scope="module")
def articles() -> list[HubArticle]:
    return read_articles(DEMO / "articles", datetime(2026, 3, 2, tzinfo=UTC))


def test_forty_articles_in_each_language(articles: list[HubArticle]) -> None:
    assert {article.language for article in articles} == set(LANGUAGES)
    for language in LANGUAGES:
        of_language = [article for article in articles if article.language is language]
        assert len(of_language) >= 40
        assert len({article.slug for article in of_language}) == len(of_language)
        per_topic = Counter(topic for article in of_language for topic in article.topics)
        assert set(per_topic) == TOPICS
        assert min(per_topic.values()) >= 7


def test_both_languages_of_every_pair() -> None:
    pairs = Counter(re.findall(r"^pair: (.+)$", path.read_text(), re.MULTILINE)[0] for path in FILES)
    assert set(pairs.values()) == {2}


def test_an_author_has_one_role_in_each_language() -> None:
    signed = re.compile(r"^author: (.+)\nauthor_role: (.+)$", re.MULTILINE)
    roles = {(path.parent.name, *signed.findall(path.read_text())[0]) for path in FILES}
    assert len(roles) == len({(language, author) for language, author, _ in roles})


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_article_is_complete(path: Path, articles: list[HubArticle]) -> None:
    slug = path.stem
    article = next(a for a in articles if a.slug == slug and a.language.value == path.parent.name)
    assert 10 <= len(article.title) <= 70
    assert 120 <= len(article.summary) <= 220
    assert 120 <= len(article.body.split()) <= 320
    assert article.image_alt
    assert (DEMO / "images" / article.image).is_file()
    assert "://" not in article.body, "the articles link nowhere"


def test_pictures_are_small_enough_for_mails() -> None:
    for picture in (DEMO / "images").glob("*.png"):
        assert picture.stat().st_size < 60_000, picture.name
