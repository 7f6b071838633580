"""E-12: programs of the publisher's sign readers up with a token and a key; sent again, nothing happens again."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select, text

from service.bootstrap import Container
from service.demo.servers import Valkey
from service.domain.words import Lane, MailKind, Role, SignupState
from service.ports import Hint
from service.store import engine as store_engine
from service.store.schema import Delivery, IdempotentRequest, Signup
from service.store.transaction import TransactionFactory, factory
from service.usecases import subscribing
from service.usecases.access import create_token
from service.usecases.repeating import Repeatable, do_once
from tests.api.conftest import Client, Refusal
from tests.conftest import FrozenClock, HintList, SettingsMaker
from tests.usecases.builders import KEYS, THREE_DAYS
from tests.web.conftest import make_container

pytestmark = pytest.mark.requirement("E-12")


@pytest.fixture
def container(
    make_settings: SettingsMaker,
    valkey: Valkey,
    shared_engine: Any,
    transaction: TransactionFactory,
    clock: FrozenClock,
    queue: HintList,
) -> Container:
    settings = make_settings(redis_url=valkey.url)
    return make_container(settings, shared_engine, transaction, clock, queue)


@pytest.fixture
def anna(client: Client) -> dict[str, Any]:
    form = client.get("/forms/hub?language=de").json()
    return {
        "form": "hub",
        "version": form["version"],
        "language": "de",
        "address": "Anna@fjell.no",
        "first_name": "Anna",
        "purposes": ["digest"],
        "topics": ["running"],
        "page": "https://www.fjell.no/club?member=7",
        "user_agent": "Firefox/999",
    }


def send(client: Client, body: dict[str, Any], key: str = "order-1", **changes: Any) -> Any:
    return client.post("/signups", json=body | changes, headers={"Idempotency-Key": key})


def stored(container: Container) -> list[Signup]:
    with container.transaction() as tx:
        return list(tx.session.scalars(select(Signup).order_by(Signup.id).execution_options(populate_existing=True)))


def mails(container: Container) -> list[MailKind]:
    with container.transaction() as tx:
        while subscribing.process_signups(tx, container.keys.ledger, THREE_DAYS):
            pass
        return list(tx.session.scalars(select(Delivery.kind)))


def test_the_words_to_show_come_with_their_version(client: Client) -> None:
    form = client.get("/forms/hub?language=fr").json()
    assert [s["purpose"] for s in form["statements"]] == ["digest", "offers"]
    assert len(form["topics"]) == 6
    assert form["notice_url"].startswith("http://localhost:8025/privacy/")
    assert client.get("/forms/hub-one-box").json()["topics"] == []


def test_a_sign_up_is_stored_with_words_and_evidence(
    client: Client, container: Container, anna: dict[str, Any], queue: HintList
) -> None:
    answer = send(client, anna, ip="203.0.113.70")
    [signup] = stored(container)
    assert (answer.status_code, answer.json()) == (202, {"id": signup.id, "status": "received"})
    assert (signup.address, signup.first_name, signup.state) == ("Anna@fjell.no", "Anna", SignupState.RECEIVED)
    assert (str(signup.ip), signup.user_agent, signup.page_url) == (
        "203.0.113.70",
        "Firefox/999",
        "https://www.fjell.no/club",
    )
    assert signup.form_id == anna["version"]
    assert queue.hints == [(Hint.PROCESS_SIGNUPS, Lane.INTERACTIVE, ())]


def test_a_replayed_key_is_one_mail_and_the_same_answer(
    client: Client, container: Container, anna: dict[str, Any], queue: HintList
) -> None:
    first = send(client, anna)
    queue.hints.clear()
    again = [send(client, anna) for _ in range(3)]
    assert {(a.status_code, a.content) for a in again} == {(first.status_code, first.content)}
    assert (len(stored(container)), queue.hints) == (1, [])
    assert mails(container) == [MailKind.CONFIRMATION]
    assert send(client, anna).content == first.content, "whatever has become of it since"


def test_a_key_stands_for_one_request(
    client: Client, container: Container, anna: dict[str, Any], refusal: Refusal
) -> None:
    send(client, anna)
    refusal(send(client, anna, address="ben@fjell.no"), 409, "idempotency_key_used")
    assert send(client, anna, "order-2", address="ben@fjell.no").status_code == 202
    assert len(stored(container)) == 2


def test_keys_of_two_programs_are_not_mixed_up(
    client: Client, container: Container, anna: dict[str, Any], transaction: TransactionFactory
) -> None:
    first = send(client, anna)
    with transaction() as tx:
        client.headers["Authorization"] = f"Bearer {create_token(tx, 'another', [Role.SIGN_UP]).token}"
    assert send(client, anna).json()["id"] != first.json()["id"]


def test_a_key_is_remembered_for_a_day(
    client: Client, container: Container, anna: dict[str, Any], clock: FrozenClock
) -> None:
    first = send(client, anna).json()["id"]
    clock.advance(hours=23, minutes=59)
    assert send(client, anna).json()["id"] == first
    clock.advance(minutes=2)
    second = send(client, anna, address="ben@fjell.no")
    assert (second.status_code, second.json()["id"] == first) == (202, False)
    with container.transaction() as tx:
        assert tx.session.scalar(select(func.count()).select_from(IdempotentRequest)) == 1


def test_what_was_refused_may_be_mended_and_sent_again(
    client: Client, container: Container, anna: dict[str, Any], refusal: Refusal
) -> None:
    problem = refusal(send(client, anna, address="anna@@fjell.no"), 422, "invalid")
    assert [(e["field"], e["code"]) for e in problem["errors"]] == [("address", "address_malformed")]
    assert stored(container) == []
    assert send(client, anna).status_code == 202


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": ""}, {"Idempotency-Key": "x" * 256}])
def test_without_a_key_nothing_is_done(
    client: Client, container: Container, anna: dict[str, Any], refusal: Refusal, headers: dict[str, str]
) -> None:
    problem = refusal(client.post("/signups", json=anna, headers=headers), 422, "invalid")
    assert [error["field"].lower() for error in problem["errors"]] == ["idempotency-key"]
    assert stored(container) == []


def test_without_a_token_nothing_is_done(stranger: Client, container: Container, refusal: Refusal) -> None:
    refusal(stranger.post("/signups", json={}, headers={"Idempotency-Key": "x"}), 401, "token_missing")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"purposes": []}, "purposes"),
        ({"purposes": ["everything"]}, "purposes.0"),
        ({"topics": ["chess"]}, "topics"),
        ({"first_name": "Anna\nBcc: x"}, "first_name"),
        ({"first_name": "x" * 100}, "first_name"),
        ({"address": "anna"}, "address"),
        ({"ip": "somewhere"}, "ip"),
        ({"token": "x"}, "token"),
    ],
)
def test_what_cannot_be_used(
    client: Client, container: Container, anna: dict[str, Any], refusal: Refusal, changes: dict[str, Any], field: str
) -> None:
    problem = refusal(send(client, anna, **changes), 422, "invalid")
    assert [error["field"] for error in problem["errors"]] == [field]
    assert stored(container) == []


def test_words_that_have_changed_have_to_be_shown_anew(
    client: Client, container: Container, anna: dict[str, Any], refusal: Refusal
) -> None:
    """D-05: nobody agrees to words that were not shown."""
    refusal(send(client, anna, version=anna["version"] + 1000), 409, "words_changed")
    assert stored(container) == []


def test_the_limits_are_everybodys(
    client: Client, container: Container, anna: dict[str, Any], refusal: Refusal
) -> None:
    """Per network for the reader's, not the program's; per mailbox as ever."""
    sent = [send(client, anna, f"key-{n}", address=f"anna+{n}@fjell.no", ip=f"2001:db8:77::{n:x}") for n in range(6)]
    assert [answer.status_code for answer in sent] == [202] * 5 + [429]
    refusal(sent[-1], 429, "network_limit")
    assert [answer.content == sent[0].content for answer in sent[1:5]] == [False] * 4
    assert mails(container) == [MailKind.CONFIRMATION]
    assert send(client, anna, "key-0", address="anna+0@fjell.no", ip="2001:db8:77::0").content == sent[0].content


def test_no_address_is_kept_with_a_key(client: Client, container: Container, anna: dict[str, Any]) -> None:
    """A program may well use the address as its key."""
    send(client, anna, "anna@fjell.no")
    with container.transaction() as tx:
        row = tx.session.execute(text("SELECT r::text FROM idempotent_requests r")).scalar_one()
    assert "fjell" not in row
    assert b"fjell".hex() not in row


def test_two_at_once_are_done_once(fresh_database: tuple[str, str], clock: FrozenClock) -> None:
    engine = store_engine.create(fresh_database[1], "test")
    transaction = factory(engine, clock, HintList())
    together, done = Barrier(2), []

    def ask(number: int) -> dict[str, Any]:
        together.wait(timeout=30)
        with transaction() as tx:
            return do_once(tx, KEYS, Repeatable("shop", "key", "body"), lambda: done.append(number) or {"id": number})

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, range(2)))
    assert len(done) == 1
    assert answers == [{"id": done[0]}] * 2
    engine.dispose()
