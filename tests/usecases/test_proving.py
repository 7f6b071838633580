"""The proof of one person's consent, through the real flow: form, worker, mail, button, seal, proof, offline check."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.domain.outcomes import Phase
from service.domain.proof_checks import DoesNotHoldError, Holds, check_proof, read_proof
from service.domain.proofs import FIELD_GROUPS, UNCONFIRMED
from service.domain.words import Channel, Lane, Language
from service.errors import Kind, ServiceError
from service.mail.writer import Writer
from service.store import audit, subscribers
from service.store.append_only import AppendOnlyFile
from service.store.transaction import TransactionFactory
from service.usecases import subscribing, unsubscribing
from service.usecases.dispatching import send_due
from service.usecases.erasing import Forgotten, erase
from service.usecases.proving import WHAT_WAS_SHREDDED, prove
from service.usecases.sealing import seal_new
from tests.conftest import FrozenClock
from tests.usecases.builders import (
    BUTTON_EVIDENCE,
    KEYS,
    NOBODY_ERASED,
    PUBLISHER,
    confirm_token,
    decided,
    sign_up,
    unsubscribe_token,
)
from tests.usecases.sending import a_sender

ADDRESS = "Anna@fjell.no"
REASON = "court order 12/26"
ANSWER = "Ok: queued as 4Bx7Qq2TvLz9rP1"
Proof = dict[str, Any]


@pytest.fixture
def seal(transaction: TransactionFactory, tmp_path: Path) -> Callable[[], None]:
    file = AppendOnlyFile(tmp_path / "checkpoints.jsonl")

    def run() -> None:
        assert seal_new(transaction, KEYS.ledger, file) is False

    return run


def reader(
    transaction: TransactionFactory, clock: FrozenClock, address: str = ADDRESS, language: Language = Language.DE
) -> int:
    """Signed up in German for both purposes, mailed, confirmed two minutes later. Returns the subscriber's id."""
    with transaction() as tx:
        signup = decided(tx, sign_up(tx, address, purposes=("digest", "offers"), language=language))
    clock.advance(seconds=20)
    script = {address: (Phase.EOM, 250, "2.0.0", ANSWER)}
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE, script=script, write=Writer(PUBLISHER, KEYS).write))
    clock.advance(minutes=2)
    with transaction() as tx:
        subscribing.confirm_subscription(tx, KEYS, confirm_token(signup.id), BUTTON_EVIDENCE)
    assert signup.subscriber_id is not None
    return signup.subscriber_id


def proof_of(transaction: TransactionFactory, address: str = ADDRESS, log: AppendOnlyFile = NOBODY_ERASED) -> Proof:
    """As a file holds it: through JSON and back."""
    with transaction() as tx:
        made = prove(tx, KEYS, log, address, actor="ada", reason=REASON)
    return dict(read_proof(json.dumps(made.proof)))


@pytest.fixture
def log(tmp_path: Path) -> AppendOnlyFile:
    return AppendOnlyFile(tmp_path / "erasures.jsonl")


@pytest.fixture
def forget(transaction: TransactionFactory, log: AppendOnlyFile) -> Callable[[int], None]:
    def run(subscriber_id: int) -> None:
        assert isinstance(erase(transaction, KEYS, log, subscriber_id, asked_by="subscriber"), Forgotten)

    return run


def nothing_empty(value: Any) -> bool:
    match value:
        case dict() | list():
            return bool(value) and all(
                nothing_empty(part) for part in (value.values() if isinstance(value, dict) else value)
            )
        case None | "":
            return False
    return True


@pytest.mark.requirement("D-02", "D-36")
def test_the_whole_proof(transaction: TransactionFactory, clock: FrozenClock, seal: Callable[[], None]) -> None:
    """D-02: statement, notice, form, times, confirmation mail and button; all 19 field groups, none of them empty."""
    subscriber_id = reader(transaction, clock)
    seal()
    proof = proof_of(transaction)
    [subject] = proof["subjects"]
    digest, offers = subject["consents"]
    for consent in (digest, offers):
        assert [int(number) for number in consent["fields"]] == list(FIELD_GROUPS) == list(range(1, 20))
        for number, field in consent["fields"].items():
            assert nothing_empty(field), (number, field)
        assert nothing_empty(consent["record"])
    said = {field["name"]: field["value"] for field in digest["fields"].values()}
    assert said["Who"]["address"] == said["Who"]["address_as_entered"] == ADDRESS
    assert said["Controller"]["name"] == PUBLISHER.name
    assert said["Words agreed to"]["text"].startswith("Trainingsübersicht:")
    assert said["Words agreed to"]["box_before"] == "every box unticked"
    assert said["When"]["requested_at"] == "2026-03-02T09:00:00.000000Z"
    assert said["When"]["collected_at"] == said["Confirmation"]["at"] == "2026-03-02T09:02:20.000000Z"
    assert said["Where the request came from"] == {"ip": "203.0.113.7", "user_agent": "Firefox"}
    assert said["Form"]["page"] == "https://fjell.no/hub"
    assert said["Form"]["referrer_host"] == "fjell.no"
    mail = said["Confirmation mail"]
    assert (mail["text"], mail["code"], mail["sent_at"]) == (ANSWER, 250, "2026-03-02T09:00:20.000000Z")
    assert said["Confirmation"]["method"] == "POST"
    assert said["State and validity"]["review_at"] == "2028-03-02"
    assert said["State and validity"]["ends_at"] == "2029-03-02"
    assert said["Purposes, each with a state of its own"] == {
        "digest": "given",
        "offers": "given",
        "open_tracking": "not asked: it is not done",
        "click_tracking": "not asked: it is not done",
    }
    exhibits = proof["exhibits"]
    notice = exhibits["notices"][said["Privacy notice shown"]["version"]]
    assert PUBLISHER.contact in notice["body"]
    form = json.loads(exhibits["forms"][said["Form"]["version"]]["snapshots"]["de"])
    assert said["Words agreed to"]["text"].partition("\n\n")[2] in form["page"]
    assert "checked" not in form["page"].split("<fieldset", 2)[1]
    [kept] = subject["confirmation_mails"]
    assert kept["sha256"] == mail["sha256"]
    assert f"Message-ID: <{mail['message_id']}>" in kept["message"].replace("\r\n ", " ")
    assert "[token withheld]" in kept["message"]
    assert [event["record"]["seq"] for event in subject["events"]] == [1, 2, 3, 4]
    assert subject["subject"] == subscriber_id
    assert check_proof(proof, KEYS.ledger.public_key.hex()) == Holds(
        1, 4, len(proof["checkpoints"]), KEYS.ledger.public_key.hex(), key_was_given=True
    )


@pytest.mark.requirement("D-18")
def test_a_request_that_waits_says_why_it_does_not_say_where_it_came_from(
    transaction: TransactionFactory, seal: Callable[[], None]
) -> None:
    with transaction() as tx:
        decided(tx, sign_up(tx, ADDRESS))
    seal()
    proof = proof_of(transaction)
    fields = proof["subjects"][0]["consents"][0]["fields"]
    assert all(nothing_empty(field) for field in fields.values())
    assert fields["2"]["value"]["address"] == ADDRESS
    for said in (fields["10"]["value"]["ip"], fields["8"]["value"]["page"], fields["2"]["value"]["address_as_entered"]):
        assert said == UNCONFIRMED
    assert check_proof(proof).events == 1


@pytest.mark.requirement("D-02")
def test_a_withdrawal_stands_in_the_proof_with_its_channel(
    transaction: TransactionFactory, clock: FrozenClock, seal: Callable[[], None]
) -> None:
    subscriber_id = reader(transaction, clock)
    clock.advance(days=40)
    with transaction() as tx:
        list_id = subscribers.list_subscriptions(tx, subscriber_id)[0].list_id
        token = unsubscribe_token(subscriber_id, list_id)
        unsubscribing.unsubscribe(tx, KEYS, token, Channel.ONE_CLICK, BUTTON_EVIDENCE)
    seal()
    proof = proof_of(transaction)
    digest, offers = proof["subjects"][0]["consents"]
    assert (digest["state"], offers["state"]) == ("withdrawn", "given")
    withdrawal = digest["fields"]["14"]["value"]
    assert (withdrawal["channel"], withdrawal["mail"]) == ("one_click", "delivery 99")
    assert withdrawal["at"] == "2026-04-11T09:02:20.000000Z"
    assert digest["fields"]["6"]["value"]["text"].startswith("Trainingsübersicht")
    assert check_proof(proof).events == 5


def test_each_proof_leaves_an_audit_entry_and_no_address_in_it(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    subscriber_id = reader(transaction, clock)
    proof = proof_of(transaction)
    with transaction() as tx:
        [entry] = audit.list_entries(tx)
        assert (entry.actor, entry.act, entry.reason) == ("ada", "consent_proof", REASON)
        assert entry.details == {"subjects": [subscriber_id]}
        assert proof["audit_entry"] == entry.id


@pytest.mark.parametrize(
    ("address", "reason", "code"),
    [
        ("nobody@fjell.no", REASON, "nobody_known"),
        ("not an address", REASON, "address_incomplete"),
        (ADDRESS, "", "reason_missing"),
        (ADDRESS, "because anna@fjell.no said so", "reason_missing"),
    ],
)
def test_a_refusal_writes_nothing(
    transaction: TransactionFactory, clock: FrozenClock, address: str, reason: str, code: str
) -> None:
    reader(transaction, clock)
    with pytest.raises(ServiceError) as refused, transaction() as tx:
        prove(tx, KEYS, NOBODY_ERASED, address, actor="ada", reason=reason)
    assert refused.value.code == code
    assert refused.value.kind is (Kind.NOT_FOUND if code == "nobody_known" else Kind.INVALID)
    assert ADDRESS.lower() not in refused.value.message.lower()
    with transaction() as tx:
        assert audit.list_entries(tx) == []


@pytest.mark.requirement("D-02", "D-15")
@pytest.mark.parametrize("named", [ADDRESS, "ANNA@FJELL.NO"])
def test_an_erased_person_who_names_the_address_gets_what_remains(
    transaction: TransactionFactory,
    clock: FrozenClock,
    seal: Callable[[], None],
    forget: Callable[[int], None],
    log: AppendOnlyFile,
    named: str,
) -> None:
    subscriber_id = reader(transaction, clock)
    forget(subscriber_id)
    seal()
    proof = proof_of(transaction, named, log)
    [subject] = proof["subjects"]
    assert (subject["subject"], subject["erased"], subject["address"]) == (subscriber_id, True, "not kept")
    assert subject["shredded"] == WHAT_WAS_SHREDDED
    assert subject["confirmation_mails"] == []
    assert all(event["personal"] is None and event["sealed"] is None for event in subject["events"])
    fields = subject["consents"][0]["fields"]
    assert fields["6"]["value"]["text"].startswith("Trainingsübersicht:")
    assert fields["11"]["value"].startswith("shredded")
    assert fields["10"]["value"]["ip"].startswith("shredded")
    assert all(nothing_empty(field) for field in fields.values())
    whole = json.dumps(proof | {"asked_for": ""}).lower()
    for gone in ("anna", "203.0.113", "firefox", "safari"):
        assert gone not in whole
    assert check_proof(proof).events == 6, "two asked for, two given, two withdrawn by erasing"


def test_the_fingerprint_is_found_under_every_version_of_its_key(
    transaction: TransactionFactory, clock: FrozenClock, forget: Callable[[int], None], log: AppendOnlyFile
) -> None:
    subscriber_id = reader(transaction, clock)
    forget(subscriber_id)
    later = type(KEYS)("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu", ["a second key for the fingerprints", "and a third"])
    assert later.address_version == 3
    with transaction() as tx:
        made = prove(tx, later, log, ADDRESS, actor="ada", reason=REASON)
    assert [subject["subject"] for subject in made.proof["subjects"]] == [subscriber_id]


def test_who_came_back_after_erasure_is_two_subjects_of_one_proof(
    transaction: TransactionFactory,
    clock: FrozenClock,
    seal: Callable[[], None],
    forget: Callable[[int], None],
    log: AppendOnlyFile,
) -> None:
    first = reader(transaction, clock)
    forget(first)
    clock.advance(days=3)
    second = reader(transaction, clock)
    seal()
    proof = proof_of(transaction, log=log)
    assert [(s["subject"], s["erased"]) for s in proof["subjects"]] == [(first, True), (second, False)]
    assert check_proof(proof).subjects == 2


def test_a_proof_shows_nobody_else(
    transaction: TransactionFactory, clock: FrozenClock, seal: Callable[[], None]
) -> None:
    reader(transaction, clock)
    other = reader(transaction, clock, "kari@fjell.no", Language.EN)
    seal()
    proof = proof_of(transaction)
    assert "kari" not in json.dumps(proof)
    assert other not in [subject["subject"] for subject in proof["subjects"]]
    assert check_proof(proof).events == 4


def test_what_is_not_sealed_yet_is_said(transaction: TransactionFactory, clock: FrozenClock) -> None:
    reader(transaction, clock)
    with pytest.raises(DoesNotHoldError, match=r"Event 1 of subject .* was not sealed when the proof was made"):
        check_proof(proof_of(transaction))
