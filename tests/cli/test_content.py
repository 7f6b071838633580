"""`milepost content`, `form` and `worker lost`."""

import uuid
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from service.settings import Settings
from tests.cli.conftest import Milepost

FEED = """<?xml version="1.0"?>
<rss version="2.0"><channel><title>Hub</title><link>http://localhost:8026/</link><language>en</language>
<item><title>Hills</title><link>http://localhost:8026/hills</link><guid>hills</guid><category>{category}</category>
<pubDate>Sun, 01 Mar 2026 08:00:00 GMT</pubDate><description>Run up.</description></item>
</channel></rss>"""


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    file = tmp_path / "feed.xml"
    file.write_text(FEED.format(category="Something else"))
    return file


def test_a_source_from_adding_to_pulling(milepost: Milepost, house: Settings, feed: Path) -> None:
    assert "no source yet" in milepost("content", "sources").err
    added = milepost("content", "add", "blog", feed, "--list", "hub", "--language", "en", "--topic", "Other=running")
    assert added.code == 0, added.err
    first = milepost("content", "pull", "--json")
    assert first.code == 0, first.out
    assert [(r["source"], r["new"], r["error"]) for r in first.document] == [("blog", 1, None)]
    assert first.document[0]["unmapped"] == ["Something else"]
    again = milepost("content", "pull")
    assert again.code == 0
    assert "blog" in again.out
    (listed,) = milepost("content", "sources", "--json").document
    assert listed["pulled_at"] is not None
    assert "blog" in milepost("content", "sources").out


def test_a_source_in_trouble_is_4_and_says_why(milepost: Milepost, house: Settings, feed: Path) -> None:
    milepost("content", "add", "blog", feed, "--list", "hub")
    feed.write_text("this is no feed")
    ran = milepost("content", "pull")
    assert ran.code == 4
    assert "blog: " in ran.err
    documents = milepost("content", "pull", "--source", "blog", "--json")
    assert documents.code == 4
    assert documents.document[0]["error"]
    (listed,) = milepost("content", "sources", "--json").document
    assert listed["error"] == documents.document[0]["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "blog", "feed.xml", "--list", "nowhere"),
        ("add", "blog", "https://foreign.example/feed", "--list", "hub", "--topic", "Other=no-such-topic"),
        ("pull", "--source", "nowhere"),
    ],
)
def test_what_cannot_be_is_refused(milepost: Milepost, house: Settings, arguments: tuple[str, ...]) -> None:
    ran = milepost("content", *arguments, "--json")
    assert ran.code == 1, ran.out
    assert milepost("content", "sources", "--json").document == []


@pytest.mark.parametrize(("language", "words"), [("en", "never share"), ("de", "geben")])
def test_a_snippet_for_the_publishers_page(milepost: Milepost, house: Settings, language: str, words: str) -> None:
    ran = milepost("form", "snippet", "--language", language, "--page", "https://www.fjellsko.example/hub")
    assert ran.code == 0, ran.err
    assert 'action="http://localhost:8025/subscribe"' in ran.out
    assert words in ran.out
    assert "<script" not in ran.out
    assert milepost("form", "snippet", "--form", "nope").code == 1


def test_a_lost_worker_is_declared_once(milepost: Milepost, house: Settings) -> None:
    worker_id = uuid.uuid4()
    assert milepost("worker", "lost", worker_id, "--json").document["error"]["code"] == "worker_unknown"
    engine = create_engine(house.owner_database_url or "", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            text("INSERT INTO worker_processes (id, lane, host, pid) VALUES (:i, 'bulk', 'gone', 7)"), {"i": worker_id}
        )
        assert milepost("worker", "lost", worker_id, "--json").document["error"]["code"] == "worker_alive"
        connection.execute(text("UPDATE worker_processes SET beat_at = now() - interval '1 hour'"))
    engine.dispose()
    ran = milepost("worker", "lost", worker_id, "--json")
    assert ran.document == {"worker_id": str(worker_id), "uncertain": 0}
    assert milepost("worker", "lost", worker_id).code == 1
