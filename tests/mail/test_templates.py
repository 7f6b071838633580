"""Every mail in every language, from its own sample: what a careful reader, a client and a lawyer would look at."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from service.domain.letters import LetterArticle
from service.domain.words import ASKS_FOR_CONSENT, LIST_MAIL, Language, MailKind, Purpose
from service.mail.samples import load_sample
from service.mail.writer import UnwritableError
from service.texts import Catalogue, templates_dir
from tests.mail.letters import (
    EVERY_LIST_MAIL,
    EVERY_MAIL,
    NOW,
    PUBLISHER,
    WRITER,
    Element,
    a_letter,
    elements,
    links_of_html,
    links_of_text,
    parts,
)

EVERY = pytest.mark.parametrize(("kind", "language"), EVERY_MAIL)
LISTED = pytest.mark.parametrize(("kind", "language"), EVERY_LIST_MAIL)
EMAILS = templates_dir() / "emails"
UNCONFIRMED = [MailKind.CONFIRMATION, MailKind.REPERMISSION, MailKind.ALREADY_SUBSCRIBED]
"""Mails to an address that anybody may have typed into a form."""
VAGUE = {
    *("here", "click here", "more", "hier", "hier klicken", "mehr"),
    *("ici", "cliquez ici", "plus", "en savoir plus", "aquí", "haga clic aquí", "pulse aquí", "más"),
}
"""What a link must not be called."""
UNSUBSCRIBE = {
    Language.EN: "Unsubscribe",
    Language.DE: "Abmelden",
    Language.FR: "Se désinscrire",
    Language.ES: "Darse de baja",
}
ADVERTISING = re.compile(
    r"welcome|willkommen|contact us|kontaktieren|questions|fragen\b|follow us|folgen sie uns|discover|entdecken|"
    r"offer of|rabatt|discount|free|gratis|bienvenue|contactez|suivez-nous|découvr|remise|gratuit|bienvenid|contácte|"
    r"síganos|descubr|descuento|¡|!",
    re.IGNORECASE,
)


def html_of(kind: MailKind, language: Language) -> str:
    return WRITER.preview(a_letter(kind, language), NOW).html


def seen(html: str) -> str:
    """The words that a reader sees, as one line."""
    hidden = {"style", "title"}
    return " ".join(" ".join(e.text for e in elements(html) if e.tag not in hidden).split())


def fluent(text: str) -> str:
    return " ".join(text.split())


# --- both parts -------------------------------------------------------------------------------------------------------


@EVERY
def test_text_and_html_have_the_same_links(kind: MailKind, language: Language) -> None:
    """A-19; as sent, not as rendered."""
    text, html = parts(WRITER.write(a_letter(kind, language), NOW))
    assert links_of_text(text) == links_of_html(html)
    assert len(links_of_html(html)) >= 3


@EVERY
def test_no_foreign_host_stands_in_the_mail(kind: MailKind, language: Language) -> None:
    """Invariant 6: not even as a namespace, apart from where the samples' articles and editor lead."""
    rendered = WRITER.preview(a_letter(kind, language), NOW)
    hosts = set(re.findall(r"//([a-z0-9-]+(?:\.[a-z0-9-]+)+)", rendered.html + rendered.text))
    brought = {MailKind.DIGEST: {"hub.fjellsko.example"}, MailKind.CAMPAIGN: {"www.fjellsko.example"}}
    assert hosts == {"news.fjellsko.example"} | brought.get(kind, set())
    loaded = [e.attributes["src"] for e in elements(rendered.html, outlook=True) if "src" in e.attributes]
    assert all(url.startswith("https://news.fjellsko.example/") for url in loaded)
    assert "url(" not in rendered.html


@EVERY
def test_the_text_part_is_made_for_reading(kind: MailKind, language: Language) -> None:
    text = WRITER.preview(a_letter(kind, language), NOW).text
    for line in text.splitlines():
        assert len(line) <= 72 or re.search(r"https?://\S{30,}$", line), line
        assert line == line.rstrip(), "a blank at the end of a line; '-- ' would have clients fold the footer away"
    assert "\n\n\n" not in text
    assert not re.search(r"<\w|&\w+;|{{|{%|{\w+}|\bNone\b", text)


@pytest.mark.requirement("E-11")
@pytest.mark.parametrize("language", Language)
def test_an_imported_readers_footer_does_not_say_that_they_signed_up_here(language: Language) -> None:
    letter = a_letter(MailKind.DIGEST, language, imported=True)
    reason = {
        Language.EN: "signed up on 12 January 2026. Fjellsko Sport AS took your subscription over from another",
        Language.DE: "am 12. Januar 2026 angemeldet haben. Fjellsko Sport AS hat Ihre Anmeldung aus einem anderen",
        Language.FR: "votre inscription du 12 janvier 2026, que Fjellsko Sport AS a reprise d’un autre système",
        Language.ES: "suscribió el 12 de enero de 2026. Fjellsko Sport AS trasladó su suscripción desde otro",
    }[language]
    rendered = WRITER.preview(letter, NOW)
    for words in (seen(rendered.html), fluent(rendered.text)):
        assert reason in words


@LISTED
def test_the_footer_says_who_why_and_how_to_stop(kind: MailKind, language: Language) -> None:
    """A-45, A-30, in both parts."""
    rendered = WRITER.preview(a_letter(kind, language), NOW)
    reason = {
        Language.EN: "You receive this because you signed up on 12 January 2026",
        Language.DE: "weil Sie sich am 12. Januar 2026",
        Language.FR: "Vous recevez ce message à la suite de votre inscription du 12 janvier 2026",
        Language.ES: "porque se suscribió el 12 de enero de 2026",
    }[language]
    if kind is MailKind.WELCOME:
        for january, march in (("12 January", "2 March"), ("12. Januar", "2. März"), ("12 janvier", "2 mars")):
            reason = reason.replace(january, march)
        reason = reason.replace("12 de enero", "2 de marzo")
    for words in (seen(rendered.html), fluent(rendered.text)):
        for fact in (PUBLISHER.name, PUBLISHER.postal_address, PUBLISHER.contact, "news.fjellsko.example"):
            assert fact in words
        assert reason in words
        assert UNSUBSCRIBE[language] in words
    for path in ("/u/", "/c/", "/help", "/privacy", "/imprint"):
        assert any(url.startswith(f"https://news.fjellsko.example{path}") for url in links_of_html(rendered.html))
    (unsubscribe,) = [e for e in elements(rendered.html) if e.tag == "a" and "/u/" in e.attributes["href"]]
    assert unsubscribe.text == UNSUBSCRIBE[language], "real text"


@EVERY
def test_every_mail_says_who_wrote_it(kind: MailKind, language: Language) -> None:
    """D-06: legal identity."""
    rendered = WRITER.preview(a_letter(kind, language), NOW)
    for words in (seen(rendered.html), fluent(rendered.text)):
        assert f"{PUBLISHER.name} {PUBLISHER.postal_address}" in words


@LISTED
def test_the_preheader_is_short_and_the_first_visible_text(kind: MailKind, language: Language) -> None:
    """A-42."""
    rendered = WRITER.preview(a_letter(kind, language), NOW)
    first = next(e.text.strip() for e in elements(rendered.html) if e.tag not in ("title", "style") and e.text.strip())
    assert 40 <= len(first) <= 100, first
    assert fluent(first) in fluent(rendered.text)


# --- the HTML ---------------------------------------------------------------------------------------------------------


@EVERY
def test_the_page_is_well_made(kind: MailKind, language: Language) -> None:
    """A-39, A-40, A-44."""
    rendered = WRITER.preview(a_letter(kind, language), NOW)
    assert rendered.html.startswith("<!doctype html>")
    found = list(elements(rendered.html))
    (root,) = [e for e in found if e.tag == "html"]
    assert (root.attributes["lang"], root.attributes["dir"]) == (language, "ltr")
    assert [e.text for e in found if e.tag == "title"] == [rendered.subject]
    assert [e.text.strip() for e in found if e.tag == "h1"] != [""]
    metas = {e.attributes.get("name"): e.attributes["content"] for e in found if e.tag == "meta"}
    assert metas["color-scheme"] == metas["supported-color-schemes"] == "light dark"
    assert re.search(r"charset=utf-8", rendered.html, re.IGNORECASE)
    headings = [int(e.tag[1]) for e in found if re.fullmatch(r"h[1-6]", e.tag)]
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(headings)), "no level skipped"


@pytest.mark.parametrize("outlook", [False, True])
@EVERY
def test_tables_and_images_are_said_to_be_what_they_are(kind: MailKind, language: Language, outlook: bool) -> None:
    """A-40."""
    found = list(elements(html_of(kind, language), outlook=outlook))
    tables = [e for e in found if e.tag == "table"]
    assert tables
    assert all(e.attributes.get("role") == "presentation" for e in tables)
    for image in (e for e in found if e.tag == "img"):
        assert image.attributes["alt"].strip()
        assert int(image.attributes["width"]) > 0
        assert int(image.attributes["height"]) > 0


@EVERY
def test_all_sections_are_as_wide_as_the_card(kind: MailKind, language: Language) -> None:
    """MJML's own include forgets the width of the page around it; Outlook reads it from the tables."""
    html = html_of(kind, language)
    sections = [e.style["max-width"] for e in elements(html) if e.tag == "div" and "max-width" in e.style]
    assert set(sections) == {"600px"}
    assert len(sections) >= 3
    ghosts = [e for e in elements(html, outlook=True) if e.tag == "table" and e.attributes.get("align") == "center"]
    assert {e.attributes["width"] for e in ghosts if "width" in e.attributes} == {"600"}


@EVERY
def test_links_have_words(kind: MailKind, language: Language) -> None:
    """A-40; one around an image has its alternative text."""
    found = list(elements(html_of(kind, language)))
    for link in (e for e in found if e.tag == "a"):
        inside = [e for e in found if link in e.path]
        words = link.text + "".join(e.text + e.attributes.get("alt", "") for e in inside)
        assert len(words.strip()) > 2, link
        assert words.strip().lower() not in VAGUE


@EVERY
def test_nothing_is_hidden_and_nothing_is_tiny(kind: MailKind, language: Language) -> None:
    """A-40: 14 pixels at least; A-42."""
    html = html_of(kind, language)
    assert not re.search(r"display:\s*none|visibility:\s*hidden|opacity:\s*0\b|max-height:\s*0|[\u200b-\u200f]", html)
    assert not re.search(r"{{|{%|{\w+}|\bNone\b", re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL))
    for element in elements(html):
        if element.tag not in ("title", "style") and element.text.strip("\xa0 \n"):
            size = _nearest(element, "font-size")
            assert size is not None
            assert int(size.removesuffix("px")) >= 14, element


@EVERY
def test_no_note_of_ours_reaches_a_reader(kind: MailKind, language: Language) -> None:
    comments = re.findall(r"<!--(.*?)-->", html_of(kind, language), re.DOTALL)
    assert all(comment.startswith(("[if ", "<![endif]", ">")) for comment in comments), comments


@EVERY
def test_a_mail_is_small(kind: MailKind, language: Language) -> None:
    """A-43."""
    assert len(html_of(kind, language).encode()) < 80 * 1024


@pytest.mark.parametrize("language", Language)
def test_the_longest_digest_of_the_usual_size_is_small_too(language: Language) -> None:
    """A-43: five articles with everything as long as a feed may make it."""
    longest = LetterArticle(
        1, "Wörter " * 28, "Wörter " * 85, "https://hub.fjellsko.example/" + "x" * 1900, "Wörter " * 14,
        "https://news.fjellsko.example/" + "x" * 1900, "Wörter " * 35, ("Kraft für Läufer",) * 6, NOW,
    )  # fmt: skip
    rendered = WRITER.preview(a_letter(MailKind.DIGEST, language, articles=(longest,) * 5), NOW)
    assert len(rendered.html.encode()) < 80 * 1024
    with pytest.raises(UnwritableError, match="cut it off"):
        WRITER.preview(a_letter(MailKind.DIGEST, language, articles=(longest,) * 40), NOW)


def _nearest(element: Element, *names: str) -> str | None:
    """The value of the first of these that the element or the nearest ancestor has."""
    for one in (element, *reversed(element.path)):
        for name in names:
            if name in one.style and one.style[name] != "none":
                return one.style[name]
    return None


def _luminance(colour: str) -> float:
    digits = {"white": "ffffff", "black": "000000"}.get(colour, colour.removeprefix("#"))
    assert re.fullmatch("[0-9a-f]{6}", digits), colour
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@EVERY
def test_light_colours_are_legible(kind: MailKind, language: Language) -> None:
    """A-40: every piece of text against the nearest background that is declared around it."""
    checked = 0
    for element in elements(html_of(kind, language)):
        if element.tag in ("title", "style") or not element.text.strip():
            continue
        foreground = _nearest(element, "color")
        background = (_nearest(element, "background-color", "background") or "#f1f3ee").split()[0]
        assert foreground is not None, element
        assert _contrast(foreground, background) >= 4.5, (element.text, foreground, background)
        checked += 1
    assert checked >= 8


@pytest.mark.parametrize(
    ("text", "surface"),
    [("ink", "card"), ("muted", "card"), ("brand", "card"), ("muted", "page"), ("button", "button"), ("ink", "tint")],
)
def test_dark_colours_are_legible(text: str, surface: str) -> None:
    """A-44: what a class of text has in dark mode against what its surface has."""
    head = (EMAILS / "_base" / "head.mjml").read_text(encoding="utf-8")
    dark = head[head.index("prefers-color-scheme: dark") :]

    def declared(name: str, of: str) -> str:
        rules = re.findall(r"([^{}]+){([^{}]*)}", dark.partition("{")[2])
        for selectors, declarations in rules:
            found = re.search(rf"(?:^|[ ;]){name}: (#[0-9a-f]{{6}})", declarations)
            if found and re.search(rf"\.{of}\b(?! [.a])", selectors):
                return found[1]
        raise AssertionError(f"{of} has no {name} in dark mode")

    assert _contrast(declared("color", text), declared("background-color", surface)) >= 4.5


# --- confirmation and already_subscribed ------------------------------------------------------------------------------


@pytest.mark.requirement("D-06")
@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", sorted(ASKS_FOR_CONSENT))
def test_a_confirmation_is_a_question_and_nothing_else(kind: MailKind, language: Language) -> None:
    """D-06."""
    rendered = WRITER.preview(a_letter(kind, language), NOW)
    tags = [e.tag for e in elements(rendered.html, outlook=True)]
    assert "img" not in tags
    assert tags.count("a") == 3
    assert len(links_of_text(rendered.text)) == 3
    paths = sorted(
        re.sub(r"/[a-z2-7]{52}$", "", url.removeprefix(PUBLISHER.public_url)) for url in links_of_html(rendered.html)
    )
    assert paths == ["/confirm", "/imprint", "/privacy"]
    needed = {
        Language.EN: ("5 March 2026, 08:59 UTC", "ignore this message", "training digest", "offers"),
        Language.DE: ("5. März 2026, 08:59 Uhr UTC", "ignorieren Sie diese", "Trainingsübersicht", "Angebote"),
        Language.FR: (
            *("5 mars 2026 à 08:59 UTC", "ignorez ce message"),
            *("sélection d’articles d’entraînement", "offres"),
        ),
        Language.ES: (
            *("5 de marzo de 2026, 08:59 UTC", "ignore este mensaje"),
            *("selección de artículos de entrenamiento", "ofertas"),
        ),
    }[language]
    for words in (rendered.subject, seen(rendered.html), fluent(rendered.text)):
        assert not ADVERTISING.findall(words)
    for words in (seen(rendered.html), fluent(rendered.text)):
        for fact in (*needed, PUBLISHER.name, PUBLISHER.postal_address):
            assert fact in words


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("asked", Purpose)
def test_a_confirmation_names_only_what_was_asked(language: Language, asked: Purpose) -> None:
    letter = a_letter(MailKind.CONFIRMATION, language)
    assert letter.signup
    rendered = WRITER.preview(replace(letter, signup=replace(letter.signup, purposes=(asked,))), NOW)
    catalogue = Catalogue("mail")
    for purpose in Purpose:
        named = fluent(catalogue.text(language, f"purposes.{purpose}"))
        for words in (seen(rendered.html), fluent(rendered.text)):
            assert (named in words) == (purpose is asked)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", UNCONFIRMED)
@pytest.mark.parametrize(
    "name", ["Ada", "http://evil.example/prize", "Ada\r\nBcc: x@y.example", "<b>x", "{{ 7*7 }}", "\0", None]
)
def test_nothing_a_stranger_typed_reaches_an_unconfirmed_address(
    kind: MailKind, language: Language, name: str | None
) -> None:
    """E-09: not a byte of the mail depends on the name."""
    assert a_letter(kind, language).first_name, "the sample has one, to show it"
    assert WRITER.preview(a_letter(kind, language, first_name=name), NOW) == WRITER.preview(
        a_letter(kind, language), NOW
    )
    data = WRITER.write(a_letter(kind, language, first_name=name), NOW).data
    for typed in (b"evil", b"prize", b"Ada", b"Bcc"):
        assert typed not in data


@pytest.mark.parametrize("language", Language)
def test_who_is_signed_up_already_is_told_so_and_led_to_the_control_page(language: Language) -> None:
    rendered = WRITER.preview(a_letter(MailKind.ALREADY_SUBSCRIBED, language), NOW)
    assert {re.sub(r"/[a-z2-7]{52}$", "", url) for url in links_of_html(rendered.html)} == {
        f"https://news.fjellsko.example{path}" for path in ("/c", "/privacy", "/imprint")
    }
    assert "img" not in [e.tag for e in elements(rendered.html)]
    unchanged = {
        Language.EN: "nothing has changed",
        Language.DE: "nichts geändert",
        Language.FR: "rien n’a donc changé",
        Language.ES: "no ha cambiado nada",
    }
    assert unchanged[language] in fluent(rendered.text)


# --- welcome, digest, campaign ----------------------------------------------------------------------------------------


@pytest.mark.requirement("D-09")
@pytest.mark.parametrize("language", Language)
def test_a_welcome_presents_the_right_to_object_apart_from_the_rest(language: Language) -> None:
    """D-09."""
    rendered = WRITER.preview(a_letter(MailKind.WELCOME, language), NOW)
    title, law = {
        Language.EN: ("Your right to object", "Article 21(2) GDPR"),
        Language.DE: ("Ihr Widerspruchsrecht", "Art. 21 Abs. 2 DSGVO"),
        Language.FR: ("Votre droit d’opposition", "article 21, paragraphe 2, du RGPD"),
        Language.ES: ("Su derecho de oposición", "artículo 21, apartado 2, del RGPD"),
    }[language]
    assert f"\n{title}\n{'-' * len(title)}\n" in rendered.text
    assert law in fluent(rendered.text)
    (heading,) = [e for e in elements(rendered.html) if e.tag == "h2"]
    assert heading.text == title
    box = heading.path[-1]
    words = "".join(e.text for e in elements(rendered.html) if e.path and box in e.path)
    assert law in words
    assert PUBLISHER.contact in words
    assert "border" in box.style, "set apart"


@pytest.mark.parametrize("language", Language)
def test_a_welcome_names_what_was_agreed_to(language: Language) -> None:
    catalogue = Catalogue("mail")
    signed_up = a_letter(MailKind.WELCOME, language)
    for letter, agreed in (
        (signed_up, set(Purpose)),
        (replace(signed_up, signup=None, purpose=Purpose.OFFERS), {Purpose.OFFERS}),
    ):
        rendered = WRITER.preview(letter, NOW)
        for purpose in Purpose:
            named = fluent(catalogue.text(language, f"purposes.{purpose}"))
            assert (named in fluent(rendered.text)) == (named in seen(rendered.html)) == (purpose in agreed)


@pytest.mark.parametrize("language", Language)
def test_every_article_of_a_digest_is_in_both_parts_with_its_reason(language: Language) -> None:
    letter = a_letter(MailKind.DIGEST, language)
    rendered = WRITER.preview(letter, NOW)
    why = {
        Language.EN: "Because you chose Injury and Gear",
        Language.DE: "Weil Sie Verletzungen und Ausrüstung",
        Language.FR: "Parmi vos thèmes : Blessure et Équipement",
        Language.ES: "Entre sus temas: Lesiones y Equipamiento",
    }
    for words in (seen(rendered.html), fluent(rendered.text)):
        assert why[language] in words
        for article in letter.articles:
            assert fluent(article.title) in words
            assert f"{article.author} · " in words
    for article in letter.articles:
        assert article.url in links_of_html(rendered.html)
    assert letter.articles[0].title in rendered.subject


def test_a_digest_names_three_topics_and_no_more_above_it() -> None:
    text = WRITER.preview(a_letter(MailKind.DIGEST), NOW).text
    assert "5 new articles on Running, Injury, Gear and more, chosen for you." in fluent(text)


@pytest.mark.parametrize("language", Language)
def test_a_digest_of_one_bare_article(language: Language) -> None:
    letter = a_letter(MailKind.DIGEST, language)
    bare = replace(letter.articles[0], author=None, summary="", image_url=None, image_alt=None, topics=())
    rendered = WRITER.preview(replace(letter, articles=(bare,), first_name=None), NOW)
    one, why, date = {
        Language.EN: ("One new article on Fjellsko", "New in Fjellsko", "27 February 2026"),
        Language.DE: ("Ein neuer Artikel zu Fjellsko", "Neu in Fjellsko", "27. Februar 2026"),
        Language.FR: ("Un nouvel article choisi pour vous : Hub", "Nouveau dans Hub", "27 février 2026"),
        Language.ES: ("Un artículo nuevo elegido para usted: Centro", "Nuevo en Centro", "27 de febrero de 2026"),
    }[language]
    assert one in fluent(rendered.text)
    assert why in rendered.text
    assert f"\n{date}\n" in rendered.text
    assert "img" not in [e.tag for e in elements(rendered.html)]


def test_a_campaign_without_a_title_of_its_own_is_headed_by_its_subject() -> None:
    rendered = WRITER.preview(a_letter(MailKind.CAMPAIGN, body="Only *words*."), NOW)
    assert [e.text for e in elements(rendered.html) if e.tag == "h1"] == ["The new Storm 3, a shoe for wet trails"]
    assert f"The new Storm 3, a shoe for wet trails\n{'=' * 38}\n\nOnly words." in rendered.text


def test_a_campaign_says_for_whom_it_is() -> None:
    for purpose, words in ((Purpose.DIGEST, "new articles"), (Purpose.OFFERS, "new releases"), (None, "new articles")):
        assert f"asked for {words}" in WRITER.preview(a_letter(MailKind.CAMPAIGN, purpose=purpose), NOW).text


def test_times_are_utc_and_say_so_wherever_they_come_from() -> None:
    letter = a_letter(MailKind.CONFIRMATION)
    assert letter.signup
    late = replace(letter.signup, expires_at=datetime.fromisoformat("2026-03-06T00:30:00+02:00"))
    assert "5 March 2026, 22:30 UTC" in fluent(WRITER.preview(replace(letter, signup=late), NOW).text)
    assert datetime(2026, 3, 5, 22, 30, tzinfo=UTC) == late.expires_at


# --- the folders ------------------------------------------------------------------------------------------------------


@EVERY
def test_every_folder_has_a_sample_in_every_language(kind: MailKind, language: Language) -> None:
    """That each file is there, and the catalogues' keys are equal: tests/architecture/test_two_sides.py."""
    letter = load_sample(kind, language)
    assert (letter.kind, letter.language) == (kind, language)
    assert (letter.given_at is not None) == (kind in LIST_MAIL)
    assert letter.address.endswith("@example.org"), "nobody's"
    other = load_sample(kind, next(one for one in Language if one is not language))
    assert letter.list_name != other.list_name


@pytest.mark.parametrize("language", Language)
def test_every_text_of_the_catalogue_is_used_and_every_used_text_is_there(language: Language) -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in EMAILS.rglob("*") if path.is_file())
    sources += (Path(__file__).parents[2] / "service" / "mail" / "merge_fields.py").read_text(encoding="utf-8")
    used = {key.rstrip(".") for key in re.findall(r"\b(?:t|text)\(f?\"([a-z_.]+)", sources)}
    keys = Catalogue("mail").keys(language)
    assert [key for key in keys if not key.startswith(tuple(used))] == []
    assert [one for one in used if not any(key.startswith(one) for key in keys)] == []
