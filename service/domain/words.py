"""The closed vocabularies: every state, kind and reason that is stored, with one sentence each.

The values are what stands in the database, in URLs and in `--json`; the glossary is in ARCHITECTURE.md.
"""

from enum import StrEnum


class Language(StrEnum):
    """Languages that readers can choose; every reader-facing text exists in each."""

    EN = "en"
    DE = "de"
    FR = "fr"
    ES = "es"


class Purpose(StrEnum):
    """What a reader can agree to. Asked separately, never bundled (D-04)."""

    DIGEST = "digest"
    OFFERS = "offers"


class Layout(StrEnum):
    """How a campaign's mail looks."""

    CARD = "card"
    """In the publisher's frame, with its colours."""
    PLAIN = "plain"
    """As a person writes: words, links and the footer, in whatever the reader's mail client takes for letters."""


class SubscriptionState(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    UNSUBSCRIBED = "unsubscribed"


class ConsentState(StrEnum):
    """What a consent event says (ISO/IEC TS 27560 event state, D1 #13)."""

    REQUESTED = "requested"
    GIVEN = "given"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    """Nobody pressed the button in time."""
    INVALIDATED = "invalidated"
    """An operator found that it was never good: an import taken back, say. The reason stands in `actor`."""
    REAFFIRMED = "reaffirmed"
    """Given before, and confirmed again: for a new address."""


class LawfulBasis(StrEnum):
    """Why the mail that an event allows is lawful (D1 #5)."""

    CONSENT_DOI = "consent_doi"
    """Consent, confirmed from the mailbox (double opt-in)."""
    IMPORTED = "imported"
    """Consent given to another system before, with its evidence."""


class Channel(StrEnum):
    """How a consent event reached us (D1 #14)."""

    FORM = "form"
    CONFIRMATION = "confirmation"
    ONE_CLICK = "one_click"
    PAGE = "page"
    CONTROL = "control"
    UNDO = "undo"
    OPERATOR = "operator"
    ADDRESS_CHANGE = "address_change"
    ERASURE = "erasure"
    IMPORT = "import"
    SWEEP = "sweep"
    """Milepost itself, because a time had come."""


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
    HELD = "held"
    """Far more sign-ups for one domain than usual: nothing is mailed until it is over or an operator decides (E-05)."""
    CONFIRMED = "confirmed"
    EXPIRED = "expired"


class SuppressionReason(StrEnum):
    PERMANENT_BOUNCE = "permanent_bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE_ALL = "unsubscribe_all"
    MANUAL = "manual"
    ERASED = "erased"
    """The person asked to be forgotten; only signing up again, by that person, ends it (D-15)."""
    IMPORTED = "imported"
    """Another system knew that the address must not be mailed (E-11)."""


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
    PRIVATE_LINK = "private_link"
    """The fresh link to everything that we hold about its reader; asked for on the control page."""
    ADDRESS_CHANGE = "address_change"
    """Asks a new address whether it is the reader's (D-14). Goes there and to nobody else."""
    REPERMISSION = "repermission"
    """Asks an imported address, once ever, whether its owner agrees: no evidence of consent came with it (E-11)."""
    DIGEST = "digest"
    CAMPAIGN = "campaign"
    OPERATOR_NOTICE = "operator_notice"
    """Tells an operator that something is broken or was paused, and when it is over. Never goes to a reader."""


ASKS_FOR_CONSENT = frozenset({MailKind.CONFIRMATION, MailKind.REPERMISSION})
"""Mail with the link to the button of a sign-up: a question, and nothing that advertises (D-06)."""

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
    RHYTHM = "rhythm"
    """The last digest of this list is more recent than the reader's rhythm allows."""
    NOTHING_NEW = "nothing_new"
    TOO_FEW = "too_few"
    EXPIRED = "expired"
    """The sign-up that asked for this mail was confirmed, expired or replaced before the mail left."""


class Rhythm(StrEnum):
    """How often a reader wants digests."""

    DAILY = "daily"
    WEEKLY = "weekly"
    FORTNIGHTLY = "fortnightly"
    MONTHLY = "monthly"


class Role(StrEnum):
    """What a token may do; each is given by itself, and none opens what another does (D-22)."""

    SIGN_UP = "sign_up"
    """Bring sign-ups, with the words that their readers saw."""
    CAMPAIGN = "campaign"
    """Campaigns, their tests, runs of digests, content, and the reports of them, which name nobody."""
    EXPORT = "export"
    """Take personal data out: proofs, access exports. Needs a reason each time and is noted in the audit log."""


class PrivacyRequestKind(StrEnum):
    """What a person asked for about their data; answered within a month (GDPR 12(3), D-13)."""

    ACCESS = "access"
    RECTIFY = "rectify"
    ERASE = "erase"


class ImportStatus(StrEnum):
    CHECKED = "checked"
    """Read and judged; nothing but opt-outs has been taken over."""
    ADMITTING = "admitting"
    """In quarantine, let out slice by slice (E-11)."""
    DONE = "done"
    UNDONE = "undone"


class ImportVerdict(StrEnum):
    """What can be done with one row of an import: the four numbers of its dry run."""

    MAILABLE = "mailable"
    NEEDS_CONFIRMING = "needs_confirming"
    SUPPRESSED = "suppressed"
    UNREADABLE = "unreadable"
    UNCHANGED = "unchanged"
    """Beside the four: its reader is here already, or another line of the file says more about the same address."""


class ImportReason(StrEnum):
    """Why a row of an import has its verdict."""

    EVIDENCE = "evidence"
    """Says when and where its reader agreed."""
    CONFIRMED_THERE = "confirmed_there"
    """The same, and when they confirmed it from their mailbox."""

    NO_DATE = "no_date"
    DATE_UNREADABLE = "date_unreadable"
    DATE_IN_FUTURE = "date_in_future"
    DATE_TOO_OLD = "date_too_old"
    """From before anybody signed up by e-mail: a default of some software."""
    NO_SOURCE = "no_source"
    """Does not say where or how its reader agreed."""
    NOT_CONFIRMED_THERE = "not_confirmed_there"
    """The operator takes over only who confirmed from their mailbox."""

    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    BLOCKED = "blocked"
    NEVER_CONFIRMED = "never_confirmed"
    """Was asked there and did not answer; asking again would be a reminder (D-07)."""
    SUPPRESSED_HERE = "suppressed_here"
    WITHDRAWN_HERE = "withdrawn_here"
    ERASED = "erased"
    ADDRESS_LEFT = "address_left"
    """Its reader has another address here by now, and decides there."""
    ASKED_BEFORE = "asked_before"
    """Has had the one re-permission mail."""

    ADDRESS_MISSING = "address_missing"
    ADDRESS_INVALID = "address_invalid"
    LINE_BROKEN = "line_broken"
    STATUS_MISSING = "status_missing"
    STATUS_UNKNOWN = "status_unknown"
    PURPOSE_MISSING = "purpose_missing"
    PURPOSE_UNKNOWN = "purpose_unknown"

    DUPLICATE = "duplicate"
    """Another line of the file says more about the same address."""
    READER_HERE = "reader_here"
    WAITING_HERE = "waiting_here"
    """Signed up here lately; the button was not pressed yet."""


class CampaignStatus(StrEnum):
    """A campaign is one message for one audience: composed by an operator, or made by a run of a digest."""

    DRAFT = "draft"
    PLANNING = "planning"
    SENDING = "sending"
    PAUSED = "paused"
    SENT = "sent"
    CANCELLED = "cancelled"
