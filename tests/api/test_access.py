"""Who gets in, with which roles: bearer tokens, their hash at rest, their last use, refusals before a body is read."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from service.domain.words import Role
from service.errors import Kind, ServiceError
from service.store import audit
from service.store.transaction import TransactionFactory
from service.usecases.access import Operator, create_token, find_operator, require_role, revoke_token
from tests.api.conftest import Client, Refusal
from tests.conftest import FrozenClock

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "token_missing"),
        ("", "token_missing"),
        ("Bearer", "token_missing"),
        ("Bearer  ", "token_missing"),
        ("Basic YWRhOmFkYQ==", "token_missing"),
        ("Bearer milepost_unknown", "token_invalid"),
        ("Bearer milepost_\xfc", "token_invalid"),
    ],
)
def test_without_a_token_nothing_opens(stranger: Client, refusal: Refusal, header: str | None, code: str) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    response = stranger.get("/overview", headers=headers)  # type: ignore[arg-type]
    refusal(response, 401, code)
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_every_route_asks_for_a_token(stranger: Client, refusal: Refusal) -> None:
    paths = stranger.get("/openapi.json").json()["paths"]
    assert len(paths) >= 12
    for path, methods in paths.items():
        for method in methods:
            url = path.removeprefix("/api/v1").replace("{campaign_id}", "1").replace("{slug}", "hub")
            refusal(stranger.request(method, url, content=b"{not json"), 401, "token_missing")


def test_a_token_opens_until_it_is_revoked(client: Client, transaction: TransactionFactory, refusal: Refusal) -> None:
    assert client.get("/overview").status_code == 200
    with transaction() as tx:
        revoke_token(tx, "timetable")
    refusal(client.get("/overview"), 401, "token_invalid")


def test_only_a_hash_is_kept(client: Client, transaction: TransactionFactory) -> None:
    with transaction() as tx:
        stored = tx.session.execute(text("SELECT t::text FROM api_tokens t")).scalar_one()
    token = client.headers["Authorization"].removeprefix("Bearer ")
    assert len(token) > 50
    assert token not in stored


def test_a_use_is_noted_once_a_minute(client: Client, transaction: TransactionFactory, clock: FrozenClock) -> None:
    def last_used() -> float:
        with transaction() as tx:
            return tx.session.execute(text("SELECT last_used_at FROM api_tokens")).scalar_one().timestamp()

    first = clock.now().timestamp()
    client.get("/overview")
    assert last_used() == first
    clock.advance(seconds=59)
    client.get("/overview")
    assert last_used() == first
    clock.advance(seconds=1)
    client.get("/overview")
    assert last_used() == first + 60


def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    response = client.post("/campaigns", content=b" " * (1024 * 1024 + 1), headers=JSON)
    assert response.status_code == 413


def test_a_body_that_streams_without_end_is_cut_off(client: Client) -> None:
    assert client.post("/campaigns", content=_endless(), headers=JSON).status_code == 413


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65536


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_json_is_refused(client: Client, refusal: Refusal, content_type: str) -> None:
    response = client.post("/campaigns", content=b'{"list": "hub"}', headers={"Content-Type": content_type})
    refusal(response, 415, "wrong_type")


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"null", b"\xff\xfe", b'{"list": 1}', b'{"list": "hub", "sent_at": "now"}', b"[" * 100_000],
)
def test_malformed_bodies_are_refused(client: Client, body: bytes) -> None:
    response = client.post("/campaigns", content=body, headers=JSON)
    assert (response.status_code, response.json()["code"]) in ((400, "malformed"), (422, "invalid"))
    assert response.headers["content-type"] == "application/problem+json"


def test_an_unknown_field_is_named(client: Client, refusal: Refusal) -> None:
    body = {"list": "hub", "purpose": "offers", "subject": "s", "body": "b", "sent_at": "now"}
    problem = refusal(client.post("/campaigns", json=body), 422, "invalid")
    assert [error["field"] for error in problem["errors"]] == ["sent_at"]


def test_the_document_needs_no_token_and_names_the_scheme(stranger: Client) -> None:
    document = stranger.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["HTTPBearer"] == {"type": "http", "scheme": "bearer"}
    post = document["paths"]["/api/v1/campaigns"]["post"]
    assert post["operationId"] == "create_campaign"
    for status in ("400", "401", "404", "409", "413", "415", "422", "503"):
        assert "application/problem+json" in post["responses"][status]["content"]


@pytest.mark.parametrize(
    ("name", "code"),
    [("", "token_name_invalid"), ("  ", "token_name_invalid"), ("x" * 65, "token_name_invalid"),
     ("a\nb", "token_name_invalid"), ("a\x00b", "token_name_invalid"), ("taken", "token_name_taken"),
     (" taken ", "token_name_taken")],
)  # fmt: skip
def test_names_of_tokens(transaction: TransactionFactory, name: str, code: str) -> None:
    from service.errors import ServiceError

    with transaction() as tx:
        create_token(tx, "taken", [Role.CAMPAIGN])
        revoke_token(tx, "taken")  # a revoked name stays taken
        revoke_token(tx, "taken")
        with pytest.raises(ServiceError) as refused:
            create_token(tx, name, [Role.CAMPAIGN])
    assert refused.value.code == code


def test_an_unknown_token_cannot_be_revoked(transaction: TransactionFactory) -> None:
    from service.errors import ServiceError

    with transaction() as tx, pytest.raises(ServiceError, match="no token named nobody"):
        revoke_token(tx, "nobody")


def test_a_token_does_not_show_itself_in_a_log(transaction: TransactionFactory) -> None:
    with transaction() as tx:
        created = create_token(tx, "quiet", [Role.CAMPAIGN])
    assert created.token not in repr(created)


@pytest.mark.requirement("D-22")
def test_a_role_is_given_with_the_token_and_stands_in_the_audit_log(transaction: TransactionFactory) -> None:
    with transaction() as tx:
        with pytest.raises(ServiceError, match="opens nothing; no token was made") as refused:
            create_token(tx, "plain", [])
        assert (refused.value.kind, refused.value.field) == (Kind.INVALID, "roles")
        assert audit.list_entries(tx) == []
        trusted = create_token(tx, "office", [Role.EXPORT], by="ada")
        assert find_operator(tx, trusted.token) == Operator("office", frozenset({Role.EXPORT}))
        (entry,) = audit.list_entries(tx)
    assert (entry.actor, entry.act, entry.details["roles"]) == ("ada", "roles_given", ["export"])


@pytest.mark.requirement("D-22")
@pytest.mark.parametrize("role", Role)
def test_each_role_is_given_by_itself(role: Role) -> None:
    others = frozenset(Role) - {role}
    require_role(Operator("office", frozenset({role})), role)
    with pytest.raises(ServiceError, match=f"needs the role {role.value}.*nothing was done") as refused:
        require_role(Operator("office", others), role)
    assert refused.value.kind is Kind.FORBIDDEN
