"""Every public page in every language: nothing of anybody else's, the headers that forbid it, no cookie."""

import re
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest
from sqlalchemy import select, text

from service.domain.private_access import seal_link
from service.domain.tokens import Token, TokenKind, purpose_flag
from service.domain.words import DeliveryStatus, Language, MailKind, Purpose
from service.settings import Settings
from service.store.schema import Base, Campaign, ConsentEvent, Delivery, Revision, Subscriber, Subscription
from service.web.app import STATIC
from service.web.public.routes import router

LOADED_BY = {"src", "srcset", "poster", "data", "background", "action", "formaction", "manifest", "ping", "code"}
OWN = "http://localhost:8025"
SITE = "localhost"
TYPED = "shop.fjellsko.example"
"""Where a campaign's author linked to."""

EXPECTED = {
    "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; connect-src 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""D-30. There is no script, so script-src is none by default-src."""


class Loads(HTMLParser):
    """What a browser would fetch by itself, what it would send forms to, and where links lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: set[str] = set()
        self.linked: set[str] = set()
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.add(tag)
        for name, value in ((name, given or "") for name, given in attrs):
            if name in LOADED_BY:
                self.loaded |= {part.split()[0] for part in value.split(",") if part.strip()}
            elif name == "href":
                (self.linked if tag == "a" else self.loaded).add(value)
            elif name == "style":
                self.loaded |= set(re.findall(r"url\(\s*[\"']?([^\"')]+)", value))
            elif name == "http-equiv":
                assert value.lower() != "refresh"


def host(url: str) -> str | None:
    return urlsplit(urljoin(OWN, url)).hostname


@pytest.fixture
def paths(reader, container, keys, clock) -> dict[str, str]:
    """Route → a path that shows it, for a reader who exists."""
    reader.sign_up(purposes=["digest", "offers"], first_name="Anna")
    reader.process()
    waiting = reader.confirmation_token()
    assert reader.confirm().status_code == 200
    with container.transaction() as tx:
        anna = tx.session.scalars(select(Subscriber)).one()
        list_id = tx.session.scalars(select(Subscription.list_id).distinct()).one()
        event = tx.session.scalars(select(ConsentEvent.id).order_by(ConsentEvent.id)).first()
        campaign = Campaign(list_id=list_id, purpose="offers", name="x", status="sent", changed_by="ada")
        tx.session.add(campaign)
        tx.session.flush()
        body = f"# Sale\n\nThey are here: [look](https://{TYPED}/new)\n\n![Shoes](http://localhost:8025/shoes.png)"
        revision = Revision(campaign_id=campaign.id, subject="New shoes", body=body, sha256=b"")
        tx.session.add(revision)
        tx.session.flush()
        mailed = Delivery(
            campaign_id=campaign.id,
            subscriber_id=anna.id,
            list_id=list_id,
            lane="bulk",
            kind=MailKind.CAMPAIGN,
            status=DeliveryStatus.ACCEPTED,
            due_at=tx.now,
            finished_at=tx.now,
            revision_id=revision.id,
            message_id="1@localhost",
        )
        tx.session.add(mailed)
        tx.session.flush()
    private = f"/p/{seal_link(keys, anna.id, anna.address, clock.now())}"
    receipt = f"/r/{keys.seal(Token(TokenKind.RECEIPT, event))}"
    return {
        "/": "/",
        "/help": "/help",
        "/imprint": "/imprint",
        "/privacy": "/privacy",
        "/privacy/{notice_id}": f"/privacy/{_notice(container)}",
        "/processors": "/processors",
        "/robots.txt": "/robots.txt",
        "/subscribe": "/subscribe",
        "/subscribe/sent": "/subscribe/sent",
        "/subscribe/token": "/subscribe/token",
        "/confirm/{token}": f"/confirm/{waiting}",
        "/c/{token}": f"/c/{keys.seal(Token(TokenKind.CONTROL, anna.id))}",
        "/u/{token}": "/u/"
        + keys.seal(Token(TokenKind.UNSUBSCRIBE, anna.id, 4711, list_id, purpose_flag(Purpose.DIGEST))),
        "/a/{token}": f"/a/{keys.seal(Token(TokenKind.ADDRESS_CHANGE, 1))}",
        "/p/{token}": private,
        "/p/{token}/erase": f"{private}/erase",
        "/p/{token}/mail/{delivery_id}": f"{private}/mail/{mailed.id}",
        "/p/{token}/data.json": f"{private}/data.json",
        "/p/{token}/data.zip": f"{private}/data.zip",
        "/r/{token}": receipt,
        "/r/{token}.json": f"{receipt}.json",
    }


def _notice(container) -> int:
    with container.transaction() as tx:
        return tx.session.scalar(text("SELECT max(id) FROM notices"))


def routes() -> set[str]:
    def walked(found):
        for route in found:
            if methods := getattr(route, "methods", None):
                yield from ([route.path] if "GET" in methods else [])
            else:
                yield from walked(getattr(route, "original_router", route).routes)

    return set(walked(router.routes))


@pytest.mark.requirement("D-29", "D-30")
def test_every_public_page_in_every_language(client, paths) -> None:
    """For the reader, and for a link that is nobody's; GET and HEAD alike."""
    assert set(paths) == routes(), "say here how the new route is shown"
    nobodys = {path: path.replace("{token}", "unknown").replace("{delivery_id}", "1") for path in paths}
    nobodys["/privacy/{notice_id}"] = "/privacy/987654"
    shown = 0
    for language in Language:
        for route, path in [*paths.items(), *nobodys.items()]:
            answer = client.get(path, params={"language": language})
            assert answer.status_code in (200, 303, 404, 410), (path, answer.status_code)
            check_headers(route, answer)
            check_headers(route, client.head(path, params={"language": language}))
            if answer.headers.get("content-type", "").startswith("text/html"):
                check_page(answer.text)
                shown += 1
    assert shown > 100


def check_headers(route: str, answer) -> None:
    """The snapshot, the same on every answer (D-30)."""
    assert {name: answer.headers.get(name) for name in EXPECTED} == EXPECTED, route
    assert "set-cookie" not in answer.headers, route
    if "{token}" in route:
        assert answer.headers["x-robots-tag"] == "noindex, nofollow", route


def check_page(page: str) -> None:
    found = Loads(page)
    assert not found.tags & {"script", "iframe", "object", "embed", "video", "audio", "style", "base", "portal"}
    assert {host(url) for url in found.loaded} <= {"localhost"}
    assert not [url for url in found.loaded if urlsplit(url).scheme == "data"]
    links = {host(url) for url in found.linked if not url.startswith("mailto:")}
    assert links <= {"localhost", SITE, TYPED}


@pytest.mark.requirement("D-29")
def test_what_a_page_loads_loads_nothing_else() -> None:
    """Style sheet and icon: no import, no font, no picture of anybody's."""
    for file in STATIC.iterdir():
        content = file.read_text(encoding="utf-8")
        assert not re.search(r"@import|@font-face|url\(|<script|<image|xlink:href|<foreignObject", content), file.name
        assert set(re.findall(r"https?://[^\s\"'<>)]+", content)) <= {"http://www.w3.org/2000/svg"}, file.name


@pytest.mark.requirement("D-30")
@pytest.mark.parametrize(
    "path", ["/subscribe", "/u/unknown", "/c/unknown", "/p/unknown/erase", "/nothing", "/api/v1/overview"]
)
def test_refusals_have_the_headers_too(client, path) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = client.request(method, path, content=b"x" * 10)
        assert {name: answer.headers.get(name) for name in EXPECTED} == EXPECTED, (method, path, answer.status_code)
        assert "set-cookie" not in answer.headers


@pytest.mark.requirement("D-30")
def test_a_reader_who_brings_cookies_gets_none(client, reader) -> None:
    sent = reader.sign_up()
    assert sent.status_code == 303
    client.cookies.set("session", "planted")
    for path in ("/", "/subscribe", sent.headers["location"]):
        assert "set-cookie" not in client.get(path).headers


TRACKING = re.compile(r"(?:^|_)(?:open|opens|opened|click|clicks|clicked|pixel|beacon|utm|track\w*)(?:_|$)")


@pytest.mark.requirement("D-24", "D-25", "D-26", "D-27", "D-28", "D-35")
def test_tracking_does_not_exist(container, app) -> None:
    """No table, column, setting, trigger or route for it: what is not there needs no consent and starts nothing.

    So an old mail's links lead to what they say, and a scanner's fetch is nobody's opening.
    """
    columns = {f"{table}.{column.name}" for table in Base.metadata.tables.values() for column in table.columns}
    names = {part for name in columns for part in name.split(".")} | set(Settings.model_fields)
    assert not {name for name in names if TRACKING.search(name)}
    with container.transaction() as tx:
        triggers = tx.session.scalars(text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")).all()
        tables = tx.session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
    assert not [name for name in (*triggers, *tables) if TRACKING.search(name)]
    segments = {segment for path in routes() for segment in path.split("/")}
    assert not {s for s in segments if TRACKING.search(s) or s in ("o", "t", "l", "img", "redirect", "r.gif")}


@pytest.mark.requirement("D-24", "D-28")
def test_no_page_leads_on_to_another_host(client, paths) -> None:
    """No redirector: whatever a query asks for, no answer's Location leaves."""
    for path in paths.values():
        for name in ("url", "u", "to", "next", "redirect", "target"):
            answer = client.get(path, params={name: "https://tracker.example/"})
            assert host(answer.headers.get("location", "/")) == "localhost", (path, name)


@pytest.mark.requirement("D-28")
def test_a_fetch_by_a_scanner_is_nobodys_act(client, paths, container) -> None:
    """Proxies of mail providers fetch everything in a mail; nothing is stored about a person by that."""
    from tests.web.test_links import everything_stored

    before = everything_stored(container)
    for agent in ("GoogleImageProxy", "Mozilla/5.0 (Windows NT 5.1; rv:11.0) YahooMailProxy", "SafeLinks"):
        for path in [*paths.values(), "/static/milepost.css", "/static/milepost.svg"]:
            client.get(path, headers={"User-Agent": agent})
    assert everything_stored(container) == before


def test_a_planted_fault_is_found() -> None:
    for page in (
        '<img src="https://tracker.example/x.png">',
        '<link rel="stylesheet" href="//fonts.example/a.css">',
        '<p style="background: url(https://cdn.example/x)">',
        "<script>1</script>",
        '<a href="https://share.example/">x</a>',
        '<form action="https://captcha.example/"></form>',
        '<img src="data:image/png;base64,AAAA">',
    ):
        with pytest.raises(AssertionError):
            check_page(page)
