"""Every mail that a demo run puts into the catcher, parsed from its raw bytes and held against standards A."""

import re
from collections import Counter
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from urllib.parse import urlsplit

import pytest

from tests.house import House

pytestmark = pytest.mark.ops

REQUIRED_ONCE = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type")
AT_MOST_ONCE = ("Reply-To", "Sender", "Auto-Submitted", "Precedence", "Content-Language", "Feedback-ID")
ONE_CLICK = re.compile(rb"List-Unsubscribe: <https?://[^\s<>]+/u/[a-z2-7]{52}>\r\n")
TRANSACTIONAL = ("confirm", "bestätig", "already", "bereits")


@pytest.fixture(scope="module")
def mails(house: House) -> list[tuple[bytes, EmailMessage]]:
    campaign = house.milepost(
        "campaign", "create", "--list", "hub", "--purpose", "offers", "--name", "Winter offers",
        "--subject", "Neue Schuhe für kalte Tage – 20 % off", "--body",
        "# Warm feet\n\nA *short* note, [link](https://shop.fjellsko.example/winter?a=1&b=2).\n\n.\n\n- one\n- two",
    )  # fmt: skip
    house.milepost("campaign", "send", str(campaign["id"]))
    found = []
    after = 0
    while page := house.mails(after=after):
        found += [house.source(mail["id"]) for mail in page]
        after = max(mail["id"] for mail in page)
    assert len(found) > 100
    return [(raw, message_from_bytes(raw, policy=default)) for raw in found]


def test_a_06_one_of_each_header(mails: list[tuple[bytes, EmailMessage]]) -> None:
    for _, mail in mails:
        names = Counter(name.lower() for name in mail.keys())  # noqa: SIM118  a message is no dict
        for name in REQUIRED_ONCE:
            assert names[name.lower()] == 1, (name, names)
        for name in (*AT_MOST_ONCE, *(n for n in names if n.startswith("list-"))):
            assert names[name.lower()] <= 1, (name, names)
        assert len(mail["From"].addresses) == 1
        assert len(mail["To"].addresses) == 1


def test_a_01_to_a_03_bytes_and_lines(mails: list[tuple[bytes, EmailMessage]]) -> None:
    for raw, mail in mails:
        assert raw.isascii()
        assert b"\0" not in raw
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", raw)
        assert max(len(line) for line in raw.split(b"\r\n")) <= 998
        assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
        for part in mail.iter_parts():
            assert part["Content-Transfer-Encoding"] == "quoted-printable"
            assert part.get_content_charset() == "utf-8"
            assert part.get_content().strip()
            assert "�" not in part.get_content()


def test_a_11_every_message_id_is_its_own(mails: list[tuple[bytes, EmailMessage]]) -> None:
    ids = [mail["Message-ID"] for _, mail in mails]
    assert len(set(ids)) == len(ids)
    for message_id in ids:
        assert re.fullmatch(r"<[A-Za-z0-9._-]{22,}@[A-Za-z0-9.-]+>", message_id), message_id


def test_a_19_text_and_html_carry_the_same_links(mails: list[tuple[bytes, EmailMessage]]) -> None:
    for _, mail in mails:
        text, html = (part.get_content() for part in mail.iter_parts())
        in_html = {href.replace("&amp;", "&") for href in re.findall(r'<a\b[^>]*\bhref="([^"]+)"', html)}
        in_html = {href for href in in_html if href.startswith("http")}
        in_text = {link.rstrip(".,)>") for link in re.findall(r"https?://[^\s<>]+", text)}
        assert in_html == in_text, (mail["Subject"], in_html ^ in_text)


def test_d_29_nothing_is_loaded_from_anybody_elses_host(house: House, mails: list[tuple[bytes, EmailMessage]]) -> None:
    own = {"localhost", urlsplit(house.public_url).hostname, urlsplit(house.hub_url).hostname}
    for _, mail in mails:
        html = mail.get_body(("html",)).get_content()
        loaded = re.findall(r"""(?:\bsrc|\bbackground|\bposter)\s*=\s*["']([^"']+)""", html)
        loaded += re.findall(r"""url\(\s*["']?([^"')]+)""", html)
        loaded += re.findall(r"""<link\b[^>]*href=["']([^"']+)""", html)
        loaded += re.findall(r"""@import\s+["']([^"']+)""", html)
        assert {urlsplit(url).hostname for url in loaded if not url.startswith("cid:")} <= own
        links = {urlsplit(url).hostname for url in re.findall(r'href="(https?://[^"]+)"', html)}
        assert links <= own | {"shop.fjellsko.example"}, "only the publisher's hosts and what the editor typed"


def test_a_22_a_34_list_headers_on_list_mail_only(mails: list[tuple[bytes, EmailMessage]]) -> None:
    kinds: Counter[str] = Counter()
    for raw, mail in mails:
        header_block = raw.split(b"\r\n\r\n", 1)[0] + b"\r\n"
        if "List-Id" in mail:
            kinds["list"] += 1
            assert ONE_CLICK.search(header_block), header_block.decode()
            assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        else:
            kinds["transactional"] += 1
            assert not [name for name in mail.keys() if name.lower().startswith("list-")]  # noqa: SIM118
            assert any(word in mail["Subject"].lower() for word in TRANSACTIONAL), mail["Subject"]
    assert kinds["list"] > 100
    assert kinds["transactional"] >= 1


def test_a_39_html_is_a_whole_document_in_the_language_of_the_mail(mails: list[tuple[bytes, EmailMessage]]) -> None:
    languages = set()
    for _, mail in mails:
        html = mail.get_body(("html",)).get_content()
        language = mail["Content-Language"]
        languages.add(language)
        assert html.lstrip().lower().startswith("<!doctype html")
        assert re.search(rf'<html[^>]*\blang="{language}"', html)
        assert "<title>" in html
        assert not re.search(r"<(script|iframe|object|form|base)\b", html, re.IGNORECASE)
        for image in re.findall(r"<img\b[^>]*>", html):
            assert " alt=" in image, image
            assert " width=" in image, image
        assert len(html.encode()) < 80 * 1024
    assert languages == {"en", "de"}


def test_a_45_every_list_mail_says_who_writes_and_why(house: House, mails: list[tuple[bytes, EmailMessage]]) -> None:
    for _, mail in mails:
        if "List-Id" not in mail:
            continue
        for part in mail.iter_parts():
            content = re.sub(r"\s+", " ", part.get_content())
            assert house.environment["MILEPOST_CONTROLLER_NAME"] in content
            assert house.environment["MILEPOST_CONTROLLER_ADDRESS"].split(",")[0] in content
            assert "/u/" in content
            assert "/c/" in content
