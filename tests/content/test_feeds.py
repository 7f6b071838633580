"""Feeds to items: what publishers really write, what the standards allow, and what nobody should trust."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.content.feeds import parse_feed, read_date
from service.domain.articles import FeedItem
from service.errors import Kind, ServiceError
from tests.content.documents import an_atom, an_item, an_rss

REAL = Path(__file__).parent / "feeds" / "real"
HERE = "https://hub.example/feeds/en.xml"


def items_of(body: bytes, location: str = HERE, charset: str | None = None) -> list[FeedItem]:
    return parse_feed(body, location=location, charset=charset)


def only_item(body: bytes, location: str = HERE) -> FeedItem:
    [item] = items_of(body, location)
    return item


def entry(inner: str = "", title: str = "<title>T</title>", link: str = '<link href="a/1"/>') -> str:
    return f"<entry><id>urn:1</id>{title}{link}<updated>2026-03-01T08:00:00Z</updated>{inner}</entry>"


def test_a_real_rss_feed() -> None:
    items = items_of((REAL / "nasa-breaking-news.rss").read_bytes())
    assert len(items) == 5
    first = items[0]
    assert first.title == "NASA Extends Cyclone Global Navigation Satellite System Mission"
    assert first.url == first.guid
    assert first.published_at == datetime(2021, 6, 22, 20, 52, tzinfo=UTC), "16:52 EDT, without seconds"
    assert first.image_url
    assert first.image_url.endswith("cygnss20191007-home.jpg?itok=jcr5f5XK")
    assert {item.language for item in items} == {"en-us"}
    assert items[1].summary.startswith("Northrop Grumman’s uncrewed Cygnus")


def test_a_real_atom_feed() -> None:
    first, second = items_of((REAL / "usgs-earthquakes.atom").read_bytes())
    assert (first.guid, first.title) == ("urn:earthquake-usgs-gov:us:b000l51g", "M 6.5 - Fiji region")
    assert first.url == "http://earthquake.usgs.gov/earthquakes/eventpage/usb000l51g", "the page, not the CAP document"
    assert first.summary.endswith("Location 17.097°S 176.562°W Depth 377.07 km (234.30 mi)")
    assert "<" not in first.summary
    assert first.image_url is None
    assert second.image_url is not None
    assert second.image_url.endswith("/tsunami-wave-warning.jpg")
    assert second.image_alt == "Tsunami Warning Center"
    assert second.published_at == datetime(2013, 11, 24, 10, 26, 4, 821_000, tzinfo=UTC), "updated; no published"
    assert second.categories == ("Past Month", "Age", "Magnitude 7", "Magnitude")
    assert {item.language for item in (first, second)} == {None}


def test_several_authors_a_related_link_and_a_title_over_two_lines() -> None:
    people = "".join(f"<author><name>{name}</name></author>" for name in ("Ann Lee", "Bo Berg", "Cy Dahl"))
    related = '<link title="pdf" href="a/1.pdf" rel="related" type="application/pdf"/>'
    item = only_item(
        an_atom(entry(people, title="<title>Hills\n  and heat</title>", link=f'{related}<link href="a/1"/>'))
    )
    assert (item.title, item.author) == ("Hills and heat", "Ann Lee, Bo Berg, Cy Dahl")
    assert item.url == "https://hub.example/feeds/a/1", "the alternate link, not the PDF"


def test_every_part_of_an_rss_item() -> None:
    item = only_item(
        an_rss(
            an_item(
                title="Hills &amp;amp; heat",
                description="&lt;p&gt;Run &lt;b&gt;slowly&lt;/b&gt;.&lt;/p&gt;&lt;p&gt;Then rest.&lt;/p&gt;",
                more="<dc:creator>Ann Lee</dc:creator><category>Race day</category>"
                '<enclosure url="/i/hill.png" type="image/png" length="1"/>',
            )
        )
    )
    assert item == FeedItem(
        guid="guid-1",
        url="https://hub.example/a1",
        title="Hills & heat",
        summary="Run slowly. Then rest.",
        author="Ann Lee",
        image_url="https://hub.example/i/hill.png",
        image_alt=None,
        language="en-GB",
        published="Sun, 01 Mar 2026 08:00:00 GMT",
        published_at=datetime(2026, 3, 1, 8, tzinfo=UTC),
        categories=("Running", "Race day"),
    )


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Q&amp;A", "Q&A"),
        ("Q&amp;amp;A", "Q&A"),
        ("&lt;b&gt;Bold&lt;/b&gt; move", "Bold move"),
        ("5 &lt; 10 km", "5 < 10 km"),
        ("I &lt;3 running", "I <3 running"),
        ("&amp;lt;b&amp;gt; is a tag", "<b> is a tag"),
        ("<![CDATA[Caf&eacute; &#8211; open]]>", "Café – open"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;Safe", "Safe"),
        ("one\n   two\t three", "one two three"),
        ("&#x202e;evil&#x2028;line", "evil line"),
        ("x" * 300, "x" * 199 + "…"),
        ("word " * 100, "word " * 38 + "word…"),
    ],
)
def test_titles_are_plain_text_with_entities_decoded_once(written: str, read: str) -> None:
    assert only_item(an_rss(an_item(title=written))).title == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('<title type="text">Use &lt;b&gt; &amp;amp;</title>', "Use <b> &amp;"),
        ('<title type="html">Use &amp;lt;b&amp;gt; &lt;i&gt;now&lt;/i&gt;</title>', "Use <b> now"),
        (
            '<title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">A<em>b</em> &lt; c</div></title>',
            "Ab < c",
        ),
    ],
)
def test_atom_says_itself_what_is_html(written: str, read: str) -> None:
    assert only_item(an_atom(entry(title=written))).title == read


@pytest.mark.parametrize(
    ("location", "feed", "url"),
    [
        (HERE, an_rss(an_item(link="/a/1")), "https://hub.example/a/1"),
        (HERE, an_rss(an_item(link="a/1")), "https://hub.example/feeds/a/1"),
        (HERE, an_atom(entry()), "https://hub.example/feeds/a/1"),
        (HERE, an_atom(entry(), 'xml:base="/blog/"'), "https://hub.example/blog/a/1"),
        (HERE, an_atom(entry(), 'xml:base="https://b.example/x/"'), "https://b.example/x/a/1"),
        ("file:///srv/en.xml", an_rss(an_item(link="a/1")), "https://hub.example/a/1"),
        (HERE, an_rss(an_item(link=None, guid="https://hub.example/by-guid")), "https://hub.example/by-guid"),
        (HERE, an_rss(an_item(link=None)), None),
        (HERE, an_rss(an_item(link=" ")), None),
        (HERE, an_rss(an_item(link="https://[broken/")), "https://[broken/"),
    ],
)
def test_addresses_become_absolute(location: str, feed: bytes, url: str | None) -> None:
    feed = feed.replace(b'<guid isPermaLink="false">https', b"<guid>https")
    assert only_item(feed, location).url == url


def test_a_guid_does_not_depend_on_where_the_feed_lies() -> None:
    feed = an_rss(an_item(guid="2026/hills"))
    assert {only_item(feed, where).guid for where in (HERE, "http://old.example/feed", "file:///f")} == {"2026/hills"}


@pytest.mark.parametrize(
    ("more", "image"),
    [
        ('<enclosure url="/e.mp3" type="audio/mpeg" length="1"/>', None),
        ('<media:content url="/m.jpg" medium="image"/>', ("https://hub.example/m.jpg", None)),
        ('<media:content url="/m.mp4" medium="video"/>', None),
        ('<media:thumbnail url="/t.jpg"/>', ("https://hub.example/t.jpg", None)),
        (
            '<content:encoded>&lt;img src="px.gif" width="1"&gt;&lt;IMG alt="A hill" src="i.png"&gt;</content:encoded>',
            ("https://hub.example/feeds/i.png", "A hill"),
        ),
        ("<content:encoded>&lt;img alt='no source'&gt;</content:encoded>", None),
    ],
)
def test_an_image_is_found_where_publishers_put_it(more: str, image: tuple[str, str | None] | None) -> None:
    item = only_item(an_rss(an_item(more=more)))
    assert (item.image_url, item.image_alt) == (image or (None, None))


@pytest.mark.parametrize("first", [True, False], ids=["before the summary", "after it"])
@pytest.mark.parametrize("summary", ["The summary", "A hill &gt; a house", None])
def test_the_description_of_an_image_is_its_alternative_text(summary: str | None, first: bool) -> None:
    image = (
        '<media:content url="/m.jpg" medium="image"><media:title a=">">Hill</media:title>'
        "<media:description>A hill &gt; a house</media:description><media:thumbnail url='/t.jpg'/></media:content>"
        '<media:content url="/n.jpg" medium="image"><media:description/><media:title/></media:content>'
    )
    described = f"<description>{summary}</description>" if summary else ""
    item = only_item(an_rss(an_item(description=None, more=image + described if first else described + image)))
    assert item.summary == (summary or "").replace("&gt;", ">")
    assert (item.image_url, item.image_alt) == ("https://hub.example/m.jpg", "A hill > a house")
    assert item.title == "Article 1"


def test_the_description_of_a_group_of_media_describes_the_item() -> None:
    group = '<media:group><media:content url="/m.jpg" medium="image"/><media:description>D</media:description>'
    item = only_item(an_rss(an_item(description=None, more=group + "</media:group>")))
    assert (item.summary, item.image_alt) == ("D", None)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("<author>ann@hub.example (Ann Lee)</author>", "Ann Lee"),
        ("<author>ann@hub.example</author>", None),
        ("<dc:creator>Ann Lee</dc:creator><dc:creator>Bo Ek</dc:creator>", "Ann Lee, Bo Ek"),
        ("<dc:creator>&lt;b&gt;Ann&lt;/b&gt;</dc:creator>", "Ann"),
        ("", None),
    ],
)
def test_authors_are_names_and_never_addresses(written: str, name: str | None) -> None:
    assert only_item(an_rss(an_item(more=written))).author == name


def test_an_atom_author_with_an_address() -> None:
    author = "<author><name>Ann Lee</name><email>ann@hub.example</email></author>"
    assert only_item(an_atom(entry(author))).author == "Ann Lee"


@pytest.mark.parametrize(
    ("feed", "language"),
    [
        (an_rss(an_item()), "en-GB"),
        (an_rss(an_item(more="<dc:language>de</dc:language>")), "de"),
        (an_rss(an_item(), language=None), None),
        (an_atom(entry(), 'xml:lang="de-AT"'), "de-AT"),
        (an_atom(entry().replace("<entry>", '<entry xml:lang="en">'), 'xml:lang="de"'), "en"),
    ],
)
def test_the_language_of_an_item_or_else_of_its_channel(feed: bytes, language: str | None) -> None:
    assert only_item(feed).language == language


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Sun, 01 Mar 2026 10:00:00 +0200", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ("Tue, 22 Jun 2021 16:52 EDT", datetime(2021, 6, 22, 20, 52, tzinfo=UTC)),
        ("1 Mar 2026 08:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ("2026-03-01T09:00:00+01:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ("2026-03-01T08:00:00.123Z", datetime(2026, 3, 1, 8, 0, 0, 123000, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("Mon, 30 Feb 2026 10:00:00 GMT", None),
        ("2026-13-01T00:00:00Z", None),
        ("10:00", None),
        ("2026", None),
        ("2026-W10", None),
        ("yesterday", None),
        ("9999-12-31T23:59:59-12:00", None),
        ("Sun, 01 Mar 2026 08:00:00 +9999", None),
        ("", None),
    ],
)
def test_dates_are_read_strictly(written: str, read: datetime | None) -> None:
    assert read_date(written) == read


def test_an_unreadable_date_falls_back_to_the_next_one() -> None:
    item = only_item(an_rss(an_item(pubDate="soon", more="<dc:date>2026-03-01T08:00:00Z</dc:date>")))
    assert item.published_at == datetime(2026, 3, 1, 8, tzinfo=UTC)
    item = only_item(an_rss(an_item(pubDate="soon")))
    assert (item.published, item.published_at) == ("soon", None)


@pytest.mark.parametrize(
    ("head", "encoding", "charset"),
    [
        ('<?xml version="1.0" encoding="ISO-8859-1"?>', "cp1252", None),
        ('<?xml version="1.0"?>', "utf-8-sig", None),
        ('<?xml version="1.0" encoding="utf-16"?>', "utf-16", None),
        ('\n\n<?xml version="1.0" encoding="utf-8"?>', "utf-8", None),
        ('<?xml version="1.0" encoding="utf-8"?>', "koi8-r", "koi8-r"),
        ("", "utf-8", "us-ascii"),
        ('<?xml version="1.0" encoding="utf-16"?>', "utf-32", None),
    ],
)
def test_encodings(head: str, encoding: str, charset: str | None) -> None:
    title = "Привет" if encoding == "koi8-r" else "Läufer – 10 €"
    body = an_rss(an_item(title=title), head=head).decode().encode(encoding)
    [item] = items_of(body, charset=charset)
    assert item.title == title


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMBS = {
    "billion laughs": an_rss(an_item(title="&l9;"), head=f'<!DOCTYPE rss [<!ENTITY l0 "lol">{LAUGHS}]>'),
    "external entity": an_rss(an_item(title="&x;"), head='<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
    "external DTD": an_rss(an_item(), head='<!DOCTYPE rss SYSTEM "http://127.0.0.1/x.dtd">'),
    "parameter entity": an_rss(an_item(), head='<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1/">%p;]>'),
    "hidden in UTF-16": an_rss(an_item(), head='<?xml version="1.0" encoding="utf-16"?><!DOCTYPE rss []>')
    .decode()
    .encode("utf-16"),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_doctype_is_refused_before_anything_is_expanded(bomb: bytes) -> None:
    with pytest.raises(ServiceError, match=r"line 1 declares a DOCTYPE.*Nothing was changed") as refused:
        items_of(bomb)
    assert (refused.value.kind, refused.value.code) == (Kind.INVALID, "feed_unsafe")


TOO_MUCH = {
    "10,000 items": (an_rss(an_item(n) for n in range(10_000)), "feed_too_long"),
    "deep": (an_rss("<item>" + "<a>" * 150 + "</a>" * 150 + "</item>"), "feed_too_complex"),
    "elements": (an_rss("<item>" + "<a/>" * 200_001 + "</item>"), "feed_too_complex"),
    "categories": (an_rss(an_item(more="<category>c</category>" * 301)), "feed_too_complex"),
    "author": (an_rss(an_item(more=f"<author>{'1-' * 20_000}</author>")), "feed_too_complex"),
    "author in pieces": (an_rss(an_item(more=f"<author>{'1-<b/>' * 1_000}</author>")), "feed_too_complex"),
}


@pytest.mark.parametrize(("body", "code"), TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_what_would_cost_too_much_is_refused_quickly(body: bytes, code: str) -> None:
    start = time.process_time()
    with pytest.raises(ServiceError, match="Nothing was changed") as refused:
        items_of(body)
    assert refused.value.code == code
    assert time.process_time() - start < 2


def test_5000_items_are_read() -> None:
    assert len(items_of(an_rss(an_item(n) for n in range(5_000)))) == 5_000


@pytest.mark.parametrize("nest", ["<b>", "<div><p><a href=x>", "<table><tr><td>", "<svg><style>", "<!--", "<a b='"])
def test_html_bombs_cost_little(nest: str) -> None:
    start = time.process_time()
    body = an_rss(an_item(description=f"<![CDATA[Calm. {nest * 100_000}]]>"))
    assert only_item(body).summary.startswith("Calm.")
    assert time.process_time() - start < 3


def test_a_parser_that_stumbles_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise IndexError

    monkeypatch.setattr("feedparser.parse", stumble)
    with pytest.raises(ServiceError, match=r"IndexError\. Nothing was changed"):
        items_of(an_rss(an_item()))


BROKEN = {
    "cut off": (an_rss(an_item())[:-40], "feed_broken", r"line 1 is not well-formed XML \(no element found\)"),
    "wrong tag": (an_rss(an_item(title="\n\n<b>")), "feed_broken", r"line 3 is not well-formed XML \(mismatched tag\)"),
    "HTML entity": (an_rss(an_item(title="a&nbsp;b")), "feed_broken", "undefined entity"),
    "control character": (an_rss(an_item(title="a\x08b")), "feed_broken", "line 1 is not well-formed"),
    "unbound prefix": (an_rss(an_item(more="<x:y/>")), "feed_broken", "unbound prefix"),
    "empty": (b"", "not_a_feed", "neither RSS 2.0 nor Atom"),
    "a web page": (b"<!DOCTYPE html><html><p>Hello", "not_a_feed", "Check the address"),
    "an old web page": (b"<html><body>Hello</body></html>", "not_a_feed", "neither"),
    "JSON": (b'{"version": "https://jsonfeed.org/version/1.1"}', "not_a_feed", "neither"),
    "RSS 1.0": (b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>', "not_a_feed", "neither"),
    "no namespace": (b"<feed><entry/></feed>", "not_a_feed", "neither"),
    "not UTF-8": (an_rss(an_item(title="\nL")).replace(b"L", b"\xe4"), "feed_encoding", "line 2 is not the utf-8"),
    "unknown encoding": (b'<?xml version="1.0" encoding="klingon"?><rss/>', "feed_encoding", "'klingon'"),
    "no text encoding": (b'<?xml version="1.0" encoding="zlib"?><rss/>', "feed_encoding", "'zlib'"),
}


@pytest.mark.parametrize(("body", "code", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_feed_says_what_is_wrong_and_where(body: bytes, code: str, says: str) -> None:
    with pytest.raises(ServiceError, match=says) as refused:
        items_of(body)
    assert refused.value.code == code
    assert "Nothing was changed" in refused.value.message


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_feed_is_read_or_refused_but_never_crashes(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from([p.read_bytes() for p in sorted(REAL.glob("*.[ar]*"))])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5))
    try:
        items = items_of(bytes(body))
    except ServiceError:
        return
    assert all("\x00" not in item.title and len(item.title) <= 200 for item in items)
