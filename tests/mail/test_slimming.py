"""What is left out of the HTML that MJML writes, and what is not."""

import re

import pytest

from service.domain.words import MailKind
from service.mail.slimming import slim
from tests.mail.letters import NOW, WRITER, a_letter, elements


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "<!--[if mso | IE]><table><tr><![endif]-->\n  <!--[if mso | IE]><td><![endif]--><p>x</p>",
            "<!--[if mso | IE]><table><tr><td><![endif]--><p>x</p>",
        ),
        ("<!--[if mso]>a<![endif]--><!--[if mso | IE]>b<![endif]-->",) * 2,
        ("<style>a { color: red; }\n\n  .b, .c > d { e: f !important; } </style>",
         "<style>a{color:red;}.b,.c > d{e:f!important;}</style>"),
        ("<p>one\n     {% if x %}\n     two: three, four</p>", "<p>one\n{% if x %}\ntwo: three, four</p>"),
        ("<p>a  b &nbsp; c</p>",) * 2,
    ],
)  # fmt: skip
def test_the_same_in_fewer_bytes(before: str, after: str) -> None:
    assert slim(before) == after


def test_columns_that_are_not_as_wide_as_their_section_keep_what_they_need() -> None:
    style = "<style>@media only screen{.mj-column-per-{}{width:{}%!important;}}</style>"
    column = '<div class="mj-outlook-group-fix mj-column-per-{}">'
    whole = style.replace("{}", "100") + column.replace("{}", "100")
    assert "mj-column" not in slim(whole.replace("100{", "100 {"))
    half = style.replace("{}", "50") + column.replace("{}", "50")
    assert slim(whole + half) == whole + half


@pytest.mark.parametrize("kind", MailKind)
def test_what_clients_of_today_read_is_there(kind: MailKind) -> None:
    html = WRITER.preview(a_letter(kind), NOW).html
    assert "mj-column" not in html
    assert not re.search(r"X-UA-Compatible|xmlns:v|<!\[endif\]-->\s*<!--\[if mso \| IE\]>", html)
    assert html.count("<!--[if") == html.count("<![endif]-->")
    for needed in ("mso-line-height-rule:exactly", "o:PixelsPerInch", "prefers-color-scheme:dark", "max-width:479px"):
        assert needed in html
    opened = [e.tag for e in elements(html, outlook=True)]
    for tag in ("table", "td", "tr", "div"):
        assert opened.count(tag) == len(re.findall(f"</{tag}>", html))
