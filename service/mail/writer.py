"""Letters into messages: the links and headers that each kind of mail carries, and the last check before it leaves.

The only door of this package for mail going out: use cases hand over a `Letter` and get ready bytes, or an
`UnwritableError`.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import TemplateError
from markupsafe import escape

from service.domain.addresses import LONGEST as LONGEST_ADDRESS
from service.domain.addresses import parse_address
from service.domain.letters import Letter, Publisher
from service.domain.outcomes import Message, Outcome, Phase
from service.domain.subjects import LONGEST as LONGEST_SUBJECT
from service.domain.tokens import Keys
from service.domain.words import LIST_MAIL, Language, MailKind
from service.errors import ConfigurationError, Kind, ServiceError
from service.mail import compose, headers
from service.mail.blocks import articles_of
from service.mail.dkim import Signer
from service.mail.folding import Folding
from service.mail.links import Links, links_for
from service.mail.lint import LintError, check_html
from service.mail.markdown import MarkdownError, convert
from service.mail.merge_fields import LONGEST_NAME, merge_fields
from service.mail.render import Rendered, Renderer
from service.mail.samples import load_sample
from service.texts import Catalogue, templates_dir

TEST_MARK = "[Test] "
_HUMAN = frozenset({MailKind.CAMPAIGN})
"""Written by a person for these readers, so not auto-submitted (RFC 3834 §5, A-35)."""
_BULK = frozenset({MailKind.DIGEST, MailKind.CAMPAIGN})
_LONGEST_WORDS: dict[str, Any] = {
    "subject": "&" * LONGEST_SUBJECT,
    "first_name": "&" * LONGEST_NAME,
    "list_name": "&" * LONGEST_NAME,
}
"""Nothing takes more bytes of HTML than what has to be escaped."""
_LOCAL_PART = re.compile(r"(?=.{1,64}$)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_MOST_DOMAINS = 50_000
_NONE: Mapping[str, str] = MappingProxyType({})
_A_LONG_DAY = datetime(2026, 9, 30, tzinfo=UTC)


class UnwritableError(ServiceError):
    """This letter cannot become a message, and trying again would not help. Nothing was sent.

    The dispatcher records `error.outcome(delivery_id)` like a relay's answer and goes on with the next letter.
    """

    def __init__(self, code: str, message: str, *, enhanced: str, phase: Phase = Phase.DATA) -> None:
        super().__init__(Kind.INVALID, code, message)
        self.enhanced = enhanced
        self.phase = phase

    def outcome(self, delivery_id: int) -> Outcome:
        """A permanent local failure.

        5.6.7 (phase rcpt) is an address that needs SMTPUTF8 (A-52), 5.1.3 (rcpt) one that is none; 5.6.0 (phase data)
        is a fault of the message, which its other recipients would get too.
        """
        return Outcome(delivery_id, self.phase, 550, self.enhanced, self.message, "milepost")


class Writer:
    """Built once per process: the templates are compiled here, and a faulty one stops the start."""

    def __init__(
        self,
        publisher: Publisher,
        keys: Keys,
        catalogue: Catalogue | None = None,
        templates: Path | None = None,
        *,
        signer: Signer | None = None,
    ) -> None:
        """Raises ConfigurationError if an address of the publisher's cannot stand in a header, not each mail later."""
        self._keys = keys
        self._signer = signer
        self._templates = templates
        self._catalogue = catalogue or Catalogue("mail", templates)
        self._renderer = Renderer(templates or templates_dir(), self._catalogue)
        self._domains: set[str] = set()
        bounces = _own_address("bounce domain", "MILEPOST_BOUNCE_DOMAIN", f"b@{publisher.bounce_domain}")
        self._publisher = replace(publisher, bounce_domain=bounces.rpartition("@")[2])
        self._folding = Folding(self._publisher, keys, self._catalogue, self._renderer)
        self._owner = f"mailto:{_own_address('List-Owner', 'MILEPOST_CONTROLLER_CONTACT', publisher.contact)}"
        try:
            self._help = headers.items("List-Help", [f"{publisher.public_url}/help"])
        except headers.HeaderError as error:
            remedy = f"{error} Write its host in ASCII, like https://xn--bcher-kva.example."
            raise _unfit("MILEPOST_PUBLIC_URL", "List-Help", remedy) from error
        self._from = _own_mailbox("From", "MILEPOST_SENDER_ADDRESS", publisher.sender_address, publisher.sender_name)
        self._reply_to = (
            _own_mailbox("Reply-To", "MILEPOST_REPLY_TO", publisher.reply_to) if publisher.reply_to else None
        )
        # The same for all mail, as Google's feedback loop asks, and telling nothing to others.
        digest = sha256(publisher.sender_address.rpartition("@")[2].encode()).digest()
        self._sender_id = "mp" + base64.b32encode(digest)[:10].decode().lower()

    @property
    def signs(self) -> bool:
        """Whether there is a key to sign with."""
        return self._signer is not None

    def write(self, letter: Letter, now: datetime) -> Message:
        """The message as it goes on the wire, dated `now` (A-10). Raises `UnwritableError`."""
        return self.sign(self.prepare(letter, now), now)

    def prepare(self, letter: Letter, now: datetime) -> Message:
        """The same without a signature."""
        address = self._deliverable(letter.address)
        return self._folding.write(letter, address, now, self._make) or self._in_full(letter, now)

    def sign(self, message: Message, now: datetime) -> Message:
        """The message with the signature of our domain, if there is a key. Any thread may call."""
        if self._signer is None:
            return message
        return replace(message, data=self._signer.signed(message.data, int(now.timestamp())))

    def write_in_full(self, letter: Letter, now: datetime) -> Message:
        """The same for a letter like no other: what every mail said in slots is compared with."""
        return self.sign(self._in_full(letter, now), now)

    def _in_full(self, letter: Letter, now: datetime) -> Message:
        address = self._deliverable(letter.address)
        links = links_for(letter, self._publisher, self._keys, now)
        rendered = self._render(letter, links, now)
        try:
            fields = self._fields(letter, links, rendered.subject, address, now)
            data = compose.message(fields, rendered.text, rendered.html)
        except ValueError as error:
            raise UnwritableError("message_faulty", f"The mail cannot be written: {error}", enhanced="5.6.0") from error
        return Message(letter.delivery_id, links.envelope_from, address, data, clean=True)

    def preview(self, letter: Letter, now: datetime) -> Rendered:
        """What `write` would say, for people. Raises `UnwritableError`, so a faulty body is found before it is sent."""
        return self._render(letter, links_for(letter, self._publisher, self._keys, now), now)

    def check_body(self, markdown: str) -> None:
        """Whether a campaign's body can be mailed, before it is saved. Raises ServiceError (field `body`).

        The whole mail is written in each language, with long names and the longest subject, so that no reader's is
        refused later.
        """
        for language in Language:
            letter = replace(load_sample(MailKind.CAMPAIGN, language, self._templates), body=markdown, **_LONGEST_WORDS)
            try:
                self.preview(letter, _A_LONG_DAY)
            except UnwritableError as error:
                raise ServiceError(
                    Kind.INVALID, "body_refused", f"{error.message} Nothing was saved.", field="body"
                ) from error

    def _make(
        self, letter: Letter, links: Links, now: datetime, words: Mapping[str, str]
    ) -> tuple[list[bytes], str, str]:
        rendered = self._render(letter, links, now, words)
        fields = self._fields(letter, links, rendered.subject, letter.address, now)
        return list(fields), rendered.text, rendered.html

    def _deliverable(self, address: str) -> str:
        """The address as the wire needs it: ASCII before the @, A-labels behind it (A-52).

        Domains are few and looked at once. In front of one that stands as it is, dots and atoms do too.
        """
        local, _, domain = address.rpartition("@")
        if domain in self._domains and len(address) <= LONGEST_ADDRESS and _LOCAL_PART.fullmatch(local):
            return address
        ready = _deliverable(address)
        if ready == address:
            if len(self._domains) >= _MOST_DOMAINS:
                self._domains.clear()
            self._domains.add(domain)
        return ready

    def _render(self, letter: Letter, links: Links, now: datetime, words: Mapping[str, str] = _NONE) -> Rendered:
        """`words` stand where the reader's own will."""
        try:
            values = merge_fields(letter, self._publisher, links, self._catalogue, now)
            if letter.kind is MailKind.DIGEST:
                values |= articles_of(self._renderer, letter.language, values["articles"])
            # They are escaped like those, so that they can hide no element either; the rest is read as it will be.
            own = {mark: str(escape(values[name])) for name, mark in words.items() if name in values}
            values |= words
            rendered = self._renderer.render(letter.kind, letter.language, values, letter.layout)
            check_html(
                rendered.html,
                self._publisher.own_hosts,
                _brought_links(letter, self._publisher),
                # Made by us, or escaped: neither can hide an element.
                own
                | {links.unsubscribe: links.help, links.control: links.help, escape(values.get("greeting", "-")): "-"},
            )
        except (MarkdownError, LintError) as error:
            raise UnwritableError("content_refused", str(error), enhanced="5.6.0") from error
        except (ValueError, TemplateError) as error:
            raise UnwritableError("message_faulty", f"The mail cannot be written: {error}", enhanced="5.6.0") from error
        if letter.test:
            return Rendered(TEST_MARK + rendered.subject, rendered.text, rendered.html)
        return rendered

    def _fields(self, letter: Letter, links: Links, subject: str, address: str, now: datetime) -> Iterator[bytes]:
        yield self._from
        yield headers.mailbox("To", None, address)
        yield headers.unstructured("Subject", subject)
        yield headers.structured("Date", format_datetime(now))
        yield headers.items("Message-ID", [letter.message_id])
        if self._reply_to:
            yield self._reply_to
        yield headers.structured("Content-Language", letter.language.value)
        if letter.kind in LIST_MAIL:
            yield from self._list_fields(letter, links)
        if letter.kind not in _HUMAN:
            yield headers.structured("Auto-Submitted", "auto-generated")
        if letter.kind in _BULK:
            yield headers.structured("Precedence", "bulk")
        yield headers.structured("X-Auto-Response-Suppress", "OOF, AutoReply")

    def _list_fields(self, letter: Letter, links: Links) -> Iterator[bytes]:
        """On mail to a list only: a confirmation must not look like one (A-34)."""
        yield headers.items("List-Id", [letter.list_header_id], label=letter.list_name)
        yield headers.items("List-Unsubscribe", [links.unsubscribe])  # no mailto, nobody reads it
        yield headers.structured("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")  # RFC 8058 §3.1
        yield self._help
        yield headers.items("List-Owner", [self._owner])
        yield headers.structured("List-Post", "NO")  # RFC 2369 §3.4
        campaign = f"c{letter.campaign_id}" if letter.campaign_id else ""
        yield headers.structured("Feedback-ID", f"{campaign}:l{letter.list_id}:{letter.kind.value}:{self._sender_id}")


def _own_mailbox(field: str, setting: str, address: str, display_name: str | None = None) -> bytes:
    """A mailbox of the publisher's as a field (A-07)."""
    try:
        return headers.mailbox(field, display_name, _own_address(field, setting, address))
    except headers.HeaderError as error:
        raise _unfit(setting, field, error) from error


def _own_address(field: str, setting: str, address: str) -> str:
    """An address of the publisher's, its domain as A-labels (A-07)."""
    try:
        return parse_address(address, reserved=True).address
    except ServiceError as error:
        raise _unfit(setting, field, error) from error


def _unfit(setting: str, field: str, reason: object) -> ConfigurationError:
    return ConfigurationError(f"{setting} cannot stand in a mail's {field}; nothing was started. {reason}")


def _deliverable(address: str) -> str:
    """The address as the wire needs it: ASCII before the @, A-labels behind it (A-52)."""
    try:
        return parse_address(address, reserved=True).address
    except ServiceError as error:
        enhanced = "5.6.7" if error.code == "address_not_ascii" else "5.1.3"
        raise UnwritableError(error.code, error.message, enhanced=enhanced, phase=Phase.RCPT) from error


def _brought_links(letter: Letter, publisher: Publisher) -> Iterator[str]:
    """The foreign links that a mail may hold: its articles', its editor's; the publisher's site goes without saying."""
    yield publisher.site_url
    for article in letter.articles:
        yield article.url
    if letter.body is not None:
        yield from convert(letter.body, publisher.own_hosts, letter.layout).links
