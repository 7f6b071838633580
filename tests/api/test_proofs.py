"""POST /consent/proof: for tokens with the role export, with a reason, and with an entry in the audit log."""

import json

import pytest
from sqlalchemy import text

from service.bootstrap import Container
from service.domain.proof_checks import check_proof
from service.domain.words import Role
from service.store import audit
from service.store.append_only import AppendOnlyFile
from service.store.transaction import TransactionFactory
from service.usecases.access import create_token
from service.usecases.sealing import seal_new
from tests.api.conftest import Client, Refusal
from tests.conftest import FrozenClock
from tests.usecases.test_proving import ADDRESS, reader

pytestmark = pytest.mark.requirement("D-02", "D-22")
ASKED = {"address": ADDRESS, "reason": "court order 12/26"}


@pytest.fixture
def subscriber_id(container: Container, transaction: TransactionFactory, clock: FrozenClock) -> int:
    found = reader(transaction, clock)
    seal_new(transaction, container.keys.ledger, AppendOnlyFile(container.checkpoint_file.path))
    return found


@pytest.fixture
def exporter(stranger: Client, transaction: TransactionFactory) -> Client:
    with transaction() as tx:
        created = create_token(tx, "privacy desk", [Role.EXPORT])
    stranger.headers["Authorization"] = f"Bearer {created.token}"
    return stranger


def proofs_noted(transaction: TransactionFactory) -> list[tuple[str, str]]:
    with transaction() as tx:
        return [(entry.actor, entry.reason) for entry in audit.list_entries(tx) if entry.act == "consent_proof"]


def test_the_proof_as_json_holds(exporter: Client, subscriber_id: int, transaction: TransactionFactory) -> None:
    answer = exporter.post("/consent/proof", json=ASKED)
    assert answer.status_code == 200
    assert check_proof(answer.json()).events == 4
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert ADDRESS not in answer.headers["content-disposition"]
    assert proofs_noted(transaction) == [("privacy desk", "court order 12/26")]


def test_the_proof_as_a_page(exporter: Client, subscriber_id: int) -> None:
    answer = exporter.post("/consent/proof", json=ASKED, headers={"Accept": "text/html"})
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>Proof of consent</h1>" in answer.text
    assert "Trainingsübersicht" in answer.text


def test_a_token_without_the_role_gets_nothing(
    client: Client, subscriber_id: int, transaction: TransactionFactory, refusal: Refusal
) -> None:
    refusal(client.post("/consent/proof", json=ASKED), 403, "role_missing")
    assert proofs_noted(transaction) == []


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"address": "nobody@fjell.no", "reason": "court order 12/26"}, 404, "nobody_known"),
        ({"address": ADDRESS, "reason": "Anna@fjell.no asks"}, 422, "reason_missing"),
        ({"address": "none at all", "reason": "court order 12/26"}, 422, "address_incomplete"),
    ],
)
def test_refusals(
    exporter: Client,
    subscriber_id: int,
    transaction: TransactionFactory,
    asked: dict[str, str],
    status: int,
    code: str,
) -> None:
    answer = exporter.post("/consent/proof", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ADDRESS.lower() not in json.dumps(answer.json()).lower()
    assert proofs_noted(transaction) == []


def test_where_a_key_is_gone_that_nobody_erased_nothing_is_exported(
    exporter: Client, subscriber_id: int, transaction: TransactionFactory, refusal: Refusal
) -> None:
    with transaction() as tx:
        tx.session.execute(text("DELETE FROM subject_keys WHERE subscriber_id = :id"), {"id": subscriber_id})
    refusal(exporter.post("/consent/proof", json=ASKED), 409, "subject_key_lost")
    assert proofs_noted(transaction) == []


def test_a_proof_is_never_a_get(exporter: Client) -> None:
    """It leaves an entry, and an address in a URL would stand in logs."""
    assert exporter.get("/consent/proof").status_code == 405
    assert exporter.post("/consent/proof", json={"address": ADDRESS}).status_code == 422
