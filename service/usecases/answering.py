"""An operator answers somebody who asks what is held about them (GDPR 15; D-13): found by address, noted, done."""

from dataclasses import dataclass

from service.domain.addresses import parse_address
from service.domain.words import PrivacyRequestKind
from service.errors import Kind, ServiceError
from service.store import audit, privacy_requests, subscribers
from service.store.transaction import Transaction

ACT = "access_export"


@dataclass(frozen=True, slots=True)
class Answer:
    number: int
    """Of the audit entry; names the files."""
    subscriber_id: int


def answer_access(tx: Transaction, address_text: str, *, actor: str, reason: str) -> Answer:
    """Who the person with this address is, to be told everything in the same transaction.

    Leaves an audit entry and an answered request; what the person asked for earlier is answered by it too. Raises
    ServiceError: NOT_FOUND for an address that nobody has, INVALID for what is no address or no reason; then nothing
    was noted.
    """
    address = parse_address(address_text, reserved=True)
    subscriber = subscribers.find_by_dedupe_key(tx, address.dedupe_key)
    if subscriber is None:
        raise ServiceError(
            Kind.NOT_FOUND,
            "nobody_known",
            "Nothing is held under this address; nothing was exported. Check the spelling. What is left of an erased "
            "person is shown by `milepost consent prove`.",
            field="address",
        )
    number = audit.note(tx, actor=actor, act=ACT, reason=reason, subscriber_id=subscriber.id)
    privacy_requests.add_request(tx, PrivacyRequestKind.ACCESS, subscriber.id, asked_by=actor)
    privacy_requests.mark_done(tx, subscriber.id, PrivacyRequestKind.ACCESS)
    return Answer(number, subscriber.id)
