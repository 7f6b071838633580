"""Letters into messages: which headers each kind carries, where its links lead, and what is refused."""

import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.content.feeds import LONGEST_AUTHOR, LONGEST_SUMMARY, LONGEST_TITLE
from service.domain.digests import MOST_ITEMS
from service.domain.letters import Letter
from service.domain.outcomes import Message, Phase
from service.domain.tokens import TokenKind, purpose_from_flag
from service.domain.words import LIST_MAIL, Language, MailKind, Purpose
from service.errors import ConfigurationError, Kind, ServiceError
from service.mail.writer import UnwritableError, Writer
from tests.mail.letters import (
    BREAKING,
    EVERY_LIST_MAIL,
    EVERY_MAIL,
    KEYS,
    LONG_HOST,
    NOW,
    PUBLISHER,
    WRITER,
    a_letter,
    elements,
    head,
    hostile,
    links_of_html,
    links_of_text,
    parsed,
    parts,
    raw_field,
    text,
)

REQUIRED = {"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"}
LIST_FIELDS = {
    "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Help", "List-Owner", "List-Post", "Feedback-ID",
}  # fmt: skip
OTHERS = {"Reply-To", "Content-Language", "Auto-Submitted", "Precedence", "X-Auto-Response-Suppress"}
EVERY = pytest.mark.parametrize(("kind", "language"), EVERY_MAIL)
EVERY_KIND = pytest.mark.parametrize("kind", MailKind)


def write(kind: MailKind, language: Language = Language.EN, **changes: Any) -> Message:
    return WRITER.write(a_letter(kind, language, **changes), NOW)


# --- headers ----------------------------------------------------------------------------------------------------------


@EVERY
def test_one_of_each_header_and_none_that_tells_too_much(kind: MailKind, language: Language) -> None:
    """A-06, A-14."""
    message = write(kind, language)
    names = Counter(parsed(message).keys())
    assert set(names.values()) == {1}
    assert set(names) >= REQUIRED
    assert set(names) <= REQUIRED | LIST_FIELDS | OTHERS
    told = re.sub(r'boundary="[^"]+"', "", head(message))  # chance: any three letters from a to f come up in it
    assert "1234" not in told, "no subscriber id in clear"
    assert "ada" not in told.replace("To: ada@example.org", "").lower(), "no address, no name"


@EVERY
def test_the_bytes_of_every_mail(kind: MailKind, language: Language) -> None:
    """A-01, A-02, A-03, A-17."""
    message = write(kind, language)
    assert message.data.isascii()
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\0", message.data) is None
    long = [line for line in message.data.split(b"\r\n") if len(line) > 78]
    assert all(line.startswith(b"List-Unsubscribe:") for line in long), "only what must not be folded"
    assert len(head(message)) < 16 * 1024


@EVERY_KIND
def test_date_message_id_and_recipient(kind: MailKind) -> None:
    """A-07, A-10, A-11, A-12, A-13."""
    message = write(kind)
    mail = parsed(message)
    assert mail["Date"].datetime == NOW
    assert raw_field(message, "Date") == "Mon, 02 Mar 2026 09:00:00 +0000"
    assert raw_field(message, "Message-ID") == f"<{a_letter(kind).message_id}>"
    assert raw_field(message, "To") == message.rcpt_to == a_letter(kind).address
    assert raw_field(message, "From") == "Fjellsko Training Hub <training@fjellsko.example>"
    assert raw_field(message, "Reply-To") == "coach@fjellsko.example"


def test_a_retry_has_a_new_date_and_the_same_message_id() -> None:
    """A-10, A-11."""
    first, later = (WRITER.write(a_letter(MailKind.DIGEST), NOW + timedelta(hours=hours)) for hours in (0, 9))
    assert raw_field(first, "Message-ID") == raw_field(later, "Message-ID")
    assert raw_field(later, "Date") == "Mon, 02 Mar 2026 18:00:00 +0000"


@EVERY
def test_the_language_is_declared(kind: MailKind, language: Language) -> None:
    """A-18."""
    message = write(kind, language)
    assert raw_field(message, "Content-Language") == language
    (root,) = [element for element in elements(parts(message)[1]) if element.tag == "html"]
    assert (root.attributes["lang"], root.attributes["dir"]) == (language, "ltr")


@EVERY
def test_the_parts_say_what_was_rendered(kind: MailKind, language: Language) -> None:
    """A-04, A-19."""
    rendered = WRITER.preview(a_letter(kind, language), NOW)
    assert parts(write(kind, language)) == (rendered.text, rendered.html.rstrip("\n") + "\n")
    assert parsed(write(kind, language))["Subject"] == rendered.subject


@pytest.mark.parametrize("kind", sorted(LIST_MAIL))
def test_list_headers(kind: MailKind) -> None:
    """A-15, A-22, A-32, A-33, A-37, byte for byte."""
    message = write(kind)
    assert raw_field(message, "List-Id") == '"Fjellsko Training Hub" <training.list-id.fjellsko.example>'
    # Exactly one URI: an address would promise that somebody reads its mail.
    assert re.fullmatch(r"<https://news\.fjellsko\.example/u/[a-z2-7]{52}>", raw_field(message, "List-Unsubscribe"))
    assert raw_field(message, "List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
    assert raw_field(message, "List-Help") == "<https://news.fjellsko.example/help>"
    assert raw_field(message, "List-Owner") == "<mailto:privacy@fjellsko.example>"
    assert raw_field(message, "List-Post") == "NO"
    assert re.fullmatch(r"[^:\s]*(:[^:\s]*){0,2}:[A-Za-z0-9._-]{5,15}", raw_field(message, "Feedback-ID"))
    assert raw_field(message, "Feedback-ID").split(":")[1:3] == ["l1", kind]


@pytest.mark.parametrize("kind", sorted(set(MailKind) - LIST_MAIL))
def test_a_transactional_mail_does_not_look_like_a_lists(kind: MailKind) -> None:
    """A-34."""
    assert not LIST_FIELDS & set(parsed(write(kind)).keys())
    assert "unsub" not in write(kind).data.decode()


def test_the_feedback_id_is_the_same_for_all_recipients() -> None:
    """A-37."""
    one = write(MailKind.DIGEST)
    other = write(MailKind.DIGEST, delivery_id=9, subscriber_id=9, address="b@example.org", first_name="Bo")
    assert raw_field(one, "Feedback-ID") == raw_field(other, "Feedback-ID")
    assert raw_field(one, "Feedback-ID").startswith("c42:")


@pytest.mark.parametrize(
    ("kind", "auto_submitted", "precedence"),
    [
        (MailKind.CONFIRMATION, "auto-generated", None),
        (MailKind.REPERMISSION, "auto-generated", None),
        (MailKind.ALREADY_SUBSCRIBED, "auto-generated", None),
        (MailKind.WELCOME, "auto-generated", None),
        (MailKind.DIGEST, "auto-generated", "bulk"),
        (MailKind.CAMPAIGN, None, "bulk"),
    ],
)
def test_what_wrote_it(kind: MailKind, auto_submitted: str | None, precedence: str | None) -> None:
    """A-35, A-36."""
    mail = parsed(write(kind))
    assert mail["Auto-Submitted"] == auto_submitted
    assert mail["Precedence"] == precedence
    assert mail["X-Auto-Response-Suppress"] == "OOF, AutoReply"


@pytest.mark.parametrize("host", ["localhost:8025", LONG_HOST, "a." * 100 + "example"])
def test_list_unsubscribe_is_intact_whatever_the_host(host: str) -> None:
    """A-15, A-22: among them a host name of 60 characters, which a general-purpose generator folds in two."""
    assert len(LONG_HOST) == 60
    # Its images would be foreign now.
    bare = tuple(replace(article, image_url=None) for article in a_letter(MailKind.DIGEST).articles)
    own_hosts = frozenset({host.partition(":")[0]})
    writer = Writer(
        replace(PUBLISHER, public_url=f"https://{host}", bounce_domain=LONG_HOST, own_hosts=own_hosts), KEYS
    )
    message = writer.write(a_letter(MailKind.DIGEST, articles=bare), NOW)
    found = re.fullmatch(rf"<(https://{re.escape(host)}/u/[a-z2-7]{{52}})>", raw_field(message, "List-Unsubscribe"))
    assert found
    plain, html = parts(message)
    assert found[1] in links_of_text(plain)
    assert found[1] in links_of_html(html)
    assert parsed(message)["List-Unsubscribe"] == f"<{found[1]}>"


# --- links ------------------------------------------------------------------------------------------------------------


@EVERY
def test_the_links_act_for_this_reader_and_this_delivery(kind: MailKind, language: Language) -> None:
    message = write(kind, language)
    tokens = {
        urlsplit(url).path.split("/")[1]: url.rpartition("/")[2]
        for url in links_of_html(parts(message)[1])
        if re.search(r"/[a-z2-7]{52}$", url)
    }
    expected = {
        MailKind.CONFIRMATION: {"confirm"},
        MailKind.REPERMISSION: {"confirm"},
        MailKind.ALREADY_SUBSCRIBED: {"c"},
        MailKind.PRIVATE_LINK: {"p"},
        MailKind.ADDRESS_CHANGE: {"a"},
        MailKind.WELCOME: {"u", "c", "r"},
        MailKind.OPERATOR_NOTICE: set(),
    }.get(kind, {"u", "c"})
    assert tokens.keys() == expected
    if "u" in tokens:
        token = KEYS.open(TokenKind.UNSUBSCRIBE, tokens["u"])
        assert token is not None
        assert (token.first, token.second, token.small) == (1234, 4711, 1)
        meant = None if kind is MailKind.WELCOME else a_letter(kind).purpose
        assert purpose_from_flag(token.flag) is meant, "a welcome's ends the whole list"
    if "c" in tokens:
        control = KEYS.open(TokenKind.CONTROL, tokens["c"])
        assert control is not None
        assert control.first == 1234
    if "confirm" in tokens:
        confirm = KEYS.open(TokenKind.CONFIRM, tokens["confirm"])
        assert confirm is not None
        assert confirm.first == 99
    if "r" in tokens:
        receipt = KEYS.open(TokenKind.RECEIPT, tokens["r"])
        assert receipt is not None
        assert receipt.first == 5678
    assert len(set(tokens.values())) == len(tokens), "one for each use"


@EVERY_KIND
def test_the_envelope_sender_leads_a_bounce_back_to_its_delivery(kind: MailKind) -> None:
    """C-01."""
    local, _, domain = write(kind).envelope_from.partition("@")
    assert domain == "bounces.fjellsko.example"
    assert len(local) <= 64
    token = KEYS.open(TokenKind.BOUNCE, local.removeprefix("b+"))
    assert token is not None
    assert token.first == 4711


@pytest.mark.parametrize(("kind", "language"), EVERY_LIST_MAIL)
def test_a_test_letter_is_marked_has_the_same_shape_and_acts_for_nobody(kind: MailKind, language: Language) -> None:
    real = write(kind, language)
    message = write(kind, language, test=True, given_at=None)
    assert parsed(message)["Subject"] == f"[Test] {parsed(real)['Subject']}"
    assert parsed(message).keys() == parsed(real).keys()
    plain, html = parts(message)
    said = {
        Language.EN: "This is a test.",
        Language.DE: "Dies ist ein Test.",
        Language.FR: "Ceci est un essai.",
        Language.ES: "Esto es una prueba.",
    }
    for body in (plain, re.sub(r"<[^>]*>", "", html)):
        assert said[language] in body
    unsubscribe = re.search(r"/u/([a-z2-7]{52})>", raw_field(message, "List-Unsubscribe"))
    assert unsubscribe
    token = KEYS.open(TokenKind.UNSUBSCRIBE, unsubscribe[1])
    assert token is not None
    assert (token.first, token.second) == (0, 4711)
    (control,) = {url for url in links_of_text(plain) if "/c/" in url}
    opened = KEYS.open(TokenKind.CONTROL, control.rpartition("/")[2])
    assert opened is not None
    assert opened.first == 0


def test_two_readers_of_one_issue_get_their_own_links() -> None:
    """The last look remembers what it read; it must not make two readers' mails one."""
    one, two = (
        set(re.findall(r"/[uc]/([a-z2-7]{52})", parts(write(MailKind.DIGEST, delivery_id=n, subscriber_id=n))[0]))
        for n in (1, 2)
    )
    assert len(one) == len(two) == 2
    assert not one & two


# --- what people type -------------------------------------------------------------------------------------------------


def with_typed(field: str, value: str) -> Letter:
    """A letter in which one thing that a reader, a feed or an operator types is `value`."""
    if field.startswith("article."):
        letter = a_letter(MailKind.DIGEST)
        changed: Any = (value,) if field == "article.topics" else value
        first = replace(letter.articles[0], **{field.removeprefix("article."): changed})
        return replace(letter, articles=(first, *letter.articles[1:]))
    return a_letter(MailKind.CAMPAIGN if field in ("subject", "body") else MailKind.DIGEST, **{field: value})


TYPED = (
    "first_name", "list_name", "list_header_id", "subject", "body", "address", "message_id", "article.title",
    "article.summary", "article.author", "article.url", "article.image_url", "article.image_alt", "article.topics",
)  # fmt: skip
IN_A_HEADER = ("list_name", "list_header_id", "subject", "address", "message_id", "article.title")
OF_THE_PUBLISHER = (
    "name", "postal_address", "contact", "sender_name", "sender_address", "reply_to", "bounce_domain", "public_url",
)  # fmt: skip
"""An operator's settings. Those of `OF_THE_PUBLISHER[2:]` stand in headers."""


@pytest.mark.parametrize("field", TYPED)
@given(value=hostile | text)
@settings(max_examples=30, deadline=None)
def test_nothing_that_is_typed_adds_a_header(field: str, value: str) -> None:
    """A-16: refused, or harmless: the same names, as often, in the same order, and two parts."""
    letter = with_typed(field, value)
    clean = parsed(write(letter.kind))
    try:
        message = WRITER.write(letter, NOW)
    except UnwritableError:
        return
    mail = parsed(message)
    assert mail.keys() == clean.keys()
    assert mail.get_content_type() == "multipart/alternative"
    assert all(len(line) <= 998 for line in message.data.split(b"\r\n"))
    assert parts(message)[0].count("\n") >= 5


@pytest.mark.parametrize("field", IN_A_HEADER)
@pytest.mark.parametrize("breaking", BREAKING)
def test_what_could_break_a_header_is_refused(field: str, breaking: str) -> None:
    """A-16: after merging, and never cleaned. (At the end of an address it is only a blank.)"""
    with pytest.raises(UnwritableError) as refused:
        WRITER.write(with_typed(field, f"a{breaking}Bcc: victim@example.org"), NOW)
    assert "victim" not in str(refused.value)


@pytest.mark.parametrize("field", OF_THE_PUBLISHER)
@pytest.mark.parametrize("breaking", ["\r\n", "\0", "\x85", "\u2028"])
def test_a_publisher_who_could_break_a_header_stops_the_start(field: str, breaking: str) -> None:
    value = f"a{breaking}Bcc: victim@example.org"
    if field in OF_THE_PUBLISHER[:2]:
        message = Writer(replace(PUBLISHER, **{field: value.replace("\0", "")}), KEYS).write(
            a_letter(MailKind.DIGEST), NOW
        )
        assert parsed(message).keys() == parsed(write(MailKind.DIGEST)).keys()
        return
    with pytest.raises(ConfigurationError, match="MILEPOST_"):
        Writer(replace(PUBLISHER, **{field: value}), KEYS)


@pytest.mark.parametrize(
    "change",
    [
        {"sender_address": "nobody"},
        {"sender_address": "jürgen@example.org"},
        {"reply_to": "x"},
        {"contact": "+47 77 00 00 00"},
        {"contact": "a@example.org, b@example.org"},
        {"bounce_domain": "not a domain"},
        {"public_url": "https://bücher.example"},
    ],
)
def test_a_publisher_who_cannot_stand_in_a_header_stops_the_start(change: dict[str, Any]) -> None:
    """Rather than failing every mail later."""
    with pytest.raises(ConfigurationError, match="nothing was started"):
        Writer(replace(PUBLISHER, **change), KEYS)


def test_a_publishers_domains_go_out_as_a_labels() -> None:
    """A-07, A-52."""
    writer = Writer(
        replace(
            PUBLISHER,
            sender_name="Bücher & Läufe",
            sender_address="hallo@bücher.example",
            reply_to="antwort@bücher.example",
            contact="datenschutz@bücher.example",
            bounce_domain="bücher.example",
        ),
        KEYS,
    )
    message = writer.write(a_letter(MailKind.DIGEST), NOW)
    assert parsed(message)["From"].addresses[0].display_name == "Bücher & Läufe"
    assert raw_field(message, "From").endswith("<hallo@xn--bcher-kva.example>")
    assert raw_field(message, "Reply-To") == "antwort@xn--bcher-kva.example"
    assert raw_field(message, "List-Owner") == "<mailto:datenschutz@xn--bcher-kva.example>"
    assert message.envelope_from.endswith("@xn--bcher-kva.example")


@pytest.mark.parametrize(
    ("address", "on_the_wire"),
    [
        ("ada@example.org", "ada@example.org"),
        ("Ada.L+tag@Bücher.example", "Ada.L+tag@xn--bcher-kva.example"),
        ("ada@straße.example", "ada@xn--strae-oqa.example"),
    ],
)
def test_domains_go_out_as_a_labels(address: str, on_the_wire: str) -> None:
    """A-52."""
    message = write(MailKind.DIGEST, address=address)
    assert message.rcpt_to == raw_field(message, "To") == on_the_wire


@pytest.mark.parametrize(
    ("address", "enhanced"),
    [
        ("jürgen@example.org", "5.6.7"),
        ("用户@example.org", "5.6.7"),
        ("nobody", "5.1.3"),
        ("a@b@c", "5.1.3"),
        ("", "5.1.3"),
        ("ada@example.org, eve@example.org", "5.1.3"),
        ("Ada <ada@example.org>", "5.1.3"),
    ],
)
def test_an_address_that_cannot_be_mailed_is_a_permanent_outcome(address: str, enhanced: str) -> None:
    """A-12, A-52."""
    with pytest.raises(UnwritableError) as caught:
        write(MailKind.DIGEST, address=address)
    outcome = caught.value.outcome(4711)
    assert (outcome.delivery_id, outcome.phase, outcome.code, outcome.enhanced) == (4711, Phase.RCPT, 550, enhanced)
    assert not address or address not in outcome.text, "an outcome is stored and logged"


@pytest.mark.parametrize("field", ["first_name", "list_name", "article.title", "article.summary", "article.author"])
@pytest.mark.parametrize(
    "value", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "{{ 7 * 7 }}{% raw %}", "{name}", "a & b"]
)
def test_what_people_type_is_shown_and_never_executed(field: str, value: str) -> None:
    rendered = WRITER.preview(with_typed(field, value), NOW)
    seen = "".join(element.text for element in elements(rendered.html))
    if field != "first_name" or value in ("a & b", "{name}"):
        assert value in seen
        assert value in rendered.text
    assert "49" not in rendered.text.replace(value, "")
    assert not [element for element in elements(rendered.html) if element.tag == "script"]
    assert len([e for e in elements(rendered.html) if e.tag == "img"]) == 3, "those of the sample"


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("Ada", "Hello Ada,"),
        ("  Ada \n Maria ", "Hello Ada Maria,"),
        ("Zoë-Løvise", "Hello Zoë-Løvise,"),
        ("J. R. R.", "Hello J. R. R.,"),
        (None, "Hello,"),
        ("", "Hello,"),
        (" ", "Hello,"),
        ("http://prize.example", "Hello,"),
        ("www.prize.example", "Hello,"),
        ("prize.example", "Hello,"),
        ("a@b", "Hello,"),
        ("x" * 61, "Hello,"),
        ("x" * 10_000, "Hello,"),
    ],
)
def test_a_greeting_uses_a_name_and_nothing_that_only_pretends_to_be_one(name: str | None, greeting: str) -> None:
    rendered = WRITER.preview(a_letter(MailKind.DIGEST, first_name=name), NOW)
    assert greeting in rendered.text.splitlines()
    assert f">{greeting}<" in rendered.html


# --- content ----------------------------------------------------------------------------------------------------------


def test_images_are_shown_from_own_hosts_only() -> None:
    """Invariant 6."""
    letter = a_letter(MailKind.DIGEST)
    for host, shown in (("cdn.example", 0), ("news.fjellsko.example", len(letter.articles))):
        articles = tuple(replace(article, image_url=f"https://{host}/a.png") for article in letter.articles)
        html = WRITER.preview(replace(letter, articles=articles), NOW).html
        assert sum(element.tag == "img" for element in elements(html)) == shown
        assert (host in html) == bool(shown)


@pytest.mark.parametrize(
    ("kind", "change", "code"),
    [
        (MailKind.DIGEST, {"articles": ()}, "message_faulty"),
        (MailKind.CONFIRMATION, {"signup": None}, "message_faulty"),
        (MailKind.WELCOME, {"signup": None, "purpose": None}, "message_faulty"),
        (MailKind.CAMPAIGN, {"subject": None}, "message_faulty"),
        (MailKind.CAMPAIGN, {"body": None}, "message_faulty"),
        (MailKind.CAMPAIGN, {"body": "  "}, "content_refused"),
        (MailKind.CAMPAIGN, {"body": "#"}, "content_refused"),
        (MailKind.CAMPAIGN, {"body": "![x](https://tracker.example/p.gif)"}, "content_refused"),
        (MailKind.CAMPAIGN, {"body": "[https://bank.example/](https://evil.example/)"}, "content_refused"),
        (MailKind.CAMPAIGN, {"body": "word " * 25_000}, "content_refused"),
    ],
)
def test_a_letter_that_says_nothing_or_the_wrong_thing_does_not_leave(
    kind: MailKind, change: dict[str, Any], code: str
) -> None:
    for act in (WRITER.preview, WRITER.write):
        with pytest.raises(UnwritableError) as caught:
            act(a_letter(kind, **change), NOW)
        assert caught.value.code == code
        outcome = caught.value.outcome(1)
        assert (outcome.enhanced, outcome.phase, outcome.code) == ("5.6.0", Phase.DATA, 550)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "/relative", "https://[broken", ""])
def test_an_unsafe_link_of_an_article_does_not_leave(url: str) -> None:
    with pytest.raises(UnwritableError):
        WRITER.write(with_typed("article.url", url), NOW)


def test_a_body_is_checked_before_it_is_saved() -> None:
    WRITER.check_body("# Fine\n\n[link](https://a.example/)")
    for body in ("![x](https://tracker.example/p.gif)", "#", "[x](/relative)"):
        with pytest.raises(ServiceError) as caught:
            WRITER.check_body(body)
        assert (caught.value.kind, caught.value.field) == (Kind.INVALID, "body")
        assert "Nothing was saved." in caught.value.message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("word " * 25_000, "cut it off at 102,000"),
        ("word\n\n" * 3_000, "cut it off at 102,000"),
        ("[https://bank.example/](https://evil.example/)", "leads to https://evil.example/"),
    ],
)
def test_a_body_that_would_be_refused_in_every_mail_is_not_saved(body: str, says: str) -> None:
    """A-41, A-43: found now, and not one by one by the whole audience."""
    with pytest.raises(ServiceError) as caught:
        WRITER.check_body(body)
    assert (caught.value.kind, caught.value.code, caught.value.field) == (Kind.INVALID, "body_refused", "body")
    assert says in caught.value.message
    assert "Nothing was saved." in caught.value.message


def test_whatever_body_is_saved_can_be_mailed_to_everybody() -> None:
    """A-43, at its edge: the longest that is not refused leaves room for long names and a long subject."""
    fits, too_long = 0, 102_000
    while too_long - fits > 1:
        words = (fits + too_long) // 2
        try:
            WRITER.check_body("x" * words)
        except ServiceError:
            too_long = words
        else:
            fits = words
    assert fits > 70_000
    for language in Language:
        write(MailKind.CAMPAIGN, language, body="x" * fits, first_name="&" * 60, subject="&" * 200)


@pytest.mark.parametrize("language", Language)
def test_the_longest_digest_there_can_be_is_not_cut_off(language: Language) -> None:
    """A-43: articles as long as a feed may make them."""
    article = replace(
        a_letter(MailKind.DIGEST, language).articles[0],
        title="Läufe " * 33,
        summary="Ein ganzer Satz über Läufe. " * 21,
        author="Ö" * LONGEST_AUTHOR,
        image_alt="Ein Bild " * 27,
    )
    assert len(article.title) <= LONGEST_TITLE
    assert len(article.summary) <= LONGEST_SUMMARY
    articles = tuple(replace(article, id=n) for n in range(MOST_ITEMS))
    write(MailKind.DIGEST, language, articles=articles)


@given(
    title=st.text(min_size=1, max_size=150).filter(str.strip),
    summary=st.text(max_size=400),
    name=st.none() | st.text(max_size=60),
)
@settings(max_examples=50, deadline=None)
def test_any_words_make_a_sound_message(title: str, summary: str, name: str | None) -> None:
    """A-01 to A-04."""
    letter = a_letter(MailKind.DIGEST, first_name=name)
    letter = replace(letter, articles=(replace(letter.articles[0], title=title, summary=summary), *letter.articles[1:]))
    try:
        message = WRITER.write(letter, NOW)
    except UnwritableError:
        assert not title.isprintable() or not summary.isprintable()
        return
    assert message.data.isascii()
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\0", message.data) is None
    rendered = WRITER.preview(letter, NOW)
    assert parts(message)[0] == re.sub("\r\n?", "\n", rendered.text).rstrip("\n") + "\n"
    assert links_of_html(rendered.html) <= links_of_text(rendered.text)


def test_the_purpose_of_a_mail_is_the_one_its_unsubscribe_ends() -> None:
    for purpose in Purpose:
        found = re.search(
            r"/u/([a-z2-7]{52})>", raw_field(write(MailKind.CAMPAIGN, purpose=purpose), "List-Unsubscribe")
        )
        assert found
        token = KEYS.open(TokenKind.UNSUBSCRIBE, found[1])
        assert token is not None
        assert purpose_from_flag(token.flag) is purpose
