"""The closed vocabularies: every state, kind and reason that is stored, with one sentence each.

The values are what stands in the database, in URLs and in `--json`; the glossary is in ARCHITECTURE.md.
"""

from enum import StrEnum


class Language(StrEnum):
    """Languages that readers can choose; every reader-facing text exists in each."""

    EN = "en"
    DE = "de"


class Purpose(StrEnum):
    """What a reader can agree to. Asked separately, never bundled (D-04)."""

    DIGEST = "digest"
    OFFERS = "offers"


class SubscriptionState(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    UNSUBSCRIBED = "unsubscribed"


class ConsentState(StrEnum):
    """What a consent event says (ISO/IEC TS 27560 event state, D1 #13)."""

    REQUESTED = "requested"
    GIVEN = "given"
    WITHDRAWN = "withdrawn"


class Channel(StrEnum):
    """How a consent event reached us (D1 #14)."""

    FORM = "form"
    CONFIRMATION = "confirmation"
    ONE_CLICK = "one_click"
    PAGE = "page"
    CONTROL = "control"
    UNDO = "undo"
    OPERATOR = "operator"


class SignupState(StrEnum):
    """What became of one sign-up. A reader never sees it: the answer is the same for all (E-04)."""

    RECEIVED = "received"
    """Stored by the web; nobody has looked the address up yet."""
    ASKED = "asked"
    """A confirmation mail is queued; waiting for the button."""
    ALREADY_ACTIVE = "already_active"
    """Everything ticked is in force already; a mail says so and links the control page."""
    LIMITED = "limited"
    """The address has had its share of mails (E-05); nothing is mailed."""
    SUPPRESSED = "suppressed"
    """A standing order forbids mail to the address; nothing is mailed."""
    CONFIRMED = "confirmed"
    EXPIRED = "expired"


class SuppressionReason(StrEnum):
    PERMANENT_BOUNCE = "permanent_bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE_ALL = "unsubscribe_all"
    MANUAL = "manual"


class Lane(StrEnum):
    """A queue with workers of its own, so that one kind of work cannot starve another."""

    INTERACTIVE = "interactive"
    BULK = "bulk"
    INBOUND = "inbound"


class RelayTls(StrEnum):
    """How a connection to the relay is encrypted."""

    REQUIRED = "required"
    """STARTTLS, or nothing is sent."""
    IMPLICIT = "implicit"
    OPPORTUNISTIC = "opportunistic"
    """STARTTLS where the relay offers it."""
    NONE = "none"
    """Loopback relays only."""


class MailKind(StrEnum):
    """Which mail a delivery is. Each has a folder of that name under templates/emails/."""

    CONFIRMATION = "confirmation"
    ALREADY_SUBSCRIBED = "already_subscribed"
    WELCOME = "welcome"
    DIGEST = "digest"
    CAMPAIGN = "campaign"


LIST_MAIL = frozenset({MailKind.WELCOME, MailKind.DIGEST, MailKind.CAMPAIGN})
"""Mail to a list: needs consent in force and carries List-* headers. The rest is transactional (A-34)."""


class DeliveryStatus(StrEnum):
    """Exactly one per delivery; together they add up to the audience (invariant 8)."""

    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    UNCERTAIN = "uncertain"


class SkipReason(StrEnum):
    """Why a planned recipient was not mailed."""

    NO_CONSENT = "no_consent"
    SUPPRESSED = "suppressed"
    PAUSED = "paused"
    NOTHING_NEW = "nothing_new"
    TOO_FEW = "too_few"
    EXPIRED = "expired"
    """The sign-up that asked for this mail was confirmed, expired or replaced before the mail left."""


class CampaignStatus(StrEnum):
    """A campaign is one message for one audience: composed by an operator, or made by a run of a digest."""

    DRAFT = "draft"
    PLANNING = "planning"
    SENDING = "sending"
    PAUSED = "paused"
    SENT = "sent"
    CANCELLED = "cancelled"
