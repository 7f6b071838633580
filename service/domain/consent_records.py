"""A consent record in the structure of ISO/IEC TS 27560: header, processing, parties, events. Data, not prose."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from service.domain.words import ConsentState

SCHEMA = "ISO/IEC TS 27560:2023"
_EXPLICIT = ("explicit", "until withdrawn")
_EVENTS = {
    ConsentState.REQUESTED: ("request", "none: a request, which nobody had confirmed yet"),
    ConsentState.GIVEN: _EXPLICIT,
    ConsentState.REAFFIRMED: _EXPLICIT,
    ConsentState.WITHDRAWN: ("withdrawal", "none: it ended the consent"),
    ConsentState.EXPIRED: ("expiry", "none: nobody confirmed the request in time"),
    ConsentState.INVALIDATED: ("invalidation", "none: the consent was found never to have been good"),
}
"""State → (event type, validity). Explicit: consent by an act of the person's own, as the standard calls it."""


def make_record(
    events: Sequence[Mapping[str, Any]],
    decisive: Mapping[str, Any],
    context: Mapping[str, Any],
    statement: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The record of one consent; `events` are those of its list and purpose, `decisive` the record that gave it."""
    return {
        "schema_version": SCHEMA,
        "record_id": decisive["record"],
        "pii_principal_id": f"subject {decisive['subject']}",
        "pii_processing": {
            "privacy_notice": decisive["notice"] or "none",
            "language": statement["language"] if statement else "unknown",
            "purposes": [_purpose(decisive, context)],
        },
        "party_identification": _parties(context),
        "events": [_event(event["record"]) for event in events],
    }


def _purpose(decisive: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    recipients = context.get("recipients", ())
    return {
        "purpose": decisive["purpose"],
        "statement": decisive["statement"] or "none",
        "lawful_basis": decisive["basis"],
        "pii_information": list(context.get("personal_data", ())) or ["e-mail address"],
        "pii_controllers": ["controller"],
        "collection_method": context.get("collection_method", "unknown"),
        "processing_method": context.get("processing_method", "unknown"),
        "storage_locations": [context.get("storage_location", "unknown")],
        "retention_period": context.get("retention", {}).get("rule", "unknown"),
        "jurisdiction": context.get("jurisdiction", "unknown"),
        "recipient_third_parties": [f"processor {number}" for number in range(1, len(recipients) + 1)] or ["none"],
        "withdrawal_method": context.get("withdrawal_method", "unknown"),
        "privacy_rights": list(context.get("rights", ())) or ["GDPR Art. 12 to 22"],
        "authority": context.get("supervisory_authority", "unknown"),
    }


def _parties(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    controller = context.get("controller", {})
    parties = [
        {
            "party_id": "controller",
            "party_name": controller.get("name", "unknown"),
            "party_address": controller.get("address", "unknown"),
            "party_contact": controller.get("contact", "unknown"),
            "party_type": "organisation",
            "party_role": "controller",
        }
    ]
    for number, recipient in enumerate(context.get("recipients", ()), 1):
        parties.append(
            {
                "party_id": f"processor {number}",
                "party_name": recipient["name"],
                "party_address": recipient["country"],
                "party_contact": recipient["contact"],
                "party_type": "organisation",
                "party_role": "processor",
            }
        )
    return parties


def _event(record: Mapping[str, Any]) -> dict[str, Any]:
    event_type, validity = _EVENTS[ConsentState(record["state"])]
    return {
        "event_time": record["occurred"],
        "validity_duration": validity,
        "entity_id": record["actor"],
        "event_type": event_type,
        "event_state": record["state"],
        "channel": record["channel"],
    }


def months_after(at: str, months: int) -> str:
    """The day so many months after a time as events spell it: 2028-03-02. The last day where the month is shorter."""
    begun = datetime.fromisoformat(at)
    year, month = divmod(begun.year * 12 + begun.month - 1 + months, 12)
    for day in range(begun.day, 27, -1):
        try:
            return begun.replace(year=year, month=month + 1, day=day).date().isoformat()
        except ValueError:
            continue
    return begun.replace(year=year, month=month + 1).date().isoformat()
