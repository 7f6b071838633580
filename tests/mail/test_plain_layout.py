"""A campaign without a frame: a few kilobytes, and nothing that the law or a careful reader wants is missing."""

import re
from dataclasses import replace

import pytest

from service.domain.letters import Letter
from service.domain.words import Language, Layout, MailKind
from tests.mail.letters import NOW, PUBLISHER, WRITER, a_letter, elements, links_of_html, links_of_text, parts

LANGUAGES = pytest.mark.parametrize("language", Language)
IMAGE = "\n\n![A wet trail](https://news.fjellsko.example/trail.png)"


def a_plain_letter(language: Language, **changes: object) -> Letter:
    return replace(a_letter(MailKind.CAMPAIGN, language), layout=Layout.PLAIN, **changes)


@LANGUAGES
def test_a_short_plain_letter_fits_into_four_kibibytes(language: Language) -> None:
    body = (
        "From Friday you can try the **Storm 3** in our shops. [See how it was tested](https://www.fjellsko.example/s)"
    )
    plain = a_plain_letter(language, body=body)
    assert len(WRITER.write(plain, NOW).data) <= 4096
    assert len(WRITER.write(replace(plain, layout=Layout.CARD), NOW).data) > 4096


@LANGUAGES
def test_both_layouts_say_the_same_words_and_lead_to_the_same_places(language: Language) -> None:
    plain = a_plain_letter(language)
    text, html = parts(WRITER.write(plain, NOW))
    card_text, card_html = parts(WRITER.write(replace(plain, layout=Layout.CARD), NOW))
    assert text == card_text
    assert links_of_text(text) == links_of_html(html) == links_of_html(card_html)
    date_and_list = {"2 March 2026", "2. März 2026", "2 mars 2026", "2 de marzo de 2026", plain.list_name}
    assert set(_words(card_html)) - set(_words(html)) <= date_and_list
    assert set(_words(html)) <= set(_words(card_html))


@pytest.mark.requirement("A-39", "A-40", "A-44")
@LANGUAGES
def test_a_plain_letter_is_well_made(language: Language) -> None:
    html = WRITER.preview(a_plain_letter(language, body=f"No title.{IMAGE}"), NOW).html
    found = list(elements(html))
    assert html.startswith("<!doctype html>")
    (root,) = [e for e in found if e.tag == "html"]
    assert (root.attributes["lang"], root.attributes["dir"]) == (language, "ltr")
    assert [e.text for e in found if e.tag == "title"] == [e.text for e in found if e.tag == "h1"] != [""]
    metas = {e.attributes.get("name"): e.attributes.get("content") for e in found if e.tag == "meta"}
    assert metas["color-scheme"] == metas["supported-color-schemes"] == "light dark"
    assert any(e.attributes.get("charset") == "utf-8" for e in found if e.tag == "meta")
    (image,) = [e for e in found if e.tag == "img"]
    assert image.attributes["alt"] == "A wet trail"
    assert image.style["max-width"] == "536px"
    # The reader's client chooses all colours, and no letters are smaller than its own.
    assert "color:" not in html.replace("border-color", "")
    assert re.findall(r"font[^;\"]*", html) == ["font:17px/1.5 sans-serif"]


@pytest.mark.requirement("A-30", "A-42", "A-45")
@LANGUAGES
def test_a_plain_letter_says_who_why_and_how_to_stop(language: Language) -> None:
    html = WRITER.preview(a_plain_letter(language), NOW).html
    words = " ".join(_words(html))
    for fact in (PUBLISHER.name, PUBLISHER.postal_address, PUBLISHER.contact, "news.fjellsko.example", "2026"):
        assert fact in words
    first = next(e.text.strip() for e in elements(html) if e.tag != "title" and e.text.strip())
    assert 40 <= len(first) <= 100
    (link,) = [e for e in elements(html) if e.tag == "a" and "/u/" in e.attributes["href"]]
    assert link.text.strip()


def _words(html: str) -> list[str]:
    """Each element's own words, what only clients read left out."""
    return [" ".join(e.text.split()) for e in elements(html) if e.tag not in ("title", "style") and e.text.strip()]
