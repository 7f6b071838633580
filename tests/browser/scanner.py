"""What security scanners and mail clients do with mails: follow every link, by HEAD, by GET, and with a browser."""

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urldefrag, urljoin, urlsplit

import httpx
from sqlalchemy import create_engine, text

from tests.house import House

BY_THE_WORKERS = {
    "worker_processes": ["beat_at"],
    "sources": ["pulled_at", "failed_at", "etag", "last_modified"],
}
"""What changes by itself in a house where nobody does anything."""
BY_PROGRAMS = {"api_tokens": ["last_used_at"]}
"""What a GET may change (invariant 5): of an operator's program, and nothing about a reader."""


def state_of(house: House) -> dict[str, str]:
    """Every table, as a count and a checksum over all its rows."""
    engine = create_engine(house.environment["MILEPOST_DATABASE_URL"])
    left_out = BY_THE_WORKERS | BY_PROGRAMS
    with engine.connect() as connection:
        tables = connection.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        ).all()
        found = {
            table: connection.scalar(
                text(
                    "SELECT count(*) || ' ' || coalesce(md5(string_agg(row, '' ORDER BY row)), '') "
                    f'FROM (SELECT (to_jsonb(t) - CAST(:left_out AS text[]))::text AS row FROM "{table}" t) rows'
                ),
                {"left_out": left_out.get(table, [])},
            )
            for table in tables
        }
    engine.dispose()
    return found


def kinds_of(house: House) -> set[str]:
    """The kinds of mail that the relay accepted."""
    return set(_ask(house, "SELECT DISTINCT kind FROM deliveries WHERE status = 'accepted'"))


def is_settled(house: House) -> bool:
    """Nothing waits for a worker: sign-ups are decided, mails are out, events are under a checkpoint."""
    [waiting] = _ask(
        house,
        "SELECT (SELECT count(*) FROM signups WHERE state = 'received')"
        " + (SELECT count(*) FROM deliveries WHERE status IN ('queued', 'sending'))"
        " + (SELECT count(*) FROM event_seals WHERE position IS NULL)",
    )
    return bool(waiting == 0)


def _ask(house: House, question: str) -> list[Any]:
    engine = create_engine(house.environment["MILEPOST_DATABASE_URL"])
    with engine.connect() as connection:
        found = list(connection.scalars(text(question)))
    engine.dispose()
    return found


@dataclass
class Mail:
    id: int
    to: str
    links: list[str]
    """In its HTML, its text and its headers."""
    html: str


def read_mails(house: House) -> list[Mail]:
    listed = []
    after = 0
    while page := house.mails(after=after):
        listed += page
        after = max(mail["id"] for mail in page)
    with httpx.Client(base_url=house.catcher_url) as client:

        def read(entry: dict[str, Any]) -> Mail:
            mail = client.get(f"/api/mails/{entry['id']}").json()
            headers = " ".join(value for _, value in mail["headers"])
            written = re.findall(r"https?://[^\s<>\"]+", f"{headers} {mail['text']}")
            links = [*mail["links"], *(link.rstrip(".,)") for link in written)]
            links = [link for link in dict.fromkeys(links) if link.startswith("http")]
            return Mail(entry["id"], entry["rcpt_to"], links, mail["html"])

        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(read, listed))


@dataclass
class Crawl:
    """Pages found by following links from the first ones, within Milepost's own host."""

    house: House
    pages: dict[str, int] = field(default_factory=dict)
    """Address → status of its GET."""
    loaded: set[str] = field(default_factory=set)
    """What the pages load or send forms to."""
    linked: set[str] = field(default_factory=set)
    """Where their plain links lead."""

    def run(self, first: Iterable[str]) -> None:
        queue = list(dict.fromkeys(first))
        with httpx.Client(timeout=30) as client:
            while queue:
                address = urldefrag(queue.pop())[0]
                if address in self.pages:
                    continue
                head = client.head(address)
                answer = client.get(address)
                assert head.status_code in (answer.status_code, 405), (address, head.status_code, answer.status_code)
                self.pages[address] = answer.status_code
                if "text/html" in answer.headers.get("content-type", ""):
                    queue += self._read(address, answer.text)

    def _read(self, address: str, html: str) -> Iterator[str]:
        parser = _Addresses()
        parser.feed(html)
        self.loaded |= {urljoin(address, found) for found in parser.loaded}
        links = {urljoin(address, found) for found in parser.linked}
        links = {link for link in links if link.startswith("http")}
        self.linked |= links
        yield from sorted(link for link in links if hosts([link]) == hosts([self.house.public_url]))


def hosts(addresses: Iterable[str]) -> set[str]:
    """With the port, for the whole demo is on one machine."""
    return {urlsplit(address).netloc for address in addresses}


def without_language(address: str) -> str:
    """The same page in its other languages is one page."""
    return f"{urlsplit(address).path}?{sorted(set(parse_qs(urlsplit(address).query)) - {'language'})}"


class _Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name == "href" and tag == "a":
                self.linked.append(value)
            elif value and name in ("href", "src", "action", "formaction", "data", "poster", "background"):
                self.loaded.append(value)
            elif value and name in ("srcset", "style", "ping"):
                self.loaded += re.findall(r"https?:[^\s,\"')]+", value)
