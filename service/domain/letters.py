"""Everything one mail says, as plain values: read by the store, written out by the mail package."""

from dataclasses import dataclass
from datetime import datetime

from service.domain.values import quick_value
from service.domain.words import Language, Layout, MailKind, Purpose


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who sends: the facts about the installation that stand in mails and pages."""

    name: str
    """Legal name."""
    postal_address: str
    contact: str
    site_url: str
    public_url: str
    sender_name: str
    sender_address: str
    reply_to: str | None
    bounce_domain: str
    own_hosts: frozenset[str]
    """Hosts that mails and pages may load from: public_url's, and those configured."""


@dataclass(frozen=True, slots=True)
class LetterArticle:
    """An article as a digest shows it, in the reader's language."""

    id: int
    title: str
    summary: str
    url: str
    author: str | None
    image_url: str | None
    image_alt: str | None
    topics: tuple[str, ...]
    """Names of those topics that the reader chose: why it is in the digest."""
    published_at: datetime


@dataclass(frozen=True, slots=True)
class LetterSignup:
    """The sign-up that a confirmation asks about."""

    id: int
    requested_at: datetime
    expires_at: datetime
    purposes: tuple[Purpose, ...]


@dataclass(frozen=True, slots=True)
class LetterChange:
    """The change of address that its new address is asked about."""

    id: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LetterNotice:
    """What an operator is told of."""

    is_over: bool
    began_at: datetime
    facts: dict[str, str | int]
    """`about` ("relay" or "campaign"), `kind`, and what fills the sentences about that."""
    ended_at: datetime | None = None


@quick_value(frozen=True, slots=True)
class Letter:
    """One mail to one recipient. Which of the optional parts are set follows from `kind`."""

    delivery_id: int
    kind: MailKind
    test: bool
    """A test send: marked in the subject; its links act for nobody."""
    subscriber_id: int | None
    address: str
    language: Language
    first_name: str | None
    list_id: int
    list_name: str
    """In the reader's language."""
    list_header_id: str
    """The List-Id, without angle brackets."""
    purpose: Purpose | None
    campaign_id: int | None
    message_id: str
    """Without angle brackets."""
    given_at: datetime | None
    """When consent for this list and purpose was last given; None on transactional mail and tests."""
    imported: bool = False
    """Consent was given to another system: not on our pages."""
    event_id: int | None = None
    """The consent event that this mail is sent on; its receipt is linked from a welcome."""
    signup: LetterSignup | None = None
    change: LetterChange | None = None
    notice: LetterNotice | None = None
    subject: str | None = None
    """Of a campaign's revision."""
    body: str | None = None
    """Markdown of a campaign's revision."""
    layout: Layout = Layout.CARD
    """Of a campaign's revision."""
    articles: tuple[LetterArticle, ...] = ()
