"""Proof of consent: everything about one person's agreement in one document that stands by itself (D-02).

Nothing is shown that the ledger does not vouch for, and nothing that belongs to another address than the one that was
asked for: a mailbox may have been somebody else's before.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from service.domain.addresses import Address, parse_address
from service.domain.erasures import BrokenLogError, read_log
from service.domain.histories import find_first_untrue
from service.domain.ledger import canonical, decrypt, place_key, spell_time
from service.domain.proof_checks import DoesNotHoldError, check_exhibits, list_named_mails
from service.domain.proofs import FORMAT, describe_subject
from service.domain.tokens import Keys
from service.errors import Kind, ServiceError
from service.store import audit, consent, proofs, subscribers
from service.store.append_only import AppendOnlyFile
from service.store.proofs import Evidence
from service.store.schema import ConfirmationMail, ConsentEvent, Subscriber
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


@dataclass(frozen=True, slots=True)
class _Asked:
    """The address that was asked for, and its fingerprints under every version of their key."""

    address: Address
    fingerprints: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class _Subject:
    """One person who had the address, with what belongs to it."""

    id: int
    evidence: Evidence
    """Up to the end of this person's time at the address."""
    key: bytes | None
    """None: erased."""
    address: str
    left: str | None
    """When this person went on to another address; None while this is theirs."""
    personal: Mapping[int, Mapping[str, Any]]
    """Event id → what it says about the person; without those that name another address."""
    messages: Mapping[int, str]
    """Delivery id → a confirmation mail that the events vouch for."""


def prove(
    tx: Transaction, keys: Keys, erasure_log: AppendOnlyFile, address_text: str, *, actor: str, reason: str
) -> Made:
    """The proof for one address, signed. Leaves an audit entry.

    Also for an erased person who names the address. Raises ServiceError: NOT_FOUND when nothing was ever agreed to or
    asked under this address, INVALID for what is no address or no reason, and CONFLICT where the history was changed,
    or a key is gone or spoilt that nobody erased; then nothing was written.
    """
    address = parse_address(address_text, reserved=True)
    versions = range(1, keys.address_version + 1)
    asked = _Asked(address, frozenset(keys.address_hmac(address.dedupe_key, version) for version in versions))
    subject_ids = proofs.find_subjects(tx, address.dedupe_key, sorted(asked.fingerprints))
    if not subject_ids:
        raise ServiceError(
            Kind.NOT_FOUND,
            "nobody_known",
            "There is no record of this address, and no fingerprint that it matches; no proof was made. Check the "
            "spelling. A sign-up that was never confirmed leaves no fingerprint.",
            field="address",
        )
    subjects = [_read(tx, keys, erasure_log, subject_id, asked) for subject_id in subject_ids]
    inclusions = find_inclusion(tx, [event.id for one in subjects for event in one.evidence.events])
    exhibits = proofs.read_exhibits(tx, [one.evidence for one in subjects])
    try:
        check_exhibits(exhibits)
    except DoesNotHoldError as error:
        raise _refusal("exhibit_changed", f"What readers were shown was changed. {error}") from error
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


def _refusal(code: str, what: str) -> ServiceError:
    return ServiceError(
        Kind.CONFLICT, code, f"{what.rstrip('.')}; nothing was exported; run `milepost consent verify`."
    )


def _read(tx: Transaction, keys: Keys, erasure_log: AppendOnlyFile, subject_id: int, asked: _Asked) -> _Subject:
    try:
        evidence = proofs.read_evidence(tx, subject_id)
        events = [(proofs.spell_event(e, evidence), e.hash, e.mac) for e in evidence.events]
        changed = find_first_untrue(keys.ledger, events)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError):  # what no event could ever say
        changed = 0
    if changed is not None:
        raise _refusal("history_changed", "The history of this reader was changed")
    try:
        key = consent.find_subject_key(tx, keys.ledger, subject_id)
    except ValueError as error:
        raise _refusal("subject_key_spoilt", _SPOILT) from error
    if key is None:
        _require_erasure(keys, erasure_log, subject_id)
    subscriber = subscribers.find_subscriber(tx, subject_id)
    theirs = subscriber is not None and subscriber.dedupe_key == asked.address.dedupe_key
    own, left = (evidence.events, None) if theirs else _under(evidence.events, asked, subscriber)
    personal = _open(own, key, asked, everything=theirs) if key is not None else {}
    named = set(list_named_mails({"personal": said} for said in personal.values()))
    messages = _open_mails(evidence.mails, key, named) if key is not None else {}
    mails = [mail for mail in evidence.mails if mail.delivery_id in messages]
    shown = "not kept" if key is None else asked.address.address
    return _Subject(
        subject_id,
        replace(evidence, events=own, mails=mails),
        key,
        subscriber.address if subscriber is not None and theirs else shown,
        left,
        personal,
        messages,
    )


_SPOILT = (
    "The key to this reader's personal fields does not open what it should: it was changed, or is another reader's. "
    "Put it back from a backup"
)


def _require_erasure(keys: Keys, erasure_log: AppendOnlyFile, subject_id: int) -> None:
    """Without a key somebody was erased, or somebody else destroyed it; only the log outside the database tells."""
    try:
        erased = any(line.erased.subscriber_id == subject_id for line in read_log(keys.ledger, erasure_log.lines()))
    except BrokenLogError as error:
        raise _refusal(
            "erasure_log_broken", f"The erasure log was not written by us from line {error.number}"
        ) from error
    if not erased:
        raise _refusal(
            "subject_key_lost",
            "The key to this reader's personal fields is gone, and the erasure log knows of no erasure. A rule of "
            "retention ended the profile years after the consent, or somebody destroyed the key: a backup tells",
        )


def _under(
    events: Sequence[ConsentEvent], asked: _Asked, subscriber: Subscriber | None
) -> tuple[Sequence[ConsentEvent], str | None]:
    """The events until a reader left the address, and when that was. `subscriber` has another by now, or is erased."""
    last = max(place for place, event in enumerate(events) if event.address_hmac in asked.fingerprints)
    later = next((event for event in events[last + 1 :] if event.address_hmac is not None), None)
    if later is not None:
        return events[: last + 1], spell_time(later.recorded_at)
    if subscriber is not None:
        return events[: last + 1], spell_time(subscriber.address_changed_at or events[last].recorded_at)
    return events, None


def _open(events: Sequence[ConsentEvent], key: bytes, asked: _Asked, *, everything: bool) -> dict[int, dict[str, Any]]:
    """What the events say about the person; for an address that was left, only those that name no other."""
    try:
        said = {event.id: json.loads(decrypt(key, event.personal, event.record_id.bytes)) for event in events}
    except ValueError as error:
        raise _refusal("subject_key_spoilt", _SPOILT) from error
    return {number: each for number, each in said.items() if everything or _names_only(each, asked.address)}


def _names_only(personal: Mapping[str, Any], address: Address) -> bool:
    if "address_before" in personal:
        return False
    try:
        return parse_address(str(personal["address"]), reserved=True).dedupe_key == address.dedupe_key
    except (KeyError, ServiceError):
        return False


def _open_mails(mails: Sequence[ConfirmationMail], key: bytes, named: set[tuple[int, str]]) -> dict[int, str]:
    """Those that are what the events say. Whatever else stands in their place is nobody's evidence."""
    messages = {}
    for mail in mails:
        try:
            message = decrypt(key, mail.sealed, proofs.place_of(mail.delivery_id))
        except ValueError:
            continue
        if (mail.delivery_id, sha256(message).hexdigest()) in named:
            messages[mail.delivery_id] = message.decode("ascii")
    return messages


def _spell(
    tx: Transaction, subject: _Subject, exhibits: Mapping[str, Any], inclusions: Mapping[int, Inclusion]
) -> dict[str, Any]:
    events = [_event(event, subject, inclusions.get(event.id)) for event in subject.evidence.events]
    templates = proofs.find_template_shas(tx, subject.evidence.mails)
    spelt = {
        "subject": subject.id,
        "erased": subject.key is None,
        "shredded": WHAT_WAS_SHREDDED if subject.key is None else "nothing",
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


def _mail(mail: ConfirmationMail, subject: _Subject, templates: Mapping[int, str]) -> dict[str, Any]:
    message = subject.messages[mail.delivery_id]
    return {
        "delivery": mail.delivery_id,
        "sha256": sha256(message.encode()).hexdigest(),
        "template": templates.get(mail.template_id or 0),
        "kept_at": spell_time(mail.written_at),
        "message": message,
    }


def _event(event: ConsentEvent, subject: _Subject, inclusion: Inclusion | None) -> dict[str, Any]:
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
