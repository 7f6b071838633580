"""What closes the loop of a double opt-in, as evidence: the mail, the relay's answer, the button (D1 #11, #12)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from service.domain.evidence import Evidence
from service.domain.ledger import spell_time
from service.domain.words import MailKind

NOBODY_READS_SO_FAST = timedelta(seconds=5)
"""E-08: a button pressed sooner after the relay took the mail was hardly pressed by its reader."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A confirmation as it may be kept: what went to the relay, without its token."""

    kind: MailKind
    delivery_id: int
    subscriber_id: int
    data: bytes


def place_of(delivery_id: int) -> bytes:
    """What a kept mail is bound to."""
    return str(delivery_id).encode()


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The mail that carried the link of a sign-up, and what the relay said when it took it."""

    delivery_id: int
    message_id: str | None
    on_its_way: bool
    """Handed over, with nothing recorded yet."""
    accepted_at: datetime | None
    relay: str | None
    code: int | None
    enhanced: str | None
    text: str | None
    copy_sha256: bytes | None
    template_sha256: bytes | None


@dataclass(frozen=True, slots=True)
class Pressed:
    """What the press of the button says beyond who pressed it."""

    delivery_id: int | None
    personal: dict[str, Any]
    """For the *given* events; encrypted with them."""
    suspect_scanner: bool


def describe_press(
    mail: Confirmation | None,
    *,
    signup_id: int | None = None,
    change_id: int | None = None,
    request: Mapping[str, Any],
    now: datetime,
) -> Pressed:
    """The button of a sign-up, or of a change of address.

    `request`: what is known of the request that it confirms. Only with it does that become evidence (D-18).
    """
    personal: dict[str, Any] = {
        **request,
        "post": {
            "method": "POST",
            "at": spell_time(now),
            "token": f"sign-up {signup_id}" if change_id is None else f"change {change_id}",
        },
    }
    if mail is None:
        return Pressed(None, personal, suspect_scanner=False)
    personal["confirmation_mail"] = {
        "delivery": mail.delivery_id,
        "message_id": mail.message_id,
        "sent_at": spell_time(mail.accepted_at) if mail.accepted_at else None,
        "relay": mail.relay,
        "code": mail.code,
        "enhanced": mail.enhanced,
        "text": mail.text,
        # With the event these two are under its hash: the kept mail cannot be exchanged or taken away unnoticed.
        "sha256": mail.copy_sha256.hex() if mail.copy_sha256 else None,
        "template_sha256": mail.template_sha256.hex() if mail.template_sha256 else None,
    }
    # The relay's answer is recorded a moment after it came: who presses before that cannot have read the mail.
    at_once = mail.on_its_way or (mail.accepted_at is not None and now - mail.accepted_at < NOBODY_READS_SO_FAST)
    return Pressed(mail.delivery_id, personal, at_once)


def describe_request(
    evidence: Evidence, *, entered: str | None, ticked: Sequence[str], language: str, at: datetime
) -> dict[str, Any]:
    """What the form sent (D1 #2, #6, #8, #10), for the *given* events: it may have been anybody until the press."""
    sent = {
        "at": spell_time(at),
        "method": "POST",
        "ip": str(evidence.ip) if evidence.ip else None,  # the driver gives an address object
        "user_agent": evidence.user_agent,
        "page_url": evidence.page_url,
        "ticked": list(ticked),
        "state_before": "every box unticked",
        "language": language,
    }
    return {
        "address_as_entered": entered,
        "request": {name: value for name, value in sent.items() if value is not None},
    }
