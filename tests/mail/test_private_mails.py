"""The mails with the fresh link and about a new address: what they say, where they lead, and what they never say."""

import re
from datetime import timedelta

import pytest

from service.domain.private_access import PRIVATE_FOR
from service.domain.tokens import TokenKind
from service.domain.words import Language, MailKind
from tests.mail.letters import KEYS, NOW, WRITER, a_letter, head, links_of_html, parts

BOTH = [MailKind.PRIVATE_LINK, MailKind.ADDRESS_CHANGE]


def link(kind: MailKind, language: Language = Language.EN) -> str:
    _, html = parts(WRITER.write(a_letter(kind, language), NOW))
    path = {MailKind.PRIVATE_LINK: "/p/", MailKind.ADDRESS_CHANGE: "/a/"}[kind]
    [found] = [url for url in links_of_html(html) if path in url]
    return found.rpartition("/")[2]


@pytest.mark.parametrize("language", Language)
def test_the_fresh_link_is_made_when_the_mail_is_written(language: Language) -> None:
    token = KEYS.open(TokenKind.PRIVATE, link(MailKind.PRIVATE_LINK, language))
    assert token is not None
    assert (token.first, token.second) == (1234, int(NOW.timestamp()))
    text = WRITER.preview(a_letter(MailKind.PRIVATE_LINK, language), NOW).text
    assert f"{NOW + PRIVATE_FOR:%H:%M}" in text, "says until when"
    later = WRITER.preview(a_letter(MailKind.PRIVATE_LINK, language), NOW + timedelta(hours=1)).text
    assert "10:30" in later, "written again for another attempt, valid anew"


def test_a_test_mail_opens_nobodys_page() -> None:
    letter = a_letter(MailKind.PRIVATE_LINK, test=True)
    _, html = parts(WRITER.write(letter, NOW))
    [url] = [url for url in links_of_html(html) if "/p/" in url]
    token = KEYS.open(TokenKind.PRIVATE, url.rpartition("/")[2])
    assert token is not None
    assert token.first == 0


def test_the_question_to_a_new_address_names_its_change() -> None:
    token = KEYS.open(TokenKind.ADDRESS_CHANGE, link(MailKind.ADDRESS_CHANGE))
    assert token is not None
    assert token.first == 12


@pytest.mark.requirement("E-09", "D-14")
@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", BOTH)
def test_nothing_typed_and_no_list_headers(kind: MailKind, language: Language) -> None:
    """A stranger may get the one about a new address: it says nothing of the reader, and looks like no newsletter."""
    message = WRITER.write(a_letter(kind, language), NOW)
    other = a_letter(kind, language, first_name=None, subscriber_id=99)
    assert not re.search(r"(?im)^(list-|precedence|feedback-id)", head(message))
    assert b"Ada" not in message.data
    text, html = parts(message)
    assert "prize" not in text + html
    assert not re.search(r"/(u|c)/", text + html), "no link of the reader's that would act for a stranger"
    if kind is MailKind.ADDRESS_CHANGE:
        assert parts(WRITER.write(other, NOW)) == (text, html), "nothing depends on who asked"
