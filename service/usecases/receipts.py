"""The reader's receipt: what was agreed to, with whom, how to end it; nothing that names the reader (D-10)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.domain.addresses import mask_address
from service.domain.consent_records import make_record
from service.domain.contexts import NOT_STATED
from service.domain.letters import Publisher
from service.domain.subscriptions import NotOurs
from service.domain.tokens import Keys, Token, TokenKind
from service.domain.words import ConsentState, Language, Purpose
from service.store import consent, lists, proofs, subscribers, wordings
from service.store.contexts import find_context
from service.store.proofs import Evidence
from service.store.schema import ConsentEvent, Subscriber
from service.store.transaction import Transaction

FORMAT = "milepost-consent-receipt/1"
KANTARA_VERSION = "KI-CR-v1.1.0"
NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class ReceiptPurpose:
    """One purpose of the list, asked or not. What was never asked was never agreed to (D-11)."""

    purpose: Purpose
    state: str
    """Of `ConsentState`, or NOT_ASKED."""
    since: datetime | None
    words: str | None
    language: Language | None
    """Of the words."""
    notice_id: int | None


@dataclass(frozen=True, slots=True)
class Receipt:
    reader_language: Language
    masked_address: str
    list_names: Mapping[str, str]
    record_id: str
    given_at: datetime
    purposes: tuple[ReceiptPurpose, ...]
    controller: Mapping[str, str]
    jurisdiction: str | None
    supervisory_authority: str | None
    document: dict[str, Any]
    """The same for programs: Kantara Consent Receipt 1.1 with an ISO/IEC TS 27560 record inside."""


def receipt_token(keys: Keys, event_id: int) -> str:
    """For a link to the receipt of the event that gave consent."""
    return keys.seal(Token(TokenKind.RECEIPT, event_id))


def get_receipt(tx: Transaction, keys: Keys, publisher: Publisher, token_text: str) -> Receipt | NotOurs:
    """The receipt that a link leads to, with each purpose as it stands now. Changes nothing.

    NotOurs also for a link whose reader was erased since, and for one from a test mail.
    """
    token = keys.open(TokenKind.RECEIPT, token_text)
    event = consent.find_event(tx, token.first) if token else None
    subscriber = subscribers.find_subscriber(tx, event.subscriber_id) if event else None
    if event is None or subscriber is None or not consent.gives(event.state):
        return NotOurs()
    evidence = proofs.read_evidence(tx, subscriber.id)
    of_list = [other for other in evidence.events if other.list_id == event.list_id]
    purposes = tuple(_purpose(tx, purpose, of_list) for purpose in Purpose)
    body = find_context(tx, event.context_id)
    context: dict[str, Any] = json.loads(body) if body else {}
    controller = context.get("controller") or {
        "name": publisher.name,
        "address": publisher.postal_address,
        "contact": publisher.contact,
    }
    names = lists.find_list(tx, event.list_id).names
    return Receipt(
        reader_language=subscriber.language,
        masked_address=mask_address(subscriber.address),
        list_names=names,
        record_id=str(event.record_id),
        given_at=event.occurred_at,
        purposes=purposes,
        controller=controller,
        jurisdiction=_stated(context, "jurisdiction"),
        supervisory_authority=_stated(context, "supervisory_authority"),
        document=_document(event, subscriber, purposes, context | {"controller": controller}, names, publisher)
        | {"record": _record(tx, event, evidence, context)},
    )


def _purpose(tx: Transaction, purpose: Purpose, events: Sequence[ConsentEvent]) -> ReceiptPurpose:
    own = [event for event in events if event.purpose is purpose]
    if not own:
        return ReceiptPurpose(purpose, NOT_ASKED, None, None, None, None)
    worded = next((event for event in reversed(own) if event.statement_id is not None), None)
    [statement] = wordings.list_statements(tx, [worded.statement_id]) if worded and worded.statement_id else [None]
    return ReceiptPurpose(
        purpose,
        own[-1].state.value,
        own[-1].occurred_at,
        statement.body if statement else None,
        statement.language if statement else None,
        worded.notice_id if worded else None,
    )


def _record(tx: Transaction, event: ConsentEvent, evidence: Evidence, context: Mapping[str, Any]) -> dict[str, Any]:
    own = [other for other in evidence.events if (other.list_id, other.purpose) == (event.list_id, event.purpose)]
    spelt = [{"record": proofs.spell_event(other, evidence)} for other in own]
    for one in spelt:
        if one["record"]["actor"] != "subscriber":
            one["record"]["actor"] = "controller"  # an operator's name is nobody's business here
    statement = None
    if event.statement_id is not None:
        [found] = wordings.list_statements(tx, [event.statement_id])
        statement = {"language": found.language.value}
    return make_record(spelt, proofs.spell_event(event, evidence), context, statement)


def _document(
    event: ConsentEvent,
    subscriber: Subscriber,
    purposes: Sequence[ReceiptPurpose],
    context: Mapping[str, Any],
    names: Mapping[str, str],
    publisher: Publisher,
) -> dict[str, Any]:
    """Kantara Initiative, Consent Receipt Specification 1.1, §4."""
    asked = [each for each in purposes if each.state != NOT_ASKED]
    language = next((each.language for each in asked if each.language), subscriber.language)
    return {
        "format": FORMAT,
        "version": KANTARA_VERSION,
        "jurisdiction": context.get("jurisdiction", NOT_STATED),
        "consentTimestamp": int(event.occurred_at.timestamp()),
        "collectionMethod": context.get("collection_method", "web form and confirmation mail"),
        "consentReceiptID": str(event.record_id),
        "language": language.value,
        "piiPrincipalId": mask_address(subscriber.address),
        "piiControllers": [
            {
                "piiController": context["controller"]["name"],
                "onBehalf": False,
                "contact": context["controller"]["contact"],
                "address": {"streetAddress": context["controller"]["address"]},
                "email": context["controller"]["contact"],
            }
        ],
        "policyUrl": f"{publisher.public_url}/privacy/{event.notice_id}"
        if event.notice_id
        else f"{publisher.public_url}/privacy",
        "services": [
            {
                "service": names[language.value],
                "purposes": [_kantara_purpose(each, context) for each in asked],
            }
        ],
        "sensitive": False,
        "spiCat": [],
        "notAsked": [each.purpose.value for each in purposes if each.state == NOT_ASKED],
    }


def _kantara_purpose(each: ReceiptPurpose, context: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "purpose": each.purpose.value,
        "statement": each.words or "",
        "purposeCategory": ["marketing" if each.purpose is Purpose.OFFERS else "contracted service"],
        "consentType": "EXPLICIT",
        "piiCategory": context.get("personal_data", ["e-mail address"]),
        "primaryPurpose": each.purpose is Purpose.DIGEST,
        "termination": context.get("withdrawal_method", "the unsubscribe link in every mail"),
        "thirdPartyDisclosure": False,
        "state": each.state,
        "inForce": each.state in (ConsentState.GIVEN, ConsentState.REAFFIRMED),
    }


def _stated(context: Mapping[str, Any], name: str) -> str | None:
    value = context.get(name, NOT_STATED)
    return None if value == NOT_STATED else str(value)
