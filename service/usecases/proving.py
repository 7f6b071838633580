"""Proof of consent: everything about one person's agreement in one document that stands by itself (D-02)."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.domain.addresses import parse_address
from service.domain.ledger import canonical, decrypt, place_key, spell_time
from service.domain.proofs import FORMAT, describe_subject
from service.domain.tokens import Keys
from service.errors import Kind, ServiceError
from service.store import audit, consent, proofs, subscribers
from service.store.proofs import Evidence
from service.store.schema import ConfirmationMail, ConsentEvent
from service.store.seals import Inclusion, find_inclusion
from service.store.transaction import Transaction

ACT = "consent_proof"
WHAT_WAS_SHREDDED = (
    "This person had their data erased. The address, the network addresses, the browsers, the confirmation mail and "
    "the relay's answer were encrypted with a key of this person's own, and that key was destroyed: nobody can read "
    "them any more, this installation included. What remains is the order and time of the events, the words, the "
    "notice and the form, and a fingerprint of the address, by which they were found."
)


@dataclass(frozen=True, slots=True)
class Made:
    """A proof, and the audit entry that it left."""

    number: int
    """Of the audit entry; names the file."""
    proof: dict[str, Any]


def prove(tx: Transaction, keys: Keys, address_text: str, *, actor: str, reason: str) -> Made:
    """The proof for one address, signed. Leaves an audit entry.

    Also for an erased person who names the address. Raises ServiceError: NOT_FOUND when nothing was ever agreed to or
    asked under this address, and INVALID for what is no address or no reason; then nothing was written.
    """
    address = parse_address(address_text, reserved=True)
    fingerprints = [keys.address_hmac(address.dedupe_key, version) for version in range(1, keys.address_version + 1)]
    subject_ids = proofs.find_subjects(tx, address.dedupe_key, fingerprints)
    if not subject_ids:
        raise ServiceError(
            Kind.NOT_FOUND,
            "nobody_known",
            "There is no record of this address, and no fingerprint that it matches; no proof was made. Check the "
            "spelling. A sign-up that was never confirmed leaves no fingerprint.",
            field="address",
        )
    number = audit.note(tx, actor=actor, act=ACT, reason=reason, subjects=subject_ids)
    evidence = {subject_id: proofs.read_evidence(tx, subject_id) for subject_id in subject_ids}
    inclusions = find_inclusion(tx, [event.id for one in evidence.values() for event in one.events])
    exhibits = proofs.read_exhibits(tx, evidence.values())
    proof = {
        "format": FORMAT,
        "made_at": spell_time(tx.now),
        "made_by": actor,
        "audit_entry": number,
        "asked_for": address.address,
        "public_key": keys.ledger.public_key.hex(),
        "subjects": [_subject(tx, keys, one, found, exhibits, inclusions) for one, found in evidence.items()],
        "exhibits": exhibits,
        "checkpoints": _checkpoints(inclusions),
    }
    return Made(number, proof | {"signature": keys.ledger.sign(canonical(proof)).hex()})


def _subject(
    tx: Transaction,
    keys: Keys,
    subject_id: int,
    evidence: Evidence,
    exhibits: Mapping[str, Any],
    inclusions: Mapping[int, Inclusion],
) -> dict[str, Any]:
    key = consent.find_subject_key(tx, keys.ledger, subject_id)
    subscriber = subscribers.find_subscriber(tx, subject_id)
    events = [_event(event, evidence, key, inclusions.get(event.id)) for event in evidence.events]
    templates = proofs.find_template_shas(tx, evidence.mails)
    return {
        "subject": subject_id,
        "erased": key is None,
        "shredded": WHAT_WAS_SHREDDED if key is None else "nothing",
        "address": subscriber.address if subscriber else "not kept",
        "consents": describe_subject(events, exhibits, erased=key is None),
        "events": events,
        "confirmation_mails": [_mail(mail, key, templates) for mail in evidence.mails] if key is not None else [],
    }


def _mail(mail: ConfirmationMail, key: bytes, templates: Mapping[int, str]) -> dict[str, Any]:
    return {
        "delivery": mail.delivery_id,
        "sha256": mail.sha256.hex(),
        "template": templates.get(mail.template_id or 0),
        "kept_at": spell_time(mail.written_at),
        "message": decrypt(key, mail.sealed, proofs.place_of(mail.delivery_id)).decode("ascii"),
    }


def _event(event: ConsentEvent, evidence: Evidence, key: bytes | None, inclusion: Inclusion | None) -> dict[str, Any]:
    """The event as it was hashed, and, unless it was shredded, what opens its personal part and nothing else."""
    place = event.record_id.bytes
    return {
        "record": proofs.spell_event(event, evidence),
        "hash": event.hash.hex(),
        "personal": json.loads(decrypt(key, event.personal, place)) if key is not None else None,
        "sealed": base64.b64encode(event.personal).decode() if key is not None else None,
        "key": place_key(key, place).hex() if key is not None else None,
        "inclusion": {
            "position": inclusion.position,
            "checkpoint": _number(inclusion),
            "path": [step.hex() for step in inclusion.path],
        }
        if inclusion
        else None,
    }


def _checkpoints(inclusions: Mapping[int, Inclusion]) -> dict[str, str]:
    return {str(_number(inclusion)): inclusion.line for inclusion in inclusions.values()}


def _number(inclusion: Inclusion) -> int:
    return int(json.loads(inclusion.line)["number"])
