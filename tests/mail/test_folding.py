"""Mail that is written once and filled in for each reader says what it would say if written for that reader alone."""

import quopri
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.letters import Letter, LetterArticle
from service.domain.outcomes import Message
from service.domain.words import Language, Layout, MailKind, Purpose
from service.mail.folding import FOLDED
from service.mail.slots import quoted, room_for_break
from service.mail.writer import UnwritableError, Writer
from service.texts import templates_dir
from tests.mail.letters import KEYS, NOW, PUBLISHER, WRITER, a_letter, parsed, parts, text

NAMES = (
    st.none()
    | st.text(max_size=70)
    | text
    | st.sampled_from(["=", ".", "..", "From ", "Ann\n\n\nBo", "x" * 60, "&" * 60])
)
ODD = [
    "",
    " ",
    ".",
    "\r",
    "a\r\nb\rc",
    "\n\n\n\nFrom ",
    "\0",
    "<!--",
    "</td></table>",
    "=" * 80,
    "&lt;",
    "{{ 7 }}",
    "\u2028",
]
DAYS = st.none() | st.datetimes(datetime(1999, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
NUMBERS = st.integers(0, 2**48 - 1)


@st.composite
def letters(draw: st.DrawFn) -> Letter:
    letter = a_letter(draw(st.sampled_from(MailKind)), draw(st.sampled_from(Language)))
    words = st.text(max_size=200)
    return replace(
        letter,
        delivery_id=draw(NUMBERS),
        subscriber_id=draw(NUMBERS),
        test=draw(st.booleans()),
        address=draw(
            st.from_regex(r"[a-z0-9.+=_'-]{1,70}@(mail|MAIL|bücher|a\.b|-|x_y)\.example", fullmatch=True) | st.emails()
        ),
        first_name=draw(NAMES),
        given_at=draw(DAYS),
        imported=draw(st.booleans()),
        purpose=draw(st.sampled_from(Purpose)),
        message_id=draw(st.sampled_from(["a.b=c@news.example", "<x>@y", "a b@c", "é@y", "x" * 1200])),
        list_name=draw(st.sampled_from([letter.list_name, ".Läufe & =20 From "]) | words),
        subject=draw(st.just("Läufe = 3.") | words) if letter.subject else None,
        body=draw(st.sampled_from(["From here\n\n.\n\n..x = y", letter.body]) | words) if letter.body else None,
        layout=draw(st.sampled_from(Layout)) if letter.body else Layout.CARD,
        articles=draw(issues(letter.articles)),
    )


@st.composite
def issues(draw: st.DrawFn, articles: tuple[LetterArticle, ...]) -> tuple[LetterArticle, ...]:
    """Some of the articles in any order, as they are or with anything at all in them."""
    words = st.text(max_size=200) | text | st.sampled_from(ODD)
    chosen = draw(st.lists(st.sampled_from(articles), max_size=6, unique=True)) if articles else []
    for place, article in enumerate(chosen):
        if draw(st.booleans()):
            chosen[place] = replace(
                article,
                title=draw(st.just(article.title) | words),
                summary=draw(st.just(article.summary) | words),
                author=draw(st.none() | words),
                url=draw(
                    st.sampled_from([article.url, f"{article.url}?a=b&c=%0A", "javascript:alert(1)", "https://["])
                ),
                image_url=draw(st.sampled_from([None, article.image_url, "https://elsewhere.example/pixel.png"])),
                image_alt=draw(st.none() | words),
                topics=tuple(draw(st.lists(words, max_size=3))),
            )
    return tuple(chosen)


def outcome(write: Callable[[Letter, datetime], Message], letter: Letter) -> object:
    """All that a reader's client or a relay sees of a mail, decoded; or why there is none."""
    try:
        message = write(letter, NOW)
    except UnwritableError as error:
        return error.code, error.message, error.enhanced, error.phase
    assert message.clean
    assert message.data.isascii()
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\0|^\.|\n\.|\nFrom ", message.data) is None
    head, _, body = message.data.partition(b"\r\n\r\n")
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))
    boundary = re.findall(rb'boundary="([^"]+)"', head)[0]
    return message.envelope_from, message.rcpt_to, message.delivery_id, head.replace(boundary, b"-"), parts(message)


@given(letters())
@settings(max_examples=300, deadline=None)
def test_a_mail_that_is_filled_in_is_the_one_that_is_written_in_full(letter: Letter) -> None:
    # Whoever came first made the form that this one fills.
    first = replace(letter, first_name="Ann", given_at=NOW, subscriber_id=1, address="a@b.example", message_id="x@y")
    WRITER._folding._tallies.clear()  # or so many strange letters would be written in full
    for one in (first, letter):
        assert outcome(WRITER.write, one) == outcome(WRITER.write_in_full, one)
    if letter.kind in FOLDED:
        assert boundary(first) == boundary(replace(first, first_name="Bo")) is not None


@pytest.mark.parametrize("length", range(60, 90))
def test_a_dot_before_a_slot_begins_no_line(length: int) -> None:
    encoded = room_for_break(quoted(f"{'x' * length}.")) + b"=\r\n"
    assert quopri.decodestring(encoded.replace(b"\r\n", b"\n")).decode() == f"{'x' * length}."
    assert not any(len(line) > 76 or line.startswith(b".") for line in encoded.split(b"\r\n"))


@given(st.text(min_size=1, max_size=200) | st.text(st.sampled_from(".=\n Fromé"), min_size=1, max_size=300))
@settings(max_examples=300)
def test_what_fills_a_slot_survives_quoted_printable(value: str) -> None:
    value = re.sub("\r", "", value).strip("\n") or "-"
    encoded = room_for_break(quoted(value)) + b"=\r\n"
    assert quopri.decodestring(encoded.replace(b"\r\n", b"\n")).decode() == value
    assert all(len(line) <= 76 for line in encoded.split(b"\r\n"))
    assert not re.search(rb"(?m)^(\.|From )", encoded)


@pytest.mark.parametrize("length", range(60, 90))
@pytest.mark.parametrize("end", [" ", "\t", "  ", "é ", "= "])
def test_a_blank_at_the_end_of_a_line_makes_it_no_longer_than_allowed(length: int, end: str) -> None:
    encoded = quoted(f"{'x' * length}{end}\nnext")
    assert all(len(line) <= 76 for line in encoded.split(b"\r\n"))
    assert quopri.decodestring(encoded.replace(b"\r\n", b"\n")).decode() == f"{'x' * length}{end}\nnext"


def boundary(letter: Letter) -> str | None:
    """A form has one, a mail that was written in full one of its own."""
    try:
        return parsed(WRITER.write(letter, NOW)).get_boundary()
    except UnwritableError:
        return "none"


EDITS = [
    ("body.txt", "{{ campaign.text }}", "{% if greeting == 'Hello Ann,' %}Hi Ann!{% endif %}\n{{ campaign.text }}"),
    ("body.txt", "{{ campaign.text }}", "{{ greeting | upper | wrap(10) }}\n{{ campaign.text }}"),
    ("body.txt", "{{ campaign.text }}", "{{ greeting }}{{ greeting | length }}{{ campaign.text }}"),
    ("body.txt", "{{ campaign.text }}", "{% filter upper %}{{ reason }}{% endfilter %}{{ campaign.text }}"),
    ("body.txt", "{{ campaign.text }}", "{% set x %}{{ reason }}{% endset %}{{ x | length }}{{ campaign.text }}"),
    ("body.txt", "{{ campaign.text }}", "{{ links.control | length }} {{ links['control'] }} {{ campaign.text }}"),
    ("body.txt", "{{ campaign.text }}", "{% for x in [links] %}{{ x.control | upper }}{% endfor %}{{ campaign.text }}"),
    ("body.txt", "{{ campaign.text }}", "{% macro greeting() %}x{% endmacro %}{{ greeting() }}{{ campaign.text }}"),
    ("body.txt", "{{ campaign.text }}", "  {{ greeting }}{{ greeting }} {{ reason }}\n{{ campaign.text }}"),
    ("subject.txt", "{{ campaign.subject }}", "{{ greeting }} {{ campaign.subject }}"),
    ("body.mjml", "{{ campaign.html }}", "{% if 'Ann' in greeting %}<p>Ann</p>{% endif %}{{ campaign.html }}"),
    ("body.mjml", "{{ campaign.html }}", '<p title="{{ greeting }}">{{ greeting }}</p>{{ campaign.html }}'),
]


@pytest.mark.parametrize(("file", "before", "after"), EDITS)
def test_a_template_may_do_with_a_readers_values_what_it_likes(
    tmp_path: Path, file: str, before: str, after: str
) -> None:
    shutil.copytree(templates_dir(), tmp_path / "templates")
    path = tmp_path / "templates" / "emails" / "campaign" / file
    edited = path.read_text().replace(before, after)
    assert edited != path.read_text()
    path.write_text(edited)
    writer = Writer(PUBLISHER, KEYS, templates=tmp_path / "templates")
    for number, name in enumerate(["Ann", "Bo", None, "Zoë & Co =", "Ann"]):
        letter = a_letter(MailKind.CAMPAIGN, first_name=name, subscriber_id=number, delivery_id=number)
        letter = replace(letter, given_at=NOW - timedelta(days=300 * number))
        assert outcome(writer.write, letter) == outcome(writer.write_in_full, letter)


@pytest.mark.parametrize("kind", [MailKind.CAMPAIGN, MailKind.DIGEST])
def test_the_shipped_templates_need_one_form_for_all_readers(kind: MailKind) -> None:
    writer = Writer(PUBLISHER, KEYS)
    made = []
    for number in range(50):
        letter = a_letter(kind, first_name=f"Ann {number}", subscriber_id=number, address=f"r{number}@b.example")
        made.append(parsed(writer.write(replace(letter, given_at=NOW - timedelta(days=number)), NOW)))
    assert len({mail.get_boundary() for mail in made}) == 1  # a form has one
    assert len({mail["To"] for mail in made}) == 50


def test_issues_of_a_run_share_a_frame_and_the_blocks_of_their_articles(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(PUBLISHER, KEYS)
    rendered = []
    article = writer._renderer.article
    monkeypatch.setattr(
        writer._renderer, "article", lambda *given, **place: rendered.append(given) or article(*given, **place)
    )
    letter = a_letter(MailKind.DIGEST)
    orders = list(permutations(letter.articles, 3))
    mails = [parsed(writer.write(replace(letter, articles=order), NOW)) for order in orders]
    assert len(orders) == 60
    assert len({mail.get_boundary() for mail in mails}) == 1  # a frame has one
    assert len({mail["Subject"] for mail in mails}) == len(letter.articles)
    # Each as the first and as a later one, and those of the issue with which the frame was made.
    assert len(rendered) == 2 * len(letter.articles) + 3


DIGEST_EDITS = [
    ("body.txt", "{{ articles_text }}", "{{ articles_text | upper }}"),
    ("body.txt", "{{ articles_text }}", "{{ articles_html }}"),
    ("body.txt", "{{ articles_text }}", "{% for article in articles %}\n* {{ article.title }}\n{% endfor %}"),
    ("body.txt", "{{ intro_lines }}", "{{ intro | wrap(30) }}{% if subject is defined %}x{% endif %}"),
    ("body.mjml", "{{ intro }}", "{{ intro | length }} {{ preheader }}{{ preheader }}"),
    ("body.mjml", "{{ articles_html }}", "<p>{{ articles | length }}</p>{{ articles_html }}{{ articles_html }}"),
    ("subject.txt", "{{ t(", "{{ greeting }} {{ t("),
    ("subject.txt", "{{ t(", "{{ publisher.name }} {{ t("),
    ("article.html", "{{ article.byline }}", "{{ article.byline }}{% if lead %}<!-- {% endif %}"),
    ("article.html", "{{ article.byline }}", "{{ greeting }}"),
    ("article.txt", "{{ article.byline | wrap }}", "{{ loop.index }}"),
    (
        "article.txt",
        "{{ article.url }}",
        "{{ article.url }}{% if not lead %}\n\n\n\n.\nFrom {{ article.title }}{% endif %}",
    ),
]


@pytest.mark.parametrize(("file", "before", "after"), DIGEST_EDITS)
def test_a_digests_template_may_do_with_articles_what_it_likes(
    tmp_path: Path, file: str, before: str, after: str
) -> None:
    shutil.copytree(templates_dir(), tmp_path / "templates")
    path = tmp_path / "templates" / "emails" / "digest" / file
    edited = path.read_text().replace(before, after)
    assert edited != path.read_text()
    path.write_text(edited)
    writer = Writer(PUBLISHER, KEYS, templates=tmp_path / "templates")
    letter = a_letter(MailKind.DIGEST)
    for number, order in enumerate([*permutations(letter.articles, 2), letter.articles, letter.articles[:1]]):
        one = replace(letter, articles=order, subscriber_id=number, first_name=f"Ann {number % 3}")
        assert outcome(writer.write, one) == outcome(writer.write_in_full, one)


@pytest.mark.parametrize("kind", FOLDED)
def test_what_another_batch_says_alike_needs_no_form_of_its_own_and_is_not_kept(kind: MailKind) -> None:
    writer = Writer(PUBLISHER, KEYS)
    letter = a_letter(kind)
    boundaries = set()
    for _ in range(100):
        body = letter.body and "".join(list(letter.body))
        again = replace(letter, body=body, articles=tuple(map(replace, letter.articles)))
        boundaries.add(parsed(writer.write(again, NOW)).get_boundary())
    assert len(boundaries) == 1
    folding = writer._folding
    assert len(folding._bodies._seen) <= 32
    assert len(folding._bodies._numbers) == len(folding._issues._numbers) == 1


def test_where_every_reader_needs_a_form_none_is_kept_for_long() -> None:
    writer = Writer(PUBLISHER, KEYS)
    letter = a_letter(MailKind.CAMPAIGN, body="Short.")
    boundaries = [parsed(writer.write(replace(letter, list_name=f"List {n}"), NOW)).get_boundary() for n in range(210)]
    again = [parsed(writer.write(replace(letter, list_name=f"List {n}"), NOW)).get_boundary() for n in range(200, 210)]
    assert len(set(boundaries)) == 210
    assert not set(again) & set(boundaries)
