"""Fetching from a real HTTP server on loopback: what is asked, what is refused, and how much is taken."""

import gzip
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service.content import fetch
from service.content.fetch import Fetched, Fetcher, NotModified
from service.errors import Kind, ServiceError
from tests.conftest import FrozenClock

Answer = Callable[[BaseHTTPRequestHandler], None]


class Site:
    """A web server whose pages a test defines."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                site.pages[self.path](self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def url(self, path: str, host: str = "localhost") -> str:
        return f"http://{host}:{self.port}{path}"

    def page(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.pages[path] = answer

    @contextmanager
    def running(self) -> Iterator["Site"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield self
        self._server.shutdown()
        self._server.server_close()
        thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    with Site().running() as site:
        yield site


@pytest.fixture
def fetcher(clock: FrozenClock) -> Fetcher:
    return Fetcher(["localhost", "127.0.0.1"], ["localhost", "127.0.0.1"], clock)


def refused(fetcher: Fetcher, location: str) -> ServiceError:
    with pytest.raises(ServiceError, match=r"[Nn]othing was") as error:
        fetcher.fetch(location)
    return error.value


def test_a_feed_with_its_validators_and_charset(site: Site, fetcher: Fetcher) -> None:
    site.page("/f", b"<rss/>", ETag='"1"', Last_Modified="Sun, 01 Mar 2026", Content_Type='text/xml; charset="utf-8"')
    url = site.url("/f")
    assert fetcher.fetch(url) == Fetched(b"<rss/>", url, "utf-8", '"1"', "Sun, 01 Mar 2026")
    [(_, headers)] = site.requests
    assert headers["host"] == f"localhost:{site.port}", "the name, though the connection goes to the checked address"
    assert "if-none-match" not in headers


def test_validators_are_sent_and_304_is_no_content(site: Site, fetcher: Fetcher) -> None:
    site.page("/f", status=304)
    assert fetcher.fetch(site.url("/f"), etag='"1"', last_modified="Sun, 01 Mar 2026") == NotModified()
    [(_, headers)] = site.requests
    assert headers["if-none-match"] == '"1"'
    assert headers["if-modified-since"] == "Sun, 01 Mar 2026"
    assert refused(fetcher, site.url("/f")).code == "feed_status", "nobody asked"


def test_validators_that_could_do_harm_are_not_kept(site: Site, fetcher: Fetcher) -> None:
    site.page("/f", b"x", ETag='"' + "x" * 600 + '"', Last_Modified="Sun\xe4")
    answer = fetcher.fetch(site.url("/f"))
    assert isinstance(answer, Fetched)
    assert (answer.etag, answer.last_modified) == (None, None)


def test_a_packed_feed_is_unpacked(site: Site, fetcher: Fetcher) -> None:
    body = gzip.compress(b"<rss/>")
    site.page("/f", body, Content_Encoding="gzip")
    answer = fetcher.fetch(site.url("/f"))
    assert isinstance(answer, Fetched)
    assert answer.body == b"<rss/>"


def test_a_gzip_bomb_is_unpacked_to_the_limit_only(
    site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "LARGEST", 100_000)
    site.page("/bomb", gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")
    site.page("/exact", gzip.compress(bytes(100_000)), Content_Encoding="gzip")
    assert refused(fetcher, site.url("/bomb")).code == "feed_too_big"
    answer = fetcher.fetch(site.url("/exact"))
    assert isinstance(answer, Fetched)
    assert len(answer.body) == 100_000


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (bytes(11 * 1024 * 1024), {}, "feed_too_big"),
        (gzip.compress(b"<rss/>") + bytes(11 * 1024 * 1024), {"Content_Encoding": "gzip"}, "feed_too_big"),
        (gzip.compress(b"<rss/>" * 1000)[:-9], {"Content_Encoding": "gzip"}, "feed_cut"),
        (b"no gzip", {"Content_Encoding": "gzip"}, "feed_unreachable"),
        (b"x", {"Content_Encoding": "br"}, "feed_encoding"),
        (b"short", {"Content_Length": "500"}, "feed_unreachable"),
    ],
    ids=["too big", "trailing garbage", "cut gzip", "no gzip", "unknown packing", "cut"],
)
def test_bodies_that_cannot_be_taken(
    site: Site, fetcher: Fetcher, body: bytes, headers: dict[str, str], code: str
) -> None:
    site.page("/f", body, **headers)
    error = refused(fetcher, site.url("/f"))
    assert (error.kind, error.code) == (Kind.UNAVAILABLE, code)


@pytest.mark.parametrize("status", [404, 410, 500, 206, 300])
def test_other_answers_are_errors(site: Site, fetcher: Fetcher, status: int) -> None:
    site.page("/f", b"<rss/>", status=status)
    assert f"answered {status}" in refused(fetcher, site.url("/f")).message


def test_redirects_are_followed_and_their_end_is_the_base(site: Site, fetcher: Fetcher) -> None:
    site.page("/old", status=301, Location="/new")
    site.page("/new", b"<rss/>")
    answer = fetcher.fetch(site.url("/old"))
    assert isinstance(answer, Fetched)
    assert answer.location == site.url("/new")


@pytest.mark.parametrize(
    "target",
    [
        "http://elsewhere.example/feed",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "file:///etc/passwd",
        "ftp://localhost/feed",
        "//elsewhere.example/feed",
        "http://localhost@elsewhere.example/",
        "http://user:pw@localhost/",
        "http://elsewhere.example\\@localhost/",
        "http://[bad/",
    ],
)
def test_a_redirect_to_anywhere_else_is_refused(site: Site, fetcher: Fetcher, target: str) -> None:
    site.page("/f", status=302, Location=target)
    error = refused(fetcher, site.url("/f"))
    assert error.code in ("feed_host_forbidden", "feed_unreachable")
    assert len(site.requests) == 1


def test_a_redirect_out_of_encryption_is_refused(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "_get", lambda *_: fetch._Redirect("HTTP://localhost/f"))
    assert "without encryption" in refused(fetcher, "https://localhost/f").message


def test_redirects_end(site: Site, fetcher: Fetcher) -> None:
    site.page("/f", status=307, Location="/f")
    assert "more than 5 times" in refused(fetcher, site.url("/f")).message
    assert len(site.requests) == 6


def test_only_configured_hosts_are_asked(site: Site, clock: FrozenClock) -> None:
    error = refused(Fetcher(["hub.example"], [], clock), site.url("/f"))
    assert (error.kind, error.code) == (Kind.FORBIDDEN, "feed_host_forbidden")
    assert "MILEPOST_CONTENT_HOSTS" in error.message
    assert site.requests == []


def test_a_host_that_leads_inside_must_be_flagged(site: Site, clock: FrozenClock) -> None:
    error = refused(Fetcher(["localhost"], [], clock), site.url("/f"))
    assert "MILEPOST_CONTENT_PRIVATE_HOSTS" in error.message
    assert site.requests == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:224.0.0.1", False),
        ("2002:7f00:1::", False),
        ("ff02::1", False),
        # Ways to write an IPv4 address in IPv6 that a gateway would follow (RFC 6052, 8215, 4291 §2.5.5.1, 2765).
        ("64:ff9b::808:808", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::a00:1", False),
        ("::7f00:1", False),
        ("::ffff:0:7f00:1", False),
        ("fec0::1", False),
    ],
)
def test_what_is_a_public_address(address: str, public: bool) -> None:
    assert fetch._is_public(address) is public


def test_the_connection_goes_to_the_address_that_was_checked(
    site: Site, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers differently the second time (DNS rebinding) is not asked a second time."""
    asked = []
    real = socket.getaddrinfo

    def once(host: str, *args: object, **more: object) -> object:
        asked.append(host)
        return real("127.0.0.1", *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(fetch.socket, "getaddrinfo", once)
    site.page("/f", b"<rss/>")
    fetcher = Fetcher(["rebinding.example"], ["rebinding.example"], clock)
    assert isinstance(fetcher.fetch(site.url("/f", "rebinding.example")), Fetched)
    assert [name for name in asked if name == "rebinding.example"] == ["rebinding.example"]


def test_every_address_of_a_name_is_tried(site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """localhost is ::1 first, and many a server listens on 127.0.0.1 only."""
    real = socket.getaddrinfo

    def several(host: str, *args: object, **more: object) -> object:
        if host != "localhost":
            return real(host, *args, **more)  # type: ignore[arg-type]
        return [(0, 0, 0, "", (address, 0)) for address in ("::1", "127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(fetch.socket, "getaddrinfo", several)
    site.page("/f", b"<rss/>")
    assert isinstance(fetcher.fetch(site.url("/f")), Fetched)


def test_a_feed_that_trickles_is_given_up(site: Site, fetcher: Fetcher, clock: FrozenClock) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        clock.advance(seconds=61)
        handler.wfile.write(b"<rss/>")

    site.pages["/f"] = trickle
    assert refused(fetcher, site.url("/f")).code == "feed_slow"


def test_silence_is_given_up(site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SILENCE_SECONDS", 0.05)
    over = threading.Event()
    site.pages["/f"] = lambda _: over.wait(10) and None
    assert refused(fetcher, site.url("/f")).code == "feed_slow"
    over.set()


def test_nobody_listens(fetcher: Fetcher) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert refused(fetcher, f"http://localhost:{port}/f").code == "feed_unreachable"


@pytest.mark.parametrize("location", ["http://unknown.invalid/f", "http://localhost:99999/", "http://[bad/"])
def test_addresses_that_lead_nowhere(clock: FrozenClock, location: str) -> None:
    refused(Fetcher(["unknown.invalid", "localhost"], ["localhost"], clock), location)


def test_files(tmp_path: Path, fetcher: Fetcher) -> None:
    path = tmp_path / "läufe r.xml"
    path.write_bytes(b"<rss/>")
    for location in (str(path), path.as_uri()):
        assert fetcher.fetch(location) == Fetched(b"<rss/>", path.as_uri())


def test_files_that_cannot_be_taken(tmp_path: Path, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "big").write_bytes(bytes(101))
    monkeypatch.setattr(fetch, "LARGEST", 100)
    for name, says in (("missing", "No such file"), ("pipe", "not a file"), (".", "not a file"), ("big", "larger")):
        assert says in refused(fetcher, str(tmp_path / name)).message
    assert "not a file" in refused(fetcher, "/dev/zero").message
    assert "null" in refused(fetcher, "/tmp/a\0b").message
