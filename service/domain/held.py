"""Everything that is held about one person, as plain values: what the private page shows and an export says (D-13).

Field names are those of the export: they are documented in docs/privacy.md and do not change lightly.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class HeldProfile:
    subscriber_id: int
    address: str
    language: str
    first_name: str | None
    rhythm: str
    local_hour: int | None
    time_zone: str | None
    paused_until: datetime | None
    created_at: datetime
    address_changed_at: datetime | None
    topics: tuple[str, ...]
    """Names of the topics chosen; none means all."""


@dataclass(frozen=True, slots=True)
class HeldSubscription:
    list: str
    list_name: str
    purpose: str
    state: str
    given_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """One line of the history of consent, with the evidence decrypted."""

    event_id: int
    record_id: str
    occurred_at: datetime
    list: str
    list_name: str
    purpose: str
    state: str
    channel: str
    lawful_basis: str
    actor: str
    statement: str | None
    """The words agreed to, verbatim."""
    statement_language: str | None
    notice_id: int | None
    personal: dict[str, Any]
    """address, ip, user_agent, page_url and what else the event says of the person; `request`: what the form sent that
    a button confirmed."""


@dataclass(frozen=True, slots=True)
class HeldSignup:
    created_at: datetime
    list: str
    purposes: tuple[str, ...]
    state: str
    language: str
    address: str | None
    first_name: str | None
    page_url: str | None
    ip: str | None
    user_agent: str | None
    decided_at: datetime | None
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldArticle:
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class HeldMail:
    """One mail that was sent, is to be sent, or was kept back, and why."""

    delivery_id: int
    kind: str
    list: str
    purpose: str | None
    subject: str | None
    """Of a campaign; a digest is known by its articles."""
    language: str | None
    """Of a digest's articles."""
    status: str
    skip_reason: str | None
    created_at: datetime
    due_at: datetime
    finished_at: datetime | None
    message_id: str | None
    articles: tuple[HeldArticle, ...]
    answers: tuple[str, ...]
    """What the mail server answered, in the order of the attempts."""


@dataclass(frozen=True, slots=True)
class HeldConfirmationMail:
    """The confirmation mail as it was sent, without its link: part of the proof of consent."""

    delivery_id: int
    written_at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class HeldArticleRead:
    """An article that counts as mailed, so that it is never mailed twice; by no mail of ours where it was imported."""

    title: str
    url: str
    delivery_id: int | None


@dataclass(frozen=True, slots=True)
class HeldSuppression:
    """A standing order not to mail this address."""

    reason: str
    source: str
    list: str | None
    created_at: datetime
    lifted_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldImportRow:
    """A row of a file that the address was imported from."""

    source_system: str
    imported_at: datetime
    line: int
    verdict: str
    reason: str
    admitted_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldChange:
    """A change of address that waits for its confirmation. Whether the address could be asked, it does not say."""

    address: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class HeldFormerAddress:
    """An address that the reader left for another. Only a fingerprint is held, by which no file brings it back."""

    left_at: datetime


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """What the person asked for about their data."""

    kind: str
    asked_by: str
    asked_at: datetime
    due_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldLook:
    """When somebody of the publisher's looked at, exported or changed this person's data, and why."""

    at: datetime
    act: str
    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    profile: HeldProfile
    subscriptions: tuple[HeldSubscription, ...] = ()
    consent_events: tuple[HeldEvent, ...] = ()
    signups: tuple[HeldSignup, ...] = ()
    mails: tuple[HeldMail, ...] = ()
    """The newest first."""
    confirmation_mails: tuple[HeldConfirmationMail, ...] = ()
    articles: tuple[HeldArticleRead, ...] = ()
    suppressions: tuple[HeldSuppression, ...] = ()
    imports: tuple[HeldImportRow, ...] = ()
    address_changes: tuple[HeldChange, ...] = ()
    former_addresses: tuple[HeldFormerAddress, ...] = ()
    privacy_requests: tuple[HeldRequest, ...] = ()
    looks: tuple[HeldLook, ...] = field(default=())
