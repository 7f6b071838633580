"""What every page and answer has in common."""

import asyncio
import dataclasses
import re
from urllib.parse import urlsplit

import pytest
from sqlalchemy import create_engine

from service.domain.words import Language
from service.errors import Kind, ServiceError
from service.store.transaction import factory
from service.usecases import wording
from service.web import errors
from service.web.app import create_app, from_environment
from service.web.security_headers import CONTENT_SECURITY_POLICY
from tests.conftest import HintList
from tests.web.conftest import make_client, make_container

PAGES = [
    "/",
    "/help",
    "/privacy",
    "/imprint",
    "/subscribe",
    "/subscribe?form=hub-one-box",
    "/subscribe/sent",
    "/u/unknown",
    "/c/unknown",
    "/confirm/unknown",
    "/privacy/987654",
    "/privacy/x",
    "/nothing",
]


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("path", PAGES)
def test_every_page(client, container, path, language):
    """D-29, D-30: own hosts only, no script, no cookie, a strict policy, and the language it says it has."""
    page = client.get(path, headers={"Accept-Language": language.value})
    assert page.status_code in (200, 404)
    assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["content-language"] == language.value
    assert "set-cookie" not in page.headers
    assert f'<html lang="{language}">' in page.text
    assert page.text.count("<h1") == 1
    assert not re.search(r"<script|<style|style=|onclick|javascript:", page.text)
    hosts = {urlsplit(url).hostname for url in re.findall(r'(?:href|src|action)="([^"]*)"', page.text)} - {None}
    assert hosts <= {"localhost"}


@pytest.mark.parametrize("path", PAGES)
def test_every_page_can_be_had_in_the_other_language(client, path):
    page = client.get(path, headers={"Accept-Language": "en"}).text
    other = re.search(r'<a href="([^"]+)" lang="de"', page)[1].replace("&amp;", "&")
    assert '<html lang="de">' in client.get(f"{urlsplit(path).path}{other}").text


def test_labels_and_fields_belong_together(client):
    page = client.get("/subscribe").text
    for control in re.findall(r'<(?:input|select)[^>]*id="([^"]+)"', page):
        assert f'for="{control}"' in page
    for described in re.findall(r'aria-describedby="([^"]+)"', page):
        for target in described.split():
            assert f'id="{target}"' in page


def test_the_style_sheet_is_ours_and_may_be_kept(client):
    sheet = client.get("/static/milepost.css")
    assert (sheet.status_code, sheet.headers["cache-control"]) == (200, "public, max-age=600")
    assert "url(" not in sheet.text
    assert "@import" not in sheet.text
    assert client.get("/static/nothing.css").headers["cache-control"] == "no-store"


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_told_apart(client, scheme):
    """WCAG 2.2: 4.5:1 for text (1.4.3), 3:1 for borders of inputs and the focus ring (1.4.11)."""
    blocks = re.findall(r":root \{(.*?)\}", client.get("/static/milepost.css").text, re.DOTALL)
    colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[scheme]))
    for ground in ("paper", "surface", "tint"):
        for ink in ("ink", "muted", "accent"):
            assert contrast(colour[ink], colour[ground]) >= 4.5, (ink, ground)
    assert contrast(colour["on-accent"], colour["accent"]) >= 4.5
    assert contrast(colour["on-accent"], colour["accent-strong"]) >= 4.5
    assert contrast(colour["flaw"], colour["flaw-tint"]) >= 4.5
    for ground in ("paper", "surface"):
        assert contrast(colour["flaw"], colour[ground]) >= 4.5
        assert contrast(colour["edge"], colour[ground]) >= 3
        assert contrast(colour["focus"], colour[ground]) >= 3


def test_the_demo_says_that_it_is_one(client):
    assert "Domains are not checked in DNS" in client.get("/").text


def test_old_notices_stay_readable(client, container):
    with container.transaction() as tx:
        old = wording.get_notice(tx, Language.DE)
        wording.publish(tx, dataclasses.replace(container.publisher, name="Fjellsko Trail AS"))
    page = client.get(f"/privacy/{old.id}").text
    assert "Fjellsko Sport AS, Løypa" in page
    assert "Diese Fassung gilt nicht mehr" in page
    current = client.get("/privacy", headers={"Accept-Language": "de"}).text
    assert "Fjellsko Trail AS, Løypa" in current
    assert "Diese Fassung gilt nicht mehr" not in current


def test_search_engines_stay_away_from_links_that_act(client):
    assert "Disallow: /u/" in client.get("/robots.txt").text


class TestOwnOrigins:
    """E-12: scripts of the publisher's own pages only, on two paths only."""

    OWN, OTHER = "https://www.fjellsko.no", "https://evil.example"

    @pytest.fixture
    def client(self, make_settings, valkey, shared_engine, transaction, clock, queue):
        settings = make_settings(redis_url=valkey.url, cors_origins=self.OWN)
        with make_client(create_app(make_container(settings, shared_engine, transaction, clock, queue))) as client:
            yield client

    @pytest.mark.parametrize("path", ["/subscribe", "/subscribe/token"])
    @pytest.mark.requirement("E-12")
    def test_own_origin(self, client, path):
        preflight = client.options(path, headers={"Origin": self.OWN, "Access-Control-Request-Method": "POST"})
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == self.OWN
        assert "access-control-allow-credentials" not in preflight.headers
        answer = client.get(path, headers={"Origin": self.OWN})
        assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == (self.OWN, "Origin")

    @pytest.mark.parametrize(
        "origin", [OTHER, "null", "https://www.fjellsko.no.evil.example", "http://www.fjellsko.no"]
    )
    @pytest.mark.requirement("E-12")
    def test_other_origins(self, client, origin):
        preflight = client.options("/subscribe", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert preflight.status_code == 403
        assert "access-control-allow-origin" not in preflight.headers
        assert "access-control-allow-origin" not in client.get("/subscribe/token", headers={"Origin": origin}).headers

    @pytest.mark.requirement("E-12")
    @pytest.mark.parametrize("origin", [OWN, OTHER])
    def test_no_page_may_use_the_operators_api(self, client, origin):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = client.options("/api/v1/signups", headers=headers)
        assert preflight.status_code == 405
        assert "access-control-allow-origin" not in preflight.headers

    @pytest.mark.parametrize("path", ["/", "/u/x", "/c/x", "/privacy", "/api/v1/overview"])
    def test_other_paths(self, client, path):
        answer = client.get(path, headers={"Origin": self.OWN})
        assert "access-control-allow-origin" not in answer.headers

    @pytest.mark.requirement("E-12")
    def test_closed_by_default(self, make_settings, shared_engine, transaction, clock, queue, valkey):
        container = make_container(make_settings(redis_url=valkey.url), shared_engine, transaction, clock, queue)
        with make_client(create_app(container)) as client:
            assert client.options("/subscribe", headers={"Origin": self.OWN}).status_code == 405
            answer = client.get("/subscribe/token", headers={"Origin": self.OWN})
        assert "access-control-allow-origin" not in answer.headers


class TestRefusals:
    def test_every_kind_has_a_status(self):
        assert set(errors.STATUS) == set(Kind)

    @pytest.mark.parametrize("kind", Kind)
    def test_as_a_page_and_as_a_problem(self, app, client, kind):
        @app.get(f"/refuse/{kind}")
        def refuse() -> None:
            raise ServiceError(kind, "some_code", "What happened; what was not done.", field="thing")

        page = client.get(f"/refuse/{kind}", headers={"Accept": "text/html", "Accept-Language": "de"})
        assert page.status_code == errors.STATUS[kind]
        assert '<html lang="de">' in page.text
        problem = client.get(f"/refuse/{kind}", headers={"Accept": "application/json"})
        assert (problem.status_code, problem.headers["content-type"]) == (
            errors.STATUS[kind],
            "application/problem+json",
        )
        assert problem.json() == {
            "type": "about:blank",
            "title": problem.json()["title"],
            "status": errors.STATUS[kind],
            "code": "some_code",
            "detail": "What happened; what was not done.",
            "field": "thing",
        }

    def test_a_bug_shows_no_trace(self, app):
        @app.get("/bug")
        def bug() -> None:
            raise RuntimeError("secret detail of anna@fjell.no")

        with make_client(app) as client:
            for accept in ("text/html", "application/json"):
                answer = client.get("/bug", headers={"Accept": accept})
                assert answer.status_code == 500
                assert "secret" not in answer.text
                assert "anna" not in answer.text
                assert "our mistake" in answer.text
                assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY

    def test_a_bug_has_every_header(self, container):
        production = container.settings.model_copy(update={"public_url": "https://news.fjellsko.example"})
        app = create_app(dataclasses.replace(container, settings=production))

        @app.get("/c/a/bug")
        def bug() -> None:
            raise RuntimeError

        with make_client(app) as client:
            answer = client.get("/c/a/bug")
            well = client.get("/c/x")
        assert (answer.status_code, well.status_code) == (500, 404)
        said = {"content-type", "content-length", "content-language"}
        assert {name: value for name, value in answer.headers.items() if name not in said} == {
            name: value for name, value in well.headers.items() if name not in said
        }
        assert {"x-robots-tag", "strict-transport-security"} <= answer.headers.keys()

    @pytest.mark.parametrize("path", ["/p/x/address", "/subscribe"])
    def test_a_refused_form_links_no_page_that_is_none(self, client, path):
        """What was sent would not be sent again by a link to the page in another language."""
        answer = client.post(path, content=b"x", headers={"Content-Type": "text/plain"})
        assert (answer.status_code, "?language=" in answer.text.partition("<main")[0].replace("/?", "")) == (415, False)

    @pytest.mark.parametrize(("method", "path"), [("DELETE", "/subscribe"), ("PUT", "/u/x"), ("GET", "/u/x/undo")])
    def test_wrong_methods(self, client, method, path):
        answer = client.request(method, path)
        assert (answer.status_code, "Nothing was changed" in answer.text) == (405, True)
        assert answer.headers["allow"]

    @pytest.mark.parametrize("number", ["-1", "-99999999999999999999", "99999999999999999999"])
    def test_numbers_that_are_nobodys(self, client, number):
        assert client.get(f"/privacy/{number}").status_code == 404

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("path", ["/u/x/", "/subscribe/", "/static", "/api/v1/campaigns/"])
    def test_nobody_is_sent_to_a_host_that_the_request_named(self, client, method, path):
        """A-24: no redirect on the way out, and none anywhere to what a Host header says."""
        answer = client.request(method, path, headers={"Host": "evil.example"})
        assert answer.status_code in (404, 405)
        assert "location" not in answer.headers

    def test_when_every_connection_is_taken(self, make_settings, valkey, clock, shared_engine, transaction, postgres):
        """Busy is not broken: the same page as without a database."""
        container = make_container(make_settings(redis_url=valkey.url), shared_engine, transaction, clock, HintList())
        busy = create_engine(postgres.url(), pool_size=1, max_overflow=0, pool_timeout=0.01)
        container = dataclasses.replace(container, engine=busy, transaction=factory(busy, clock, HintList()))
        with make_client(create_app(container)) as client, busy.connect():
            assert client.get("/subscribe").status_code == 503
            assert client.get("/health/ready").status_code == 503
        busy.dispose()

    def test_parameters_are_not_repeated(self, client):
        answer = client.get("/privacy/<script>x", headers={"Accept": "application/json"})
        assert answer.status_code == 422
        assert "script" not in answer.text

    def test_without_the_database(self, make_settings, valkey, clock, shared_engine, transaction):
        """Says what to do, keeps nothing, and the health check takes the process out of service."""
        container = make_container(make_settings(redis_url=valkey.url), shared_engine, transaction, clock, HintList())
        away = create_engine("postgresql+psycopg://x@127.0.0.1:1/x", connect_args={"connect_timeout": 1})
        container = dataclasses.replace(container, engine=away, transaction=factory(away, clock, HintList()))
        with make_client(create_app(container)) as client:
            page = client.get("/subscribe", headers={"Accept-Language": "de"})
            assert (page.status_code, "gleich wieder da" in page.text) == (503, True)
            assert page.headers["retry-after"]
            problem = client.get("/subscribe/token", headers={"Accept": "application/json"})
            assert (problem.status_code, problem.json()["code"]) == (503, "unavailable")
            assert client.get("/health/live").status_code == 200
            assert client.get("/health/ready").json()["database"] == "unreachable"
            assert client.get("/health/ready").status_code == 503
            assert client.get("/").status_code == 200
        away.dispose()


def test_the_web_process_starts_from_the_environment(fresh_database, make_settings, valkey, monkeypatch):
    """With a migrated database and nothing else: the words are published, the form can be shown."""
    _, app_url = fresh_database
    settings = make_settings(redis_url=valkey.url, database_url=app_url.replace("+psycopg", ""))
    for name, value in settings.model_dump(exclude_defaults=True, mode="json").items():
        monkeypatch.setenv(f"MILEPOST_{name.upper()}", str(value))
    app = from_environment()
    with make_client(app) as client:
        assert client.get("/subscribe").status_code == 200
    told: list[str] = []
    monkeypatch.setattr("service.egress.start_no_programs", lambda: told.append("serving"))

    async def serve() -> None:
        async with app.router.lifespan_context(app):
            told.append("answers")

    asyncio.run(serve())
    assert told == ["serving", "answers"], "from then on it starts no other program (D-31)"
    app.state.container.engine.dispose()


class TestHealth:
    def test_ready(self, client):
        assert client.get("/health/ready").json() == {"status": "ok", "database": "ok"}

    def test_migrations_pending(self, postgres, make_settings, clock, queue, valkey, container):
        """A database that nobody has migrated is reachable, and of no use."""
        empty = create_engine(postgres.url())
        with make_client(create_app(dataclasses.replace(container, engine=empty))) as client:
            answer = client.get("/health/ready")
        empty.dispose()
        assert answer.status_code == 503
        assert answer.json()["pending"]
