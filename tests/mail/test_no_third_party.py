"""Mails tell nobody who opens them: no pixel, no decorated link, no host but ours and those that are written of."""

import re
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from service.domain.letters import Letter
from service.domain.words import Language, MailKind
from service.errors import ServiceError
from service.mail.lint import LintError
from service.mail.writer import UnwritableError, Writer
from tests.mail.letters import EVERY_MAIL, KEYS, NOW, PUBLISHER, WRITER, a_letter, parts

EVERY = pytest.mark.parametrize(("kind", "language"), EVERY_MAIL)

ACTS_FOR_A_READER = re.compile(r"https://news\.fjellsko\.example/(?:u|c|p|a|r|confirm)/[a-z2-7]+")
"""Unsubscribe, control, fresh link, change of address, receipt, confirmation; everything else is the same for all."""
COUNTS = re.compile(r"utm_|gclid|fbclid|mc_eid|_hsenc|trk", re.IGNORECASE)


def urls(text: str) -> list[str]:
    return [url.replace("&amp;", "&") for url in re.findall(r"https?://[^\s\"'<>)]+", text)]


def another(letter: Letter) -> Letter:
    """The same letter to somebody else."""
    changes: dict[str, object] = {
        "delivery_id": letter.delivery_id + 1000,
        "subscriber_id": (letter.subscriber_id or 0) + 1000,
        "address": "somebody.else@readers.example",
        "message_id": f"other-{letter.message_id}",
    }
    if letter.signup:
        changes["signup"] = replace(letter.signup, id=letter.signup.id + 1000)
    if letter.change:
        changes["change"] = replace(letter.change, id=letter.change.id + 1000)
    if letter.event_id:
        changes["event_id"] = letter.event_id + 1000
    return replace(letter, **changes)


@pytest.mark.requirement("D-24", "D-35")
@EVERY
def test_two_readers_mails_differ_in_what_acts_for_them_alone(kind: MailKind, language: Language) -> None:
    """Bodies as they went on the wire, both parts; then nothing but the tokens differs, and no link is decorated."""
    one = a_letter(kind, language)
    for mine, theirs in zip(parts(WRITER.write(one, NOW)), parts(WRITER.write(another(one), NOW)), strict=True):
        # A token may be broken over lines in the text part's source; the parts are decoded.
        assert ACTS_FOR_A_READER.sub("[acts]", mine) == ACTS_FOR_A_READER.sub("[acts]", theirs)
        assert [url for url in urls(mine) if not ACTS_FOR_A_READER.match(url)] == [
            url for url in urls(theirs) if not ACTS_FOR_A_READER.match(url)
        ]
        assert not [url for url in urls(mine) if COUNTS.search(url)]


@pytest.mark.requirement("D-24", "D-35")
@pytest.mark.parametrize("language", Language)
def test_a_link_is_the_address_that_the_article_has(language: Language) -> None:
    """Final URLs, as the feed or the editor gave them: no redirector of ours, nothing appended, queries kept."""
    digest = a_letter(MailKind.DIGEST, language)
    odd = replace(digest.articles[0], url="https://hub.fjellsko.example/read?id=7&part=2#top")
    digest = replace(digest, articles=(odd, *digest.articles[1:]))
    campaign = a_letter(
        MailKind.CAMPAIGN, language, body="Look at [these](https://shop.fjellsko.example/shoes?size=44&colour=red)."
    )
    for letter, expected in (
        (digest, {article.url for article in digest.articles}),
        (campaign, {"https://shop.fjellsko.example/shoes?size=44&colour=red"}),
    ):
        for part in parts(WRITER.write(letter, NOW)):
            elsewhere = {url for url in urls(part) if urlsplit(url).hostname != "news.fjellsko.example"}
            assert elsewhere == expected


@pytest.mark.requirement("D-24", "D-29")
@EVERY
def test_images_are_our_own_to_be_seen_and_the_same_for_all(kind: MailKind, language: Language) -> None:
    _, html = parts(WRITER.write(a_letter(kind, language), NOW))
    for image in re.findall(r"<img\b[^>]*>", html):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', image))
        source = urlsplit(attributes["src"])
        assert source.hostname in PUBLISHER.own_hosts
        assert not source.query
        assert int(attributes["width"]) > 3
    if kind is MailKind.DIGEST:
        assert "<img" in html, "the sample shows one"


@pytest.mark.requirement("D-29")
@EVERY
def test_hosts_are_ours_or_those_of_what_was_written_about(kind: MailKind, language: Language) -> None:
    letter = a_letter(kind, language)
    own = PUBLISHER.own_hosts | {urlsplit(PUBLISHER.site_url).hostname}
    brought = {urlsplit(article.url).hostname for article in letter.articles}
    brought |= {urlsplit(url).hostname for url in urls(letter.body or "")}
    for part in parts(WRITER.write(letter, NOW)):
        assert {urlsplit(url).hostname for url in urls(part)} <= own | brought


ARTICLE = a_letter(MailKind.DIGEST).articles[0]


@pytest.mark.requirement("D-24", "D-29")
@pytest.mark.parametrize(
    "image",
    [
        "https://cdn.example/photo.jpg",
        "https://news.fjellsko.example/photo.jpg?reader=17",
        "https://news.fjellsko.example.cdn.example/photo.jpg",
    ],
)
def test_an_article_goes_without_an_image_that_would_tell(image: str) -> None:
    digest = a_letter(MailKind.DIGEST, articles=(replace(ARTICLE, image_url=image, image_alt="A path"),))
    _, html = parts(WRITER.write(digest, NOW))
    assert "<img" not in html
    assert ARTICLE.title in html


@pytest.mark.requirement("D-29")
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("![x](https://tracker.example/x.png)", "not on a host of yours"),
        ("![x](https://news.fjellsko.example/x.png?reader=17)", "could tell who opens the mail"),
    ],
)
def test_what_would_tell_is_found_when_a_campaign_is_saved_previewed_and_sent(body: str, says: str) -> None:
    """Three looks: an editor learns of it at once, and nothing gets past the last one."""
    with pytest.raises(ServiceError, match="Nothing was saved") as saved:
        WRITER.check_body(f"# Hello\n\n{body}")
    letter = a_letter(MailKind.CAMPAIGN, body=f"# Hello\n\n{body}")
    with pytest.raises(UnwritableError) as previewed:
        WRITER.preview(letter, NOW)
    with pytest.raises(UnwritableError) as sent:
        WRITER.write(letter, NOW)
    for refusal in (saved, previewed, sent):
        assert says in str(refusal.value)


@pytest.mark.requirement("D-29")
@pytest.mark.parametrize("kind", MailKind)
def test_every_mail_is_read_before_it_leaves(kind: MailKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a template or a library might come to add: what the lint says is final, for each kind."""

    def find_fault(*_: object) -> None:
        raise LintError("planted")

    monkeypatch.setattr("service.mail.writer.check_html", find_fault)
    with pytest.raises(UnwritableError, match="planted"):
        Writer(PUBLISHER, KEYS).write(a_letter(kind), NOW)  # what another has written may be read already
