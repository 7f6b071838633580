"""Proof of consent: everything about one person's agreement in one document that stands by itself (D-02).

Nothing is shown that the ledger does not vouch for, and nothing that belongs to another address than the one that was
asked for: a mailbox may have been somebody else's before.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from service.domain.addresses import parse_address
from service.domain.ledger import canonical, place_key, spell_time
from service.domain.proof_checks import DoesNotHoldError, check_exhibits, list_named_mails
from service.domain.proofs import FORMAT, describe_subject
from service.domain.tokens import Keys
from service.errors import Kind, ServiceError
from service.store import audit, proofs
from service.store.append_only import AppendOnlyFile
from service.store.schema import ConfirmationMail, ConsentEvent
from service.store.seals import Inclusion, find_inclusion
from service.store.transaction import Transaction
from service.usecases.steps.belongings import Asked, Subject, read_subject, refusal

ACT = "consent_proof"
WHAT_WAS_SHREDDED = (
    "This person had their data erased. The address, the network addresses, the browsers, the confirmation mail and "
    "the relay's answer were encrypted with a key of this person's own, and that key was destroyed: nobody can read "
    "them any more, this installation included. What remains is the order and time of the events, the words, the "
    "notice and the form, and a fingerprint of the address, by which they were found."
)

WHAT_TIME_ENDED = WHAT_WAS_SHREDDED.replace(
    "This person had their data erased.",
    "The time for which the proof of this consent is kept was over, and a rule of retention ended this profile.",
)


@dataclass(frozen=True, slots=True)
class Made:
    """A proof, and the audit entry that it left."""

    number: int
    """Of the audit entry; names the file."""
    proof: dict[str, Any]


def prove(
    tx: Transaction,
    keys: Keys,
    erasure_log: AppendOnlyFile,
    address_text: str,
    *,
    actor: str,
    reason: str,
    only: int | None = None,
) -> Made:
    """The proof for one address, signed. Leaves an audit entry.

    Also for an erased person who names the address. `only`: this subject, where several persons had the mailbox.
    Raises ServiceError: NOT_FOUND when nothing was ever agreed to or asked under this address, INVALID for what is no
    address or no reason, and CONFLICT where the history was changed, or a key is gone or spoilt that nobody erased;
    then nothing was written.
    """
    address = parse_address(address_text, reserved=True)
    versions = range(1, keys.address_version + 1)
    asked = Asked(address, frozenset(keys.address_hmac(address.dedupe_key, version) for version in versions))
    subject_ids = proofs.find_subjects(tx, address.dedupe_key, sorted(asked.fingerprints))
    if only is not None:
        subject_ids = [subject_id for subject_id in subject_ids if subject_id == only]
    if not subject_ids:
        raise ServiceError(
            Kind.NOT_FOUND,
            "nobody_known",
            "There is no record of this address, and no fingerprint that it matches; no proof was made. Check the "
            "spelling. A sign-up that was never confirmed leaves no fingerprint.",
            field="address",
        )
    subjects = [read_subject(tx, keys, erasure_log, subject_id, asked) for subject_id in subject_ids]
    inclusions = find_inclusion(tx, [event.id for one in subjects for event in one.evidence.events])
    exhibits = proofs.read_exhibits(tx, [one.evidence for one in subjects])
    try:
        check_exhibits(exhibits)
    except DoesNotHoldError as error:
        raise refusal("exhibit_changed", f"What readers were shown was changed. {error}") from error
    number = audit.note(tx, actor=actor, act=ACT, reason=reason, subjects=subject_ids)
    proof = {
        "format": FORMAT,
        "made_at": spell_time(tx.now),
        "made_by": actor,
        "audit_entry": number,
        "asked_for": address.address,
        "public_key": keys.ledger.public_key.hex(),
        "subjects": [_spell(tx, one, exhibits, inclusions) for one in subjects],
        "exhibits": exhibits,
        "checkpoints": _checkpoints(inclusions),
    }
    return Made(number, proof | {"signature": keys.ledger.sign(canonical(proof)).hex()})


def _spell(
    tx: Transaction, subject: Subject, exhibits: Mapping[str, Any], inclusions: Mapping[int, Inclusion]
) -> dict[str, Any]:
    events = [_event(event, subject, inclusions.get(event.id)) for event in subject.evidence.events]
    templates = proofs.find_template_shas(tx, subject.evidence.mails)
    spelt = {
        "subject": subject.id,
        "erased": subject.key is None,
        "shredded": _what_was_shredded(subject),
        "address": subject.address,
        "left": subject.left,
        "events": events,
        "confirmation_mails": [_mail(mail, subject, templates) for mail in subject.evidence.mails],
        "missing_mails": [
            {"delivery": delivery, "sha256": sha}
            for delivery, sha in sorted(set(list_named_mails(events)))
            if delivery not in subject.messages
        ],
    }
    return spelt | {"consents": describe_subject(spelt, exhibits)}


def _what_was_shredded(subject: Subject) -> str:
    if subject.key is not None:
        return "nothing"
    return WHAT_TIME_ENDED if subject.ended_by_rule else WHAT_WAS_SHREDDED


def _mail(mail: ConfirmationMail, subject: Subject, templates: Mapping[int, str]) -> dict[str, Any]:
    message = subject.messages[mail.delivery_id]
    return {
        "delivery": mail.delivery_id,
        "sha256": sha256(message.encode()).hexdigest(),
        "template": templates.get(mail.template_id or 0),
        "kept_at": spell_time(mail.written_at),
        "message": message,
    }


def _event(event: ConsentEvent, subject: Subject, inclusion: Inclusion | None) -> dict[str, Any]:
    """The event as it was hashed, and, unless shredded or withheld, what opens its personal part and nothing else."""
    place = event.record_id.bytes
    personal = subject.personal.get(event.id)
    key = subject.key if personal is not None else None
    return {
        "record": proofs.spell_event(event, subject.evidence),
        "hash": event.hash.hex(),
        "withheld": subject.key is not None and personal is None,
        "personal": personal,
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
