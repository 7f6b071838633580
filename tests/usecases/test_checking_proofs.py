"""`check_proof` finds every change to an exported file, and names the part that was changed."""

import copy
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from service.domain.checkpoints import read_checkpoint
from service.domain.ledger import LedgerKeys, canonical, event_hash
from service.domain.proof_checks import DoesNotHoldError, check_proof, read_proof
from service.domain.proofs import describe_subject
from service.store.transaction import TransactionFactory
from tests.conftest import FrozenClock
from tests.usecases.builders import KEYS
from tests.usecases.test_proving import proof_of, reader, seal

__all__ = ["seal"]
pytestmark = pytest.mark.requirement("D-01", "D-02")
Proof = dict[str, Any]


@pytest.fixture
def proof(transaction: TransactionFactory, clock: FrozenClock, seal: Callable[[], None]) -> Proof:
    reader(transaction, clock, "kari@fjell.no")
    reader(transaction, clock)
    seal()
    return proof_of(transaction)


def events(proof: Proof) -> list[Any]:
    return proof["subjects"][0]["events"]


def first(named: dict[str, Any]) -> Any:
    return named[next(iter(named))]


def rename(named: dict[str, Any]) -> None:
    """The text is changed and listed under its new hash: it is then no longer what the events name."""
    sha = next(iter(named))
    exhibit = named.pop(sha)
    exhibit["body"] += " And more."
    named[sha256(exhibit["body"].encode()).hexdigest()] = exhibit


def rechain(proof: Proof) -> None:
    """A forger changes an event and recomputes every hash after it."""
    events(proof)[0]["record"]["purpose"] = "offers"
    before = None
    for event in events(proof):
        if before is not None:
            event["record"]["prev"] = before
        before = event["hash"] = event_hash(event["record"]).hex()
    for subject in proof["subjects"]:
        subject["consents"] = describe_subject(subject, proof["exhibits"])


def another_template(proof: Proof) -> None:
    sha = sha256(b"{}").hexdigest()
    proof["exhibits"]["mail_templates"][sha] = "{}"
    proof["subjects"][0]["confirmation_mails"][0]["template"] = sha


def put(target: Any, key: Any, value: Any) -> None:
    target[key] = value


def spoil(target: Any, key: Any) -> None:
    """Another value of the same kind."""
    value = target[key]
    target[key] = ("0" if value[0] != "0" else "1") + value[1:] if isinstance(value, str) else value + 1


CHANGES: dict[str, tuple[Callable[[Proof], Any], str]] = {
    "the time of an event": (
        lambda p: put(events(p)[2]["record"], "occurred", "2026-01-01T09:00:00.000000Z"),
        "Event 3 .* was changed",
    ),
    "the state of an event": (lambda p: put(events(p)[3]["record"], "state", "withdrawn"), "Event 4 .* was changed"),
    "the hash of an event": (lambda p: spoil(events(p)[1], "hash"), "Event 2 .* was changed"),
    "an event left out": (lambda p: events(p).pop(1), "Event 2 .* is number 3: an event is missing"),
    "the first event left out": (lambda p: events(p).pop(0), "Event 1 .* is number 2"),
    "two events in another order": (lambda p: events(p).insert(0, events(p).pop(1)), "Event 1 .* is number 2"),
    "the last event left out": (lambda p: events(p).pop(), "does not follow from its events"),
    "every hash recomputed": (rechain, "Event 1 .* is not among the events that checkpoint"),
    "an event of somebody else": (lambda p: put(p["subjects"][0], "subject", 999), "Event 1 .* is about somebody else"),
    "what an event says about the person": (
        lambda p: put(events(p)[3]["personal"], "ip", "198.51.100.1"),
        "What event 4 .* says about the person is not what was recorded",
    ),
    "the encrypted part": (lambda p: spoil(events(p)[0], "sealed"), "The personal part of event 1"),
    "the key of the encrypted part": (lambda p: spoil(events(p)[0], "key"), "not encrypted under this key"),
    "the words agreed to": (
        lambda p: put(first(p["exhibits"]["statements"]), "body", "I agree to everything."),
        "The statement .* is not the text that was published",
    ),
    "other words under their own hash": (lambda p: rename(p["exhibits"]["statements"]), "a statement that is not in"),
    "the notice": (
        lambda p: put(first(p["exhibits"]["notices"]), "body", "We share."),
        "The notice .* is not the text",
    ),
    "the form": (
        lambda p: put(first(p["exhibits"]["forms"])["definition"], "topics", False),
        "The form .* is not the text",
    ),
    "how the form looked": (
        lambda p: put(first(p["exhibits"]["forms"])["snapshots"], "de", "<form>"),
        r"The picture of the form .* \(de\)",
    ),
    "the circumstances": (
        lambda p: put(p["exhibits"]["contexts"], next(iter(p["exhibits"]["contexts"])), "{}"),
        "The context .* is not the text",
    ),
    "the mail's template": (
        lambda p: put(p["exhibits"]["mail_templates"], next(iter(p["exhibits"]["mail_templates"])), "{}"),
        "The mail template .* is not the text",
    ),
    "the confirmation mail": (
        lambda p: put(
            p["subjects"][0]["confirmation_mails"][0],
            "message",
            p["subjects"][0]["confirmation_mails"][0]["message"].replace("Fjellsko", "Fjelltop"),
        ),
        "The confirmation mail of delivery .* is not the one that was sent",
    ),
    "which template the mail was made from": (
        another_template,
        "The template of the confirmation mail of delivery .* is not the one",
    ),
    "the confirmation mail left out": (
        lambda p: p["subjects"][0]["confirmation_mails"].clear(),
        "The confirmation mail of delivery .*, which the events name, is missing",
    ),
    "when the reader left the address": (
        lambda p: put(p["subjects"][0], "left", "2026-03-04T09:07:40.000000Z"),
        "does not follow from its events",
    ),
    "the place in the tree": (
        lambda p: spoil(events(p)[2]["inclusion"], "position"),
        "Event 3 .* is not among the events that checkpoint",
    ),
    "a step of the path": (
        lambda p: spoil(events(p)[2]["inclusion"]["path"], 0),
        "Event 3 .* is not among the events that checkpoint",
    ),
    "the path left out": (lambda p: put(events(p)[1], "inclusion", None), "Event 2 .* was not sealed"),
    "the checkpoint": (
        lambda p: put(p["checkpoints"], "1", p["checkpoints"]["1"].replace('"size":', '"size":1')),
        "Checkpoint 1 was not signed with this key",
    ),
    "a field of the law": (
        lambda p: put(p["subjects"][0]["consents"][0]["fields"]["3"]["value"], "name", "Somebody Else AS"),
        "does not follow from its events",
    ),
    "the standard's record": (
        lambda p: put(p["subjects"][0]["consents"][0]["record"], "schema_version", "2"),
        "does not follow from its events",
    ),
    "when it was made": (
        lambda p: put(p, "made_at", "2020-01-01T00:00:00.000000Z"),
        "The proof as a whole was changed",
    ),
    "whose address was asked for": (lambda p: put(p, "asked_for", "eve@fjell.no"), "The proof as a whole was changed"),
    "the signature": (lambda p: spoil(p, "signature"), "The proof as a whole was changed"),
    "a part left out": (lambda p: p.pop("exhibits"), "missing or malformed"),
    "the list's name": (
        lambda p: put(first(p["exhibits"]["lists"]), "de", "Anderes"),
        "does not follow from its events",
    ),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_every_change_is_found_and_named(proof: Proof, changed: str) -> None:
    check_proof(proof)
    spoilt = copy.deepcopy(proof)
    change, said = CHANGES[changed]
    change(spoilt)
    assert spoilt != proof
    with pytest.raises(DoesNotHoldError, match=said):
        check_proof(spoilt)


def test_a_proof_forged_whole_with_a_key_of_ones_own_is_refused_by_the_publishers_key(proof: Proof) -> None:
    """Everything can be made again with another key; only the key tells, so it comes from somewhere else."""
    forger = LedgerKeys("a secret that is the forger's own, not ours")
    forged = copy.deepcopy(proof)
    rechain(forged)
    forged["public_key"] = forger.public_key.hex()
    unsigned = {name: value for name, value in forged.items() if name != "signature"}
    forged["signature"] = forger.sign(canonical(unsigned)).hex()
    with pytest.raises(DoesNotHoldError, match="made under another public key"):
        check_proof(forged, KEYS.ledger.public_key.hex())
    with pytest.raises(DoesNotHoldError, match="Checkpoint 1 was not signed"):
        check_proof(forged)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "another"}', "[" * 100_000, '"milepost-consent-proof/2"'])
def test_what_is_no_proof(text: str) -> None:
    with pytest.raises(DoesNotHoldError, match="The file is not"):
        read_proof(text)


def test_the_checkpoint_tells_no_other_reader(proof: Proof) -> None:
    checkpoint = read_checkpoint(proof["checkpoints"]["1"])
    assert checkpoint.size == 8
    assert "kari" not in json.dumps(proof)


@pytest.mark.parametrize("key", ["", " "])
def test_a_key_that_was_given_empty_is_no_key(proof: Proof, key: str) -> None:
    """As from a variable that is not set: what was to be compared was not."""
    with pytest.raises(DoesNotHoldError, match="another public key"):
        check_proof(proof, key)


def test_what_a_person_and_a_program_would_read_differently_is_refused(proof: Proof) -> None:
    text = json.dumps(proof).replace('"made_by":', '"made_by": "somebody else", "made_by":', 1)
    with pytest.raises(DoesNotHoldError, match="twice under one name"):
        read_proof(text)


def test_a_checkpoint_that_is_deeper_than_anything_is_refused(proof: Proof) -> None:
    proof["checkpoints"] = dict.fromkeys(proof["checkpoints"], "[" * 200_000)
    with pytest.raises(DoesNotHoldError, match="not signed"):
        check_proof(proof)
