"""What an editor writes becomes two parts with the same words and links, and nothing that loads or acts."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from service.mail.lint import check_html
from service.mail.markdown import MarkdownError, convert
from tests.mail.letters import elements, links_of_html, links_of_text

OWN = frozenset({"news.fjellsko.example"})


def html_of(markdown: str) -> str:
    """Without the styles, for reading."""
    return re.sub(r' (style|class)="[^"]*"', "", convert(markdown, OWN).html)


def words(html: str) -> str:
    return " ".join(" ".join(element.text for element in elements(f"<div>{html}</div>")).split())


@pytest.mark.parametrize(
    ("markdown", "html", "text"),
    [
        ("Plain *words*, **loud** ones.", "<p>Plain <em>words</em>, <strong>loud</strong> ones.</p>\n", None),
        ("One  \ntwo", "<p>One<br>\ntwo</p>\n", "One\ntwo"),
        ("One\ntwo", "<p>One\ntwo</p>\n", "One two"),
        ("# Title\n\n## Part", "<h1>Title</h1>\n<h2>Part</h2>\n", "Title\n=====\n\nPart\n----"),
        ("- one\n- two\n  - three", None, "- one\n- two\n  - three"),
        ("3. three\n4. four", '<ol start="3">\n<li>three</li>\n<li>four</li>\n</ol>\n', "3. three\n4. four"),
        ("> said\n>\n> so", None, "> said\n> \n> so"),
        ("```\na  <b\n```", "<pre><code>a  &lt;b\n</code></pre>\n", "    a  <b"),
        ("a\n\n---\n\nb", "<p>a</p>\n<hr>\n<p>b</p>\n", "a\n\n* * *\n\nb"),
        ("`code`", "<p><code>code</code></p>\n", "code"),
        ("AT&amp;T &lt; 3", "<p>AT&amp;T &lt; 3</p>\n", "AT&T < 3"),
    ],
)
def test_markdown(markdown: str, html: str | None, text: str | None) -> None:
    if html is not None:
        assert html_of(markdown) == html
    if text is not None:
        assert convert(markdown, OWN).text == text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("[Read on](https://a.example/x)", "Read on\nhttps://a.example/x"),
        ("Go [there](https://a.example/x) now.", "Go there now.\n→ there\n  https://a.example/x"),
        ("<https://a.example/x>", "https://a.example/x"),
        ("See <https://a.example/x>.", "See https://a.example/x.\nhttps://a.example/x"),
        ("Ask [us](mailto:a@b.example)", "Ask us\n→ us\n  a@b.example"),
        ("# [T](https://a.example/)", "T\n=\nhttps://a.example/"),
        ("- [one](https://a.example/1)\n- [two](https://a.example/2)", None),
        ("> [q](https://a.example/q)", "> q\n> https://a.example/q"),
        ("[r][1]\n\n[1]: https://a.example/r?a=1&b=2", "r\nhttps://a.example/r?a=1&b=2"),
        (f"[long](https://a.example/{'x' * 200})", f"long\nhttps://a.example/{'x' * 200}"),
        ("[![A path](https://news.fjellsko.example/p.png)](https://a.example/p)", "[A path]\nhttps://a.example/p"),
    ],
)
def test_links_are_the_same_in_both_parts(markdown: str, text: str | None) -> None:
    """A-19."""
    body = convert(markdown, OWN)
    assert links_of_text(body.text) == links_of_html(body.html)
    assert {link for link in body.links if not link.startswith("mailto:")} == links_of_html(body.html)
    if text is not None:
        assert body.text == text


@pytest.mark.parametrize(
    "raw",
    [
        "<script>alert(1)</script>",
        '<img src="https://tracker.example/x.png">',
        '<a href="https://tracker.example/">x</a>',
        '<p style="background:url(https://tracker.example/)">x</p>',
        "<style>@import url(https://tracker.example/)</style>",
        "a <b onclick=alert(1)>b</b>",
        "<!-- <script> -->",
        "<![CDATA[<script>]]>",
        "<table><tr><td>x",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
    ],
)
def test_html_is_shown_as_it_was_typed(raw: str) -> None:
    html = convert(raw, OWN).html
    assert {element.tag for element in elements(html)} <= {"p"}
    check_html(html, OWN, frozenset())


@given(
    markdown=st.lists(
        st.text(max_size=20)
        | st.sampled_from(
            [
                "<script>",
                "</p>",
                '" onload="x',
                "[a](https://a.example/)",
                "![a](https://news.fjellsko.example/a.png)",
                "[a](javascript:x)",
                "# ",
                "> ",
                "- ",
                "1. ",
                "\n\n",
                "```",
                "    ",
                "**",
                "`",
                "&#x6a;",
                "<https://a.example/>",
                "[r]: https://a.example/r\n",
                "[r]",
            ]
        ),
        max_size=12,
    ).map("".join)
)
@example(markdown='[a](https://a.example/"onmouseover="alert(1) "t")')
@example(markdown="# \n\n[](https://a.example/)")
@example(markdown="***\n\n> - 1. # x\n\n![x](https://news.fjellsko.example/a.png)")
def test_whatever_is_written_passes_the_last_look(markdown: str) -> None:
    """A-39, A-40: no element, attribute or address that the editor did not get from Markdown."""
    try:
        body = convert(markdown, OWN)
    except MarkdownError:
        return
    check_html(body.html, OWN, body.links)
    for element in elements(body.html):
        assert element.attributes.keys() <= {"style", "class", "href", "src", "alt", "width", "height", "start"}
        assert element.tag not in {"h4", "h5", "h6"}
    assert sum(element.tag == "h1" for element in elements(body.html)) == body.has_title
    assert links_of_html(body.html) <= {*body.links, *links_of_text(body.text)}
    assert body.text.strip()


@pytest.mark.parametrize("empty", ["", "  \n\n", "[r]: https://a.example/\n", "#", "words\n\n## \n"])
def test_a_body_needs_words(empty: str) -> None:
    with pytest.raises(MarkdownError, match="empty"):
        convert(empty, OWN)


@pytest.mark.parametrize(
    "link",
    [
        "[](https://a.example/)",
        "[ ](https://a.example/)",
        "[![](https://news.fjellsko.example/p.png)](https://a.example/)",
    ],
)
def test_a_link_needs_words(link: str) -> None:
    """A-40."""
    with pytest.raises(MarkdownError, match="has no words"):
        convert(f"Read {link}", OWN)


@pytest.mark.parametrize(
    "href", ["/page", "page.html", "#part", "ftp://a.example/x", "//a.example/x", "tel:+47123", ""]
)
def test_a_link_must_lead_somewhere_from_a_mail(href: str) -> None:
    with pytest.raises(MarkdownError, match="Write it whole"):
        convert(f"[x](<{href}>)", OWN)


@pytest.mark.parametrize("scheme", ["javascript", "data", "vbscript", "file"])
def test_a_link_that_acts_is_no_link(scheme: str) -> None:
    try:
        html = convert(f"[x]({scheme}:alert)", OWN).html
    except MarkdownError:
        return
    assert "href" not in html


@pytest.mark.parametrize(
    "src",
    [
        "https://tracker.example/x.png",
        "x.png",
        "/x.png",
        "//news.fjellsko.example/x.png",
        "https://news.fjellsko.example@tracker.example/x.png",
        "https://evil-news.fjellsko.example/x.png",
        "ftp://news.fjellsko.example/x.png",
    ],
)
def test_an_image_from_elsewhere_is_refused_with_the_remedy(src: str) -> None:
    """Invariant 6."""
    with pytest.raises(MarkdownError, match="MILEPOST_OWN_HOSTS"):
        convert(f"![A path]({src})", OWN)


def test_an_own_image() -> None:
    """A-40: alternative text, width and height; its words stand in the text part."""
    body = convert('Look: ![A "wet" path](https://news.fjellsko.example/p.png "not shown")', OWN)
    (image,) = [element for element in elements(body.html) if element.tag == "img"]
    assert image.attributes["alt"] == 'A "wet" path'
    assert image.attributes["src"] == "https://news.fjellsko.example/p.png"
    assert int(image.attributes["width"]) == 536
    assert int(image.attributes["height"]) > 0
    assert "title" not in image.attributes
    assert body.text == 'Look: [A "wet" path]'


def test_one_title_and_nothing_deeper_than_three_levels() -> None:
    """A-40."""
    body = convert("## Before\n\n# One\n\n# Two\n\n### Three\n\n##### Five", OWN)
    assert [element.tag for element in elements(body.html)] == ["h2", "h1", "h2", "h3", "h3"]
    assert body.has_title
    assert not convert("## Only a part", OWN).has_title


@given(st.lists(st.text("abcdefgh ", min_size=1, max_size=300), min_size=1, max_size=4))
def test_the_text_part_says_what_the_html_says_in_short_lines(paragraphs: list[str]) -> None:
    markdown = "\n\n".join(paragraphs)
    assume(markdown.strip() and not any(paragraph.startswith("    ") for paragraph in paragraphs))
    body = convert(markdown, OWN)
    assert body.text.split() == words(body.html).split()
    assert all(len(line) <= 72 or " " not in line.strip() for line in body.text.splitlines())
