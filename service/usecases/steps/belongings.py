"""One person of a proof: what the ledger vouches for, and of that what belongs to the address that was asked for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from service.domain.addresses import Address, parse_address
from service.domain.erasures import BrokenLogError, read_log
from service.domain.histories import find_first_untrue
from service.domain.ledger import decrypt, spell_time
from service.domain.proof_checks import list_named_mails
from service.domain.retention import PROFILE_ENDED
from service.domain.tokens import Keys
from service.errors import Kind, ServiceError
from service.store import consent, proofs, subscribers
from service.store.append_only import AppendOnlyFile
from service.store.proofs import Evidence
from service.store.schema import ConfirmationMail, ConsentEvent, Subscriber
from service.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Asked:
    """The address that was asked for, and its fingerprints under every version of their key."""

    address: Address
    fingerprints: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Subject:
    """One person who had the address, with what belongs to it."""

    id: int
    evidence: Evidence
    """Up to the end of this person's time at the address."""
    key: bytes | None
    """None: destroyed, by an erasure or by a rule."""
    ended_by_rule: bool
    """A rule of retention ended the profile, and said so in the chain."""
    address: str
    left: str | None
    """When this person went on to another address; None while this is theirs."""
    personal: Mapping[int, Mapping[str, Any]]
    """Event id → what it says about the person; without those that name another address."""
    messages: Mapping[int, str]
    """Delivery id → a confirmation mail that the events vouch for."""


def refusal(code: str, what: str) -> ServiceError:
    return ServiceError(
        Kind.CONFLICT, code, f"{what.rstrip('.')}; nothing was exported; run `milepost consent verify`."
    )


def read_subject(tx: Transaction, keys: Keys, erasure_log: AppendOnlyFile, subject_id: int, asked: Asked) -> Subject:
    """Raises ServiceError (CONFLICT) where the ledger does not vouch for what would be shown."""
    try:
        evidence = proofs.read_evidence(tx, subject_id)
        events = [(proofs.spell_event(e, evidence), e.hash, e.mac) for e in evidence.events]
        changed = find_first_untrue(keys.ledger, events)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError):  # what no event could ever say
        changed = 0
    if changed is not None:
        raise refusal("history_changed", "The history of this reader was changed")
    try:
        key = consent.find_subject_key(tx, keys.ledger, subject_id)
    except ValueError as error:
        raise refusal("subject_key_spoilt", _SPOILT) from error
    ended_by_rule = evidence.events[-1].actor == PROFILE_ENDED
    if key is None and not ended_by_rule:
        _require_erasure(keys, erasure_log, subject_id)
    subscriber = subscribers.find_subscriber(tx, subject_id)
    theirs = subscriber is not None and subscriber.dedupe_key == asked.address.dedupe_key
    own, left = (evidence.events, None) if theirs else _under(evidence.events, asked, subscriber)
    personal = _open(own, key, asked, everything=theirs) if key is not None else {}
    named = set(list_named_mails({"personal": said} for said in personal.values()))
    messages = _open_mails(evidence.mails, key, named) if key is not None else {}
    mails = [mail for mail in evidence.mails if mail.delivery_id in messages]
    shown = "not kept" if key is None else asked.address.address
    return Subject(
        subject_id,
        replace(evidence, events=own, mails=mails),
        key,
        ended_by_rule,
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
        raise refusal(
            "erasure_log_broken", f"The erasure log was not written by us from line {error.number}"
        ) from error
    if not erased:
        raise refusal(
            "subject_key_lost",
            "The key to this reader's personal fields is gone, and neither the erasure log nor the chain says why: "
            "somebody destroyed it. A backup holds it",
        )


def _under(
    events: Sequence[ConsentEvent], asked: Asked, subscriber: Subscriber | None
) -> tuple[Sequence[ConsentEvent], str | None]:
    """The events until a reader left the address, and when that was. `subscriber` has another by now, or is erased."""
    last = max(place for place, event in enumerate(events) if event.address_hmac in asked.fingerprints)
    later = next((event for event in events[last + 1 :] if event.address_hmac is not None), None)
    if later is not None:
        return events[: last + 1], spell_time(later.recorded_at)
    if subscriber is not None:
        return events[: last + 1], spell_time(subscriber.address_changed_at or events[last].recorded_at)
    return events, None


def _open(events: Sequence[ConsentEvent], key: bytes, asked: Asked, *, everything: bool) -> dict[int, dict[str, Any]]:
    """What the events say about the person; for an address that was left, only those that name no other."""
    try:
        said = {event.id: json.loads(decrypt(key, event.personal, event.record_id.bytes)) for event in events}
    except ValueError as error:
        raise refusal("subject_key_spoilt", _SPOILT) from error
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
