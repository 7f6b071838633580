"""Campaigns, digests and content through the API: the same use cases as the command line, as JSON."""

from typing import Any

import pytest

from service.bootstrap import Container
from service.domain.words import Lane, Language, Layout, Purpose, SuppressionReason
from service.ports import Hint
from service.store import suppressions
from service.store.campaigns import get_campaign
from service.store.transaction import TransactionFactory
from service.usecases import digesting
from service.usecases.campaigning import plan_campaign
from tests.api.conftest import Client, Refusal
from tests.builders import a_list, a_reader
from tests.conftest import HintList

NEW = {"list": "hub", "purpose": "offers", "subject": "Warm feet", "body": "# Hello"}


@pytest.fixture(autouse=True)
def readers(transaction: TransactionFactory) -> None:
    """Two who agreed to offers on the list "hub"."""
    with transaction() as tx:
        list_id = a_list(tx, "hub")
        for name in ("ada", "bea"):
            a_reader(tx, f"{name}@readers.example", list_id=list_id, purpose=Purpose.OFFERS)


@pytest.fixture
def draft(client: Client) -> int:
    response = client.post("/campaigns", json=NEW)
    assert response.status_code == 201, response.text
    return int(response.json()["id"])


@pytest.fixture
def sending(client: Client, draft: int, transaction: TransactionFactory) -> int:
    assert client.post(f"/campaigns/{draft}/send").status_code == 202
    with transaction() as tx:
        plan_campaign(tx, draft)
    return draft


def test_a_draft_has_a_place_and_an_author(client: Client) -> None:
    response = client.post("/campaigns", json=NEW | {"name": "Winter"})
    made = response.json()
    assert (made["name"], made["status"], made["changed_by"]) == ("Winter", "draft", "timetable")
    assert response.headers["location"] == f"/api/v1/campaigns/{made['id']}"
    assert client.get(f"/campaigns/{made['id']}").json() == made
    assert client.get("/campaigns").json() == {"campaigns": [made]}


def test_a_draft_is_a_card_unless_it_is_to_be_plain(
    client: Client, transaction: TransactionFactory, refusal: Refusal
) -> None:
    refusal(client.post("/campaigns", json=NEW | {"layout": "loud"}), 422, "invalid")
    made = [client.post("/campaigns", json=NEW | more).json()["id"] for more in ({}, {"layout": "plain"})]
    with transaction() as tx:
        assert [get_campaign(tx, each).layout for each in made] == [Layout.CARD, Layout.PLAIN]


def test_send_hints_after_the_commit(client: Client, draft: int, queue: HintList) -> None:
    response = client.post(f"/campaigns/{draft}/send")
    assert (response.status_code, response.json()["status"]) == (202, "planning")
    assert (Hint.PLAN_CAMPAIGN, Lane.BULK, (draft,)) in queue.hints


def test_pause_resume_cancel(client: Client, sending: int, refusal: Refusal) -> None:
    paused = client.post(f"/campaigns/{sending}/pause", json={"reason": "typo"}).json()
    assert (paused["status"], paused["reason"], paused["changed_by"]) == ("paused", "typo", "timetable")
    refusal(client.post(f"/campaigns/{sending}/pause"), 409, "campaign_paused")
    assert client.post(f"/campaigns/{sending}/resume").json()["status"] == "sending"
    cancelled = client.post(f"/campaigns/{sending}/cancel").json()
    assert (cancelled["status"], cancelled["buckets"]["cancelled"], cancelled["audience"]) == ("cancelled", 2, 2)


def test_the_buckets_add_up(client: Client, sending: int) -> None:
    report = client.get(f"/campaigns/{sending}").json()
    assert len(report["buckets"]) == 7
    assert sum(report["buckets"].values()) == report["audience"] == 2


def test_a_test_mail(client: Client, draft: int, refusal: Refusal) -> None:
    response = client.post(f"/campaigns/{draft}/test", json={"address": "ada@fjellsko.example", "language": "de"})
    assert response.status_code == 202
    assert response.json()["delivery_id"] > 0
    broken = client.post(f"/campaigns/{draft}/test", json={"address": "ada@@fjellsko.example"})
    assert broken.status_code == 422
    assert broken.headers["content-type"] == "application/problem+json"


def test_a_test_mail_is_refused_where_mail_is_and_beyond_the_days_share(
    client: Client, draft: int, container: Container, transaction: TransactionFactory, refusal: Refusal
) -> None:
    with transaction() as tx:
        suppressions.add_suppression(
            tx,
            address_hmac=container.keys.address_hmac("ada@fjellsko.example"),
            reason=SuppressionReason.COMPLAINT,
            source="test",
        )
    asked = {"address": "Ada@fjellsko.example"}
    body = refusal(client.post(f"/campaigns/{draft}/test", json=asked), 409, "test_address_suppressed")
    assert body["field"] == "address"
    for _ in range(container.settings.test_mails_per_day - 1):
        assert client.post(f"/campaigns/{draft}/test", json={"address": "bea@fjellsko.example"}).status_code == 202
    refusal(client.post(f"/campaigns/{draft}/test", json=asked), 429, "test_limit")


def test_resolve_counts(client: Client, sending: int, refusal: Refusal) -> None:
    response = client.post(f"/campaigns/{sending}/resolve", json={"decision": "close"})
    assert response.status_code == 200, response.text
    assert (response.json()["resolved"], response.json()["campaign"]["id"]) == (0, sending)
    refusal(client.post(f"/campaigns/{sending}/resolve", json={"decision": "guess"}), 422, "invalid")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subject": "Warm\r\nBcc: all@example.org"}, "subject"),
        ({"subject": "Warm\u2028feet"}, "subject"),
        ({"subject": "Warm\x00feet"}, "subject"),
        ({"subject": ""}, "subject"),
        ({"subject": "x" * 10_240}, "subject"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "x" * 10_240}, "name"),
        ({"body": ""}, "body"),
        ({"body": "NUL \x00"}, "body"),
        ({"body": "x" * 100_001}, "body"),
        ({"purpose": "everything"}, "purpose"),
        ({"list": "hub\x00"}, "list"),
        ({"list": None}, "list"),
        ({"id": 7}, "id"),
    ],
)
def test_a_faulty_draft_is_refused_at_its_field(
    client: Client, refusal: Refusal, change: dict[str, Any], field: str
) -> None:
    problem = refusal(client.post("/campaigns", json=NEW | change), 422, "invalid")
    assert [error["field"] for error in problem["errors"]] == [field]
    assert client.get("/campaigns").json() == {"campaigns": []}


def test_half_a_character_is_refused(client: Client) -> None:
    body = b'{"list": "hub", "purpose": "offers", "subject": "Warm \\ud800", "body": "x"}'
    response = client.post("/campaigns", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422


def test_an_unknown_list_is_not_found(client: Client, refusal: Refusal) -> None:
    assert refusal(client.post("/campaigns", json=NEW | {"list": "nowhere"}), 404, "list_unknown")["field"] == "list"


@pytest.mark.parametrize("method_path", ["GET /campaigns/{}", "POST /campaigns/{}/send", "POST /campaigns/{}/pause"])
def test_a_campaign_that_is_not_there(client: Client, refusal: Refusal, method_path: str) -> None:
    method, _, path = method_path.partition(" ")
    refusal(client.request(method, path.format(2**63 - 1)), 404, "campaign_unknown")
    for impossible in ("0", "-1", str(2**63), "x", "1e3", "%00"):
        response = client.request(method, path.format(impossible))
        assert response.status_code in (404, 422), impossible
        assert response.headers["content-type"] == "application/problem+json"


def test_unknown_paths_and_methods_are_problems_too(client: Client) -> None:
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("DELETE", "/campaigns", 405),
        ("GET", "/content/pull", 405),
    ):
        response = client.request(method, path)
        assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("limit", ["0", "1001", "x", "99999999999999999999"])
def test_limits_have_bounds(client: Client, refusal: Refusal, limit: str) -> None:
    refusal(client.get(f"/campaigns?limit={limit}"), 422, "invalid")


# Digests and content


def test_a_run_is_started_once(
    client: Client, transaction: TransactionFactory, queue: HintList, refusal: Refusal
) -> None:
    with transaction() as tx:
        digesting.add_digest(tx, slug="weekly", list_slug="hub", names={Language.EN: "Weekly", Language.DE: "Woche"})
    response = client.post("/digests/weekly/runs")
    started = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/v1/campaigns/{started['campaign_id']}"
    assert (Hint.PLAN_CAMPAIGN, Lane.BULK, (started["campaign_id"],)) in queue.hints
    assert client.get(f"/campaigns/{started['campaign_id']}").json()["kind"] == "digest"
    refusal(client.post("/digests/weekly/runs"), 409, "run_in_planning")


def test_a_digest_that_is_not_there(client: Client) -> None:
    for slug, status in (("nowhere", 404), ("NO%00", 422), ("x" * 65, 422)):
        assert client.post(f"/digests/{slug}/runs").status_code == status


def test_content_is_pulled_by_a_worker(client: Client, queue: HintList) -> None:
    response = client.post("/content/pull")
    assert (response.status_code, response.json()) == (202, {"hinted": True})
    assert queue.hints == [(Hint.PULL_CONTENT, Lane.INBOUND, ())]


def test_sources_and_overview(client: Client, transaction: TransactionFactory) -> None:
    from service.store.schema import Source

    with transaction() as tx:
        tx.session.add(
            Source(slug="blog", list_id=a_list(tx, "hub"), location="/feed.xml", topic_map={}, error="It answered 500.")
        )
    (source,) = client.get("/content/sources").json()["sources"]
    assert (source["slug"], source["error"], source["pulled_at"]) == ("blog", "It answered 500.", None)
    overview = client.get("/overview").json()
    assert overview["subscribers"] == 2
    assert "ada@" not in str(overview)
