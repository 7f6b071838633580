"""The catcher keeps what SMTP clients hand it, byte for byte, and shows it without letting it act."""

import asyncio
import smtplib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.demo.catcher import listen
from service.demo.catcher_pages import catcher_site
from service.demo.mailbox import Mailbox, open_mail
from service.demo.state import free_port

RAW = (
    b"From: Fjellsko <training@fjellsko.example>\r\n"
    b"To: kari@reader.example\r\n"
    b"Subject: =?utf-8?q?Tr=C3=A4ning?= and\r\n a folded rest\r\n"
    b"List-Unsubscribe: <https://news.example.org/u/abc>,\r\n <mailto:unsub@fjellsko.example>\r\n"
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b".A line that begins with a dot\r\n..and two\r\n.\r\ng=C3=BCnstig https://news.example.org/a\r\n"
    b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b'<html><head></head><body><a href="https://news.example.org/a?x=1&amp;y=2">A</a><a href="#x">B</a>'
    b"<script>alert(1)</script></body></html>\r\n--b--\r\n"
)


@dataclass
class Catcher:
    database: Path
    smtp_port: int
    url: str

    def send(self, raw: bytes, *to: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=10) as client:
            client.sendmail("b+1@fjellsko.example", list(to), raw)


@pytest.fixture(scope="module")
def catcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catcher]:
    database = tmp_path_factory.mktemp("catcher") / "catcher.sqlite3"
    port = free_port()
    loop = asyncio.new_event_loop()
    mailbox = None
    started = threading.Event()

    async def serve() -> None:
        nonlocal mailbox
        mailbox = Mailbox(database)
        server = await listen(mailbox, "127.0.0.1", port)
        started.set()
        await stop.wait()
        server.close()
        mailbox.close()

    async def make_stop() -> asyncio.Event:
        return asyncio.Event()

    stop = loop.run_until_complete(make_stop())
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(10)
    pages = catcher_site(database).server("127.0.0.1", 0)
    pages_thread = threading.Thread(target=pages.serve_forever)
    pages_thread.start()
    yield Catcher(database, port, f"http://127.0.0.1:{pages.server_address[1]}")
    pages.shutdown()
    pages.server_close()
    pages_thread.join()
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def test_bytes_survive_dot_stuffing_and_are_served_as_they_came(catcher: Catcher) -> None:
    catcher.send(RAW, "bytes@reader.example")
    (mail,) = httpx.get(f"{catcher.url}/api/mails", params={"to": "BYTES@reader.example"}).json()
    source = httpx.get(f"{catcher.url}/mails/{mail['id']}/source")
    assert source.content == RAW
    assert source.headers["x-content-type-options"] == "nosniff"
    assert mail["mail_from"] == "b+1@fjellsko.example"
    assert mail["rcpt_to"] == "bytes@reader.example"
    assert mail["subject"] == "Träning and a folded rest"


def test_a_mail_opened(catcher: Catcher) -> None:
    catcher.send(RAW, "opened@reader.example")
    (mail,) = httpx.get(f"{catcher.url}/api/mails", params={"to": "opened@reader.example"}).json()
    opened = httpx.get(f"{catcher.url}/api/mails/{mail['id']}").json()
    assert opened["id"] == mail["id"]
    assert ["List-Unsubscribe", "<https://news.example.org/u/abc>, <mailto:unsub@fjellsko.example>"] in opened[
        "headers"
    ]
    assert opened["text"].startswith(".A line that begins with a dot")
    assert "günstig" in opened["text"]
    assert opened["links"] == ["https://news.example.org/a?x=1&y=2", "#x"]


def test_one_row_per_recipient_and_a_list_by_id(catcher: Catcher) -> None:
    catcher.send(RAW, "first@reader.example", "second@reader.example")
    catcher.send(RAW, "first@reader.example")
    mails = httpx.get(f"{catcher.url}/api/mails", params={"to": "first@reader.example"}).json()
    assert len(mails) == 2
    assert [m["id"] for m in mails] == sorted(m["id"] for m in mails)
    later = httpx.get(f"{catcher.url}/api/mails", params={"to": "first@reader.example", "after": mails[0]["id"]}).json()
    assert later == mails[1:]


def test_the_html_of_a_mail_is_shown_in_a_frame_that_may_do_nothing(catcher: Catcher) -> None:
    catcher.send(RAW, "frame@reader.example")
    (mail,) = httpx.get(f"{catcher.url}/api/mails", params={"to": "frame@reader.example"}).json()
    page = httpx.get(f"{catcher.url}/mails/{mail['id']}")
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text
    assert "alert(1)" not in page.text
    frame = httpx.get(f"{catcher.url}/mails/{mail['id']}/html")
    assert frame.headers["content-security-policy"].startswith("sandbox allow-popups")
    assert "default-src 'none'" in frame.headers["content-security-policy"]
    assert "allow-scripts" not in frame.headers["content-security-policy"]


@pytest.mark.parametrize("view", ["text", "headers", "source", "html", "nonsense"])
def test_every_view_of_a_mail_escapes_what_it_shows(catcher: Catcher, view: str) -> None:
    catcher.send(RAW.replace(b" and\r\n", b" <b>and</b>\r\n"), f"{view}@reader.example")
    (mail,) = httpx.get(f"{catcher.url}/api/mails", params={"to": f"{view}@reader.example"}).json()
    page = httpx.get(f"{catcher.url}/mails/{mail['id']}", params={"view": view})
    assert page.status_code == 200
    assert "&lt;b&gt;and&lt;/b&gt;" in page.text
    assert "<b>and" not in page.text


def test_the_list_searches_and_has_pages(catcher: Catcher) -> None:
    with closing(Mailbox(catcher.database)) as mailbox:
        for number in range(60):
            mailbox.add("", [f"page-{number}@searched.example"], b"Subject: 100% of it\r\n\r\nHello\r\n")
    first = httpx.get(catcher.url, params={"q": "@searched.example"}).text
    assert "60 mails" in first
    assert "page-59@searched.example" in first
    assert "page-9@searched.example" not in first
    assert 'href="/?page=2&amp;q=%40searched.example"' in first
    second = httpx.get(catcher.url, params={"q": "@searched.example", "page": "2"}).text
    assert "page-9@searched.example" in second
    assert "60 mails" in httpx.get(catcher.url, params={"q": "100% of"}).text
    assert "0 mails" in httpx.get(catcher.url, params={"q": "page_9@searched.example"}).text, "_ is no wildcard"


@pytest.mark.parametrize("path", ["/mails/999999", "/mails/999999/source", "/mails/999999/html", "/api/mails/999999"])
def test_an_unknown_mail_is_not_found(catcher: Catcher, path: str) -> None:
    assert httpx.get(catcher.url + path).status_code == 404


@pytest.mark.parametrize("after", ["-1", "x", "9" * 40, "١"])
def test_an_odd_after_is_refused(catcher: Catcher, after: str) -> None:
    assert httpx.get(f"{catcher.url}/api/mails", params={"after": after}).status_code == 400


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", None),
        (b"Subject: x\r\nContent-Type: text/plain; charset=nobody-knows\r\n\r\nHi \xff\r\n", "Hi ÿ"),
        (b"Subject: =?utf-8?b?!!!?=\r\n\r\nHi\r\n", "Hi"),
        (b"no header at all", "no header at all"),
    ],
)
def test_odd_mails_can_be_opened(raw: bytes, text: str | None) -> None:
    assert ((open_mail(raw).text or "").strip() or None) == text


def test_says_its_size_limit_and_takes_8bit(catcher: Catcher) -> None:
    with smtplib.SMTP("127.0.0.1", catcher.smtp_port, timeout=10) as client:
        client.ehlo()
        assert client.esmtp_features["size"] == str(25 * 1024 * 1024)
        assert "8bitmime" in client.esmtp_features


def test_a_thousand_messages_over_four_connections_are_all_there(catcher: Catcher) -> None:
    """And faster than a campaign's 400 a second on an idle machine; the bound here only catches a collapse."""

    def send(lane: int) -> None:
        with smtplib.SMTP("127.0.0.1", catcher.smtp_port, timeout=10) as client:
            for number in range(250):
                client.sendmail("b@fjellsko.example", [f"m-{lane}-{number}@many.example"], RAW)

    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    assert time.monotonic() - started < 20
    found = [
        m["rcpt_to"] for m in httpx.get(f"{catcher.url}/api/mails").json() if m["rcpt_to"].endswith("@many.example")
    ]
    assert sorted(found) == sorted(f"m-{lane}-{number}@many.example" for lane in range(4) for number in range(250))


def test_mails_survive_the_process(tmp_path: Path) -> None:
    for number in range(2):
        with closing(Mailbox(tmp_path / "c.sqlite3")) as mailbox:
            mailbox.add("", ["a@b.example"], RAW)
            assert len(mailbox.list_after(0)) == number + 1
    assert (tmp_path / "c.sqlite3").stat().st_mode & 0o777 == 0o600


def test_an_address_can_be_forgotten_and_nothing_of_it_stays_in_the_file(catcher: Catcher) -> None:
    """What the operator is asked to do here when a reader was erased (D-15)."""
    other = RAW.replace(b"kari@reader", b"other@reader")
    catcher.send(RAW.replace(b"kari@reader", b"Zoe.Quillfeather@reader"), "Zoe.Quillfeather@reader.example")
    catcher.send(other, "other@reader.example")
    (mail,) = httpx.get(f"{catcher.url}/api/mails", params={"to": "zoe.quillfeather@reader.example"}).json()
    page = httpx.get(f"{catcher.url}/mails/{mail['id']}").text
    assert '<form class="forget" action="/forget" method="post">' in page
    assert 'value="Zoe.Quillfeather@reader.example"' in page
    files = list(catcher.database.parent.iterdir())
    assert any(b"Quillfeather" in path.read_bytes() for path in files), "the search finds what is there"
    pressed = httpx.post(
        f"{catcher.url}/forget", data={"to": "zoe.quillfeather@READER.example"}, headers={"Origin": catcher.url}
    )
    assert (pressed.status_code, pressed.headers["Location"]) == (303, "/")
    assert httpx.get(f"{catcher.url}/api/mails", params={"to": "zoe.quillfeather@reader.example"}).json() == []
    assert httpx.get(f"{catcher.url}/api/mails", params={"to": "other@reader.example"}).json() != []
    files = list(catcher.database.parent.iterdir())
    assert [path.name for path in files if b"quillfeather" in path.read_bytes().lower()] == []


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost:1"}, {"Origin": "null"}])
def test_no_page_of_somebody_elses_presses_a_button_here(catcher: Catcher, headers: dict[str, str]) -> None:
    kept = f"kept{len(str(headers))}@reader.example"
    catcher.send(RAW, kept)
    assert httpx.post(f"{catcher.url}/forget", data={"to": kept}, headers=headers).status_code == 403
    assert len(httpx.get(f"{catcher.url}/api/mails", params={"to": kept}).json()) == 1


def test_a_form_that_is_none_is_refused(catcher: Catcher) -> None:
    own = {"Origin": catcher.url}
    assert httpx.post(f"{catcher.url}/nothing", headers=own).status_code == 404
    assert httpx.post(f"{catcher.url}/forget", content=b"x" * 70_000, headers=own).status_code == 413
    assert httpx.get(f"{catcher.url}/forget").status_code == 404
