"""Whether an exported proof holds, from the file alone: no database, no settings, no network.

The parts are checked from the bottom up, so that what is named first is what was changed, and not what follows from it.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from service.domain import checkpoints
from service.domain.ledger import BEGINNING, canonical, decrypt_place, event_hash, is_signed
from service.domain.merkle import leaf, root_of_path
from service.domain.proofs import FORMAT, describe_subject

Proof = Mapping[str, Any]


class DoesNotHoldError(Exception):
    """The first thing in a proof that does not hold, in words for people."""


@dataclass(frozen=True, slots=True)
class Holds:
    """What was found good."""

    subjects: int
    events: int
    checkpoints: int
    key: str
    """The public key it was checked with, hexadecimal."""
    key_was_given: bool
    """False: the key came from the file itself, and says only that nothing was changed since it was exported."""


def read_proof(text: str) -> Proof:
    """Raises DoesNotHoldError for what is no proof at all."""
    try:
        proof = json.loads(text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise DoesNotHoldError("The file is not JSON.") from None
    if not isinstance(proof, dict) or proof.get("format") != FORMAT:
        raise DoesNotHoldError(
            f"The file is not a proof of the format {FORMAT}. One of another format is checked with the version of "
            "Milepost that made it; or make the proof again."
        )
    return proof


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What stands twice under one name is read one way by a program and another by a person."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DoesNotHoldError("The file says something twice under one name.")
    return found


def check_proof(proof: Proof, public_key: str | None = None) -> Holds:
    """Raises DoesNotHoldError with the first thing that does not hold. `public_key` is hexadecimal."""
    try:
        return _check(proof, public_key)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DoesNotHoldError(f"A part of the file is missing or malformed ({error}).") from error


def _check(proof: Proof, public_key: str | None) -> Holds:
    wanted = (proof["public_key"] if public_key is None else public_key).strip().lower()
    _hold(wanted == proof["public_key"], "The proof was made under another public key than the one given.")
    key = bytes.fromhex(wanted)
    for number, text in proof["checkpoints"].items():
        _hold(checkpoints.is_by(key, text), f"Checkpoint {number} was not signed with this key.")
    check_exhibits(proof["exhibits"])
    events = 0
    for subject in proof["subjects"]:
        _Subject(proof, subject).check()
        events += len(subject["events"])
    unsigned = {name: value for name, value in proof.items() if name != "signature"}
    _hold(
        is_signed(key, canonical(unsigned), bytes.fromhex(proof["signature"])),
        "The proof as a whole was changed after it was signed.",
    )
    return Holds(len(proof["subjects"]), events, len(proof["checkpoints"]), wanted, public_key is not None)


def check_exhibits(exhibits: Mapping[str, Any]) -> None:
    """Each is what its hash says; the events name the hashes. Raises DoesNotHoldError for the first that is not."""
    for kind, text_of in _TEXTS.items():
        for sha, exhibit in exhibits[kind].items():
            _hold(_sha(text_of(exhibit)) == sha, f"The {_NAMES[kind]} {sha[:12]}… is not the text that was published.")
    for sha, form in exhibits["forms"].items():
        for language, look in form["snapshots"].items():
            bound = form["definition"].get("looks", {}).get(language)
            _hold(_sha(look) == bound, f"The picture of the form {sha[:12]}… ({language}) is not how it looked.")


def _form_text(form: Mapping[str, Any]) -> str:
    """As `service/store/wordings.py` hashes a version of a form."""
    return json.dumps([form["list"], form["definition"]], sort_keys=True)


def _body(exhibit: Mapping[str, Any]) -> str:
    return str(exhibit["body"])


_TEXTS: dict[str, Callable[[Any], str]] = {
    "statements": _body,
    "notices": _body,
    "forms": _form_text,
    "contexts": str,
    "mail_templates": str,
}
_NAMES = {
    "statements": "statement",
    "notices": "notice",
    "forms": "form",
    "contexts": "context",
    "mail_templates": "mail template",
}


class _Subject:
    def __init__(self, proof: Proof, subject: Mapping[str, Any]) -> None:
        self.proof, self.subject = proof, subject
        self.events = subject["events"]

    def check(self) -> None:
        before = BEGINNING.hex()
        _hold(bool(self.events), f"Subject {self.subject['subject']} has no events.")
        for number, event in enumerate(self.events, 1):
            self._check_event(number, event, before)
            before = event["hash"]
        self._check_mails()
        for number, event in enumerate(self.events, 1):
            self._check_inclusion(number, event)
        _hold(
            describe_subject(self.subject, self.proof["exhibits"]) == self.subject["consents"],
            f"What the proof says about the consents of subject {self.subject['subject']} does not follow from its "
            "events.",
        )

    def _check_event(self, number: int, event: Mapping[str, Any], before: str) -> None:
        record, name = event["record"], self._name(number)
        _hold(event_hash(record).hex() == event["hash"], f"{name} was changed: its record does not have its hash.")
        _hold(record["subject"] == self.subject["subject"], f"{name} is about somebody else.")
        _hold(record["seq"] == number, f"{name} is number {record['seq']}: an event is missing or out of order.")
        _hold(record["prev"] == before, f"{name} does not follow from the event before it.")
        for kind in ("statement", "notice", "form", "context"):
            _hold(
                record[kind] is None or record[kind] in self.proof["exhibits"][f"{kind}s"],
                f"{name} names a {kind} that is not in the file.",
            )
        self._check_personal(name, event)

    def _check_personal(self, name: str, event: Mapping[str, Any]) -> None:
        record = event["record"]
        if self.subject["erased"]:
            _hold(event["personal"] is None, f"{name} holds personal data although it was shredded.")
            return
        if event["withheld"]:
            _hold(event["personal"] is None, f"{name} holds personal data although it was withheld.")
            return
        sealed = base64.b64decode(event["sealed"], validate=True)
        _hold(
            sha256(sealed).hexdigest() == record["personal"],
            f"The personal part of {name[0].lower()}{name[1:]} is not the one that was hashed.",
        )
        plain = decrypt_place(bytes.fromhex(event["key"]), sealed, UUID(record["record"]).bytes)
        _hold(
            json.loads(plain) == event["personal"],
            f"What {name[0].lower()}{name[1:]} says about the person is not what was recorded.",
        )

    def _check_mails(self) -> None:
        """Those that the events name, and no other."""
        kept = {mail["delivery"]: mail for mail in self.subject["confirmation_mails"]}
        missing = {(mail["delivery"], mail["sha256"]) for mail in self.subject["missing_mails"]}
        named = set(list_named_mails(self.events))
        for delivery, mail in kept.items():
            name = f"The confirmation mail of delivery {delivery}"
            _hold(_sha(mail["message"]) == mail["sha256"], f"{name} is not the one that was sent.")
            _hold((delivery, mail["sha256"]) in named, f"{name} is not the one that the events name.")
            _hold(mail["template"] in self.proof["exhibits"]["mail_templates"], f"{name} names a template not there.")
            _hold(
                self._template_of(delivery) in (None, mail["template"]),
                f"The template of the confirmation mail of delivery {delivery} is not the one that the events name.",
            )
        for delivery, sha in sorted(named):
            _hold(
                (delivery in kept and kept[delivery]["sha256"] == sha) or (delivery, sha) in missing,
                f"The confirmation mail of delivery {delivery}, which the events name, is missing.",
            )

    def _template_of(self, delivery: int) -> str | None:
        """By its hash; None where no event says it."""
        said = ((event["personal"] or {}).get("confirmation_mail") or {} for event in self.events)
        return next((mail.get("template_sha256") for mail in said if mail.get("delivery") == delivery), None)

    def _check_inclusion(self, number: int, event: Mapping[str, Any]) -> None:
        name, place = self._name(number), event["inclusion"]
        _hold(
            place is not None,
            f"{name} was not sealed when the proof was made; make the proof again after the next checkpoint.",
        )
        checkpoint = checkpoints.read_checkpoint(self.proof["checkpoints"][str(place["checkpoint"])])
        path = [bytes.fromhex(step) for step in place["path"]]
        root = root_of_path(leaf(bytes.fromhex(event["hash"])), place["position"], checkpoint.size, path)
        _hold(
            checkpoint.number == place["checkpoint"] and root == checkpoint.root,
            f"{name} is not among the events that checkpoint {place['checkpoint']} is about.",
        )

    def _name(self, number: int) -> str:
        return f"Event {number} of subject {self.subject['subject']}"


def list_named_mails(events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """(delivery, SHA-256) of each mail of which the events say that a copy was kept."""
    for event in events:
        mail = (event["personal"] or {}).get("confirmation_mail") or {}
        if mail.get("sha256"):
            yield mail["delivery"], mail["sha256"]


def list_unsealed(proof: Proof) -> Iterator[int]:
    """Numbers of the events that no checkpoint covers yet, over all subjects."""
    for subject in proof["subjects"]:
        for number, event in enumerate(subject["events"], 1):
            if event["inclusion"] is None:
                yield number


def _sha(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _hold(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - read as "hold that … else …"
    if not holds:
        raise DoesNotHoldError(otherwise)
