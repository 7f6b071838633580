"""What stands beside one reader's chain: the subscriptions that follow from it, the address, the confirmation mails.

None of it is in the chain itself. What the events say of it, in the clear or under the reader's key, decides.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from service.domain.confirming import place_of
from service.domain.event_records import Row
from service.domain.faults import Fault, FaultKind, Findings
from service.domain.ledger import decrypt
from service.domain.words import Channel, ConsentState, SubscriptionState


class Followed(NamedTuple):
    """A subscription as it is stored."""

    subject: int
    list_id: int
    purpose: str
    state: str
    event_id: int
    was_given: bool
    given_at: datetime | None
    """None also for what is no time in Python."""


class Follows(NamedTuple):
    """A subscription as the events make it."""

    state: SubscriptionState
    event_id: int
    given_at: datetime | None


class KeptMail(NamedTuple):
    """A confirmation mail as it is stored."""

    subject: int
    delivery: int
    sealed: bytes
    sha256: bytes
    template_sha256: bytes | None


_PRESSES = (
    (ConsentState.GIVEN, Channel.CONFIRMATION),
    (ConsentState.REAFFIRMED, Channel.ADDRESS_CHANGE),
)


def names_a_mail(row: Row) -> bool:
    """Whether this event is a press of the button in a confirmation mail, which names that mail."""
    return row["delivery_id"] is not None and (row["state"], row["channel"]) in _PRESSES


def difference(row: Followed, follows: Follows | None) -> str | None:
    """How a subscription differs from what the events say; None if it does not."""
    if follows is None or (row.state, row.event_id) != (follows.state, follows.event_id):
        state = follows.state if follows else None
        return f"it is {row.state} and follows from event {row.event_id}; the events make it {state}"
    if row.was_given != (follows.given_at is not None) or row.given_at != follows.given_at:
        return f"it was given at {row.given_at}, by the events at {follows.given_at}"
    return None


def check_address(key: bytes, newest: Row, address: str | None, findings: Findings) -> None:
    """Who gets mail gets it where the newest event says. `address`: None if there is no such reader any more."""
    said = _personal(key, newest)
    if said is not None and said.get("address") != address:
        detail = "there is no such reader" if address is None else None
        findings.add(Fault(FaultKind.READER_DIFFERS, subject=newest["subscriber_id"], detail=detail))


def check_mails(key: bytes, presses: Sequence[Row], mails: Iterable[KeptMail], findings: Findings) -> None:
    """The kept mails against what the presses of their buttons say about them.

    A mail whose button nobody pressed is bound by its encryption to reader and delivery, and by nothing else: it may
    be deleted.
    """
    kept = {mail.delivery: mail for mail in mails}
    for delivery, mail in kept.items():
        if not _opens(key, mail):
            detail = f"the mail of delivery {delivery}"
            findings.add(Fault(FaultKind.CONFIRMATION_CHANGED, subject=mail.subject, detail=detail))
    for row in presses:
        said = (_personal(key, row) or {}).get("confirmation_mail") or {}
        if not isinstance(said, Mapping) or said.get("sha256") is None:
            continue  # the button was pressed before the relay's answer was recorded, and with it the mail
        there, of_delivery = kept.get(row["delivery_id"]), f"of delivery {row['delivery_id']}"
        if there is None:
            findings.add(_fault(FaultKind.CONFIRMATION_MISSING, row, f"the mail {of_delivery}"))
        elif _hex(there.sha256) != said["sha256"]:
            findings.add(_fault(FaultKind.CONFIRMATION_CHANGED, row, f"the mail {of_delivery}"))
        elif "template_sha256" in said and _hex(there.template_sha256) != said["template_sha256"]:
            findings.add(_fault(FaultKind.CONFIRMATION_CHANGED, row, f"the template of the mail {of_delivery}"))


def _opens(key: bytes, mail: KeptMail) -> bool:
    try:
        return sha256(decrypt(key, mail.sealed, place_of(mail.delivery))).digest() == mail.sha256
    except (ValueError, TypeError):
        return False


def _personal(key: bytes, row: Row) -> dict[str, Any] | None:
    """What an event says about the person; None for an event that is at fault already."""
    try:
        said = json.loads(decrypt(key, row["personal"], UUID(row["record_id"]).bytes))
    except (ValueError, TypeError, AttributeError):
        return None
    return said if isinstance(said, dict) else None


def _hex(digest: bytes | None) -> str | None:
    return digest.hex() if digest is not None else None


def _fault(kind: FaultKind, row: Row, detail: str) -> Fault:
    return Fault(kind, row["subscriber_id"], row["seq"], row["id"], UUID(row["record_id"]), detail=detail)
