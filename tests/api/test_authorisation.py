"""Who may do what over the API: each route, each role; how often; and that no answer is a list of addresses."""

from typing import Any

import pytest
from sqlalchemy import text

from service.bootstrap import Container
from service.demo.servers import Valkey
from service.domain.words import Purpose, Role, SubscriptionState
from service.store.transaction import TransactionFactory
from service.usecases.access import create_token, revoke_token
from service.web.api.token_limit import TokenLimit
from tests.api.conftest import Client, Refusal
from tests.builders import a_list, a_reader

ROUTES: dict[tuple[str, str], Role] = {
    ("get", "/campaigns"): Role.CAMPAIGN,
    ("post", "/campaigns"): Role.CAMPAIGN,
    ("get", "/campaigns/{campaign_id}"): Role.CAMPAIGN,
    ("post", "/campaigns/{campaign_id}/test"): Role.CAMPAIGN,
    ("post", "/campaigns/{campaign_id}/send"): Role.CAMPAIGN,
    ("post", "/campaigns/{campaign_id}/pause"): Role.CAMPAIGN,
    ("post", "/campaigns/{campaign_id}/resume"): Role.CAMPAIGN,
    ("post", "/campaigns/{campaign_id}/cancel"): Role.CAMPAIGN,
    ("post", "/campaigns/{campaign_id}/resolve"): Role.CAMPAIGN,
    ("post", "/digests/{slug}/runs"): Role.CAMPAIGN,
    ("get", "/content/sources"): Role.CAMPAIGN,
    ("post", "/content/pull"): Role.CAMPAIGN,
    ("get", "/forms/{slug}"): Role.SIGN_UP,
    ("post", "/signups"): Role.SIGN_UP,
    ("get", "/overview"): Role.CAMPAIGN,
    ("post", "/consent/proof"): Role.EXPORT,
}
"""Every route, and the role that it asks for. A new route is decided on here."""

BODIES: dict[str, dict[str, Any]] = {
    "/campaigns": {"list": "hub", "purpose": "offers", "subject": "Warm feet", "body": "# Hello"},
    "/campaigns/{campaign_id}/test": {"address": "ada@fjellsko.example"},
    "/campaigns/{campaign_id}/resolve": {"decision": "close"},
    "/consent/proof": {"address": "left@readers.example", "reason": "court order 12/26"},
}
PERSONAL = {"address", "addresses", "email", "mail", "first_name", "subscriber", "subscribers", "readers", "recipients"}
WHO: dict[str, tuple[Role, ...] | None] = {
    "nobody": None,
    "revoked": tuple(Role),
    "without a role": (),
    **{role.value: (role,) for role in Role},
    "all": tuple(Role),
}


@pytest.fixture(autouse=True)
def readers(transaction: TransactionFactory) -> None:
    with transaction() as tx:
        list_id = a_list(tx, "hub")
        a_reader(tx, "ada@readers.example", list_id=list_id, purpose=Purpose.OFFERS)
        a_reader(tx, "left@readers.example", list_id=list_id, state=SubscriptionState.UNSUBSCRIBED)


def call(client: Client, method: str, path: str) -> Any:
    url = path.replace("{campaign_id}", "1").replace("{slug}", "hub")
    return client.request(method.upper(), url, json=BODIES.get(path)) if method == "post" else client.get(url)


def become(client: Client, who: str, transaction: TransactionFactory) -> Client:
    roles = WHO[who]
    if roles is not None:
        with transaction() as tx:
            made = create_token(tx, who, roles or Role)
            client.headers["Authorization"] = f"Bearer {made.token}"
            if who == "revoked":
                revoke_token(tx, who)
            if not roles:  # as they were made by a version that knew fewer roles, and others
                tx.session.execute(text("UPDATE api_tokens SET roles = '{see_addresses}' WHERE name = :n"), {"n": who})
    return client


def test_every_route_is_decided_on(stranger: Client) -> None:
    paths = stranger.get("/openapi.json").json()["paths"]
    found = {(method, path.removeprefix("/api/v1")) for path, methods in paths.items() for method in methods}
    assert found == set(ROUTES)


@pytest.mark.requirement("D-22", "D-32")
@pytest.mark.parametrize("who", WHO)
def test_each_role_opens_what_it_is_for(
    stranger: Client, transaction: TransactionFactory, refusal: Refusal, who: str
) -> None:
    client = become(stranger, who, transaction)
    for (method, path), role in ROUTES.items():
        answer = call(client, method, path)
        if who in ("nobody", "revoked"):
            assert answer.status_code == 401, (method, path)
        elif role in (WHO[who] or ()):
            assert answer.status_code not in (401, 403), (method, path)
        else:
            assert f"needs the role {role.value}" in refusal(answer, 403, "role_missing")["detail"], (method, path)


@pytest.mark.requirement("D-22")
def test_a_role_is_asked_for_before_anything_is_read(
    stranger: Client, transaction: TransactionFactory, refusal: Refusal
) -> None:
    client = become(stranger, "sign_up", transaction)
    refusal(client.post("/campaigns", content=b"{not json"), 403, "role_missing")


@pytest.mark.requirement("D-22")
def test_the_document_says_which_role_each_route_needs(stranger: Client) -> None:
    paths = stranger.get("/openapi.json").json()["paths"]
    for (method, path), role in ROUTES.items():
        assert paths[f"/api/v1{path}"][method]["description"].count(f"Needs the role `{role.value}`.") == 1


@pytest.mark.requirement("D-32", "D-33")
def test_no_answer_names_a_reader_without_the_role(client: Client) -> None:
    """Neither of those who get mail nor of those who have left, whatever is asked with an ordinary token."""
    for method, path in ROUTES:
        assert "readers.example" not in call(client, method, path).text, (method, path)


def shown(schema: Any, document: dict[str, Any], seen: frozenset[str] = frozenset()) -> set[str]:
    """Names of everything that an answer of this schema can hold."""
    if isinstance(schema, list):
        return set().union(*(shown(part, document, seen) for part in schema))
    if not isinstance(schema, dict):
        return set()
    names = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    reference = schema.get("$ref")
    if reference and reference not in seen:
        names |= shown(document["components"]["schemas"][reference.rpartition("/")[2]], document, seen | {reference})
    return names.union(*(shown(part, document, seen) for part in schema.values()))


@pytest.mark.requirement("D-32")
def test_the_schema_has_no_list_of_addresses_and_no_webhook(stranger: Client) -> None:
    document = stranger.get("/openapi.json").json()
    assert "webhooks" not in document
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert "callbacks" not in route
            for status, response in route["responses"].items():
                names = shown(response, document) if status.startswith("2") else set()
                assert not names & PERSONAL, (method, path)


@pytest.mark.requirement("D-22")
def test_a_token_sends_so_many_requests_a_minute_and_slows_down_nobody_else(
    client: Client, transaction: TransactionFactory, valkey: Valkey, refusal: Refusal
) -> None:
    client.app.state.token_limit = TokenLimit(valkey.url, per_minute=3)
    assert [client.get("/overview").status_code for _ in range(3)] == [200, 200, 200]
    answer = client.get("/overview")
    refusal(answer, 429, "token_limit")
    assert answer.headers["retry-after"] == "60"
    assert become(client, "all", transaction).get("/overview").status_code == 200


def test_without_redis_the_api_answers(client: Client, container: Container) -> None:
    assert container.settings.redis_url.endswith(":1/0"), "nothing listens there"
    assert client.get("/overview").status_code == 200
