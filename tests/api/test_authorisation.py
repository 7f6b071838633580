"""Who may do what over the API: each route, each role; how often; and that no answer is a list of addresses."""

from typing import Any

import pytest

from service.bootstrap import Container
from service.demo.servers import Valkey
from service.domain.words import Purpose, Role, SubscriptionState
from service.store.transaction import TransactionFactory
from service.usecases.access import create_token, revoke_token
from service.web.api.token_limit import TokenLimit
from tests.api.conftest import Client, Refusal
from tests.builders import a_list, a_reader

ROUTES: dict[tuple[str, str], Role | None] = {
    ("get", "/campaigns"): None,
    ("post", "/campaigns"): None,
    ("get", "/campaigns/{campaign_id}"): None,
    ("post", "/campaigns/{campaign_id}/test"): None,
    ("post", "/campaigns/{campaign_id}/send"): None,
    ("post", "/campaigns/{campaign_id}/pause"): None,
    ("post", "/campaigns/{campaign_id}/resume"): None,
    ("post", "/campaigns/{campaign_id}/cancel"): None,
    ("post", "/campaigns/{campaign_id}/resolve"): None,
    ("post", "/digests/{slug}/runs"): None,
    ("get", "/content/sources"): None,
    ("post", "/content/pull"): None,
    ("get", "/forms/{slug}"): None,
    ("post", "/signups"): None,
    ("get", "/overview"): None,
    ("post", "/consent/proof"): Role.EXPORT,
}
"""Every route, and the role that it asks for beyond a token. A new route is decided on here."""

BODIES: dict[str, dict[str, Any]] = {
    "/campaigns": {"list": "hub", "purpose": "offers", "subject": "Warm feet", "body": "# Hello"},
    "/campaigns/{campaign_id}/test": {"address": "ada@fjellsko.example"},
    "/campaigns/{campaign_id}/resolve": {"decision": "close"},
    "/consent/proof": {"address": "left@readers.example", "reason": "court order 12/26"},
}
PERSONAL = {"address", "addresses", "email", "mail", "first_name", "subscriber", "subscribers", "readers", "recipients"}
WHO: dict[str, tuple[Role, ...] | None] = {
    "nobody": None,
    "revoked": (Role.EXPORT, Role.SEE_ADDRESSES),
    "plain": (),
    **{role.value: (role,) for role in Role},
    "both": tuple(Role),
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
            client.headers["Authorization"] = f"Bearer {create_token(tx, who, roles).token}"
            if who == "revoked":
                revoke_token(tx, who)
    return client


def test_every_route_is_decided_on(stranger: Client) -> None:
    paths = stranger.get("/openapi.json").json()["paths"]
    found = {(method, path.removeprefix("/api/v1")) for path, methods in paths.items() for method in methods}
    assert found == set(ROUTES)


@pytest.mark.requirement("D-22", "D-32")
@pytest.mark.parametrize("who", WHO)
def test_each_role_opens_what_it_is_for(stranger: Client, transaction: TransactionFactory, who: str) -> None:
    client = become(stranger, who, transaction)
    opened = {}
    for (method, path), role in ROUTES.items():
        status = call(client, method, path).status_code
        if who in ("nobody", "revoked"):
            assert status == 401, (method, path)
        else:
            opened[method, path] = status != 403
            assert status != 401, (method, path)
            assert opened[method, path] == (role is None or role in (WHO[who] or ())), (method, path, status)


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
    assert become(client, "plain", transaction).get("/overview").status_code == 200


def test_without_redis_the_api_answers(client: Client, container: Container) -> None:
    assert container.settings.redis_url.endswith(":1/0"), "nothing listens there"
    assert client.get("/overview").status_code == 200
