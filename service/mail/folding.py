"""Mail for many readers: written once per variant, then only filled in.

A variant is everything about a mail but what its templates merely print of the reader. What they compute with is read
from their syntax trees (`slots`) and is part of the variant's key, so that templates may be edited freely.
Whatever does not fit goes back to be written in full, and that is never wrong, only slower.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from types import MappingProxyType
from typing import Any

import structlog

from service.domain.letters import Letter, Publisher
from service.domain.outcomes import Message
from service.domain.tokens import Keys
from service.domain.words import Language, MailKind
from service.errors import ServiceError
from service.mail import compose
from service.mail.blocks import OF_ISSUE, Blocks
from service.mail.links import Links, tokens_for
from service.mail.lint import LARGEST_HTML
from service.mail.merge_fields import greeting, reason
from service.mail.render import Renderer, wrap
from service.mail.slots import Form, Words, a_mark, ready_words
from service.texts import Catalogue

FOLDED = (MailKind.CAMPAIGN, MailKind.DIGEST)
"""The rest goes to one reader at a time."""
LARGEST_STORE = 16 * 2**20
"""Bytes of ready mail that are kept."""
_SIZE_OF_ISSUE = 8_192
"""What one takes besides the blocks, which it has in common with others."""
_LINKS = ("links.unsubscribe", "links.control")
_WORDS = ("greeting", "reason", "reason_lines")
_WORDS_AND_LINKS = frozenset((*_WORDS, *_LINKS))
_MOST_WORDS = 4_096
_MOST_BODIES, _MOST_ISSUES = 32, 1_024
_TRIED, _GIVEN_UP_FOR = 200, 5_000
_NONE: Mapping[str, str] = MappingProxyType({})
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_ITEM = re.compile(r"[!-;=?-~]{1,900}")
log = structlog.get_logger(__name__)
Make = Callable[[Letter, Links, datetime, Mapping[str, str]], tuple[list[bytes], str, str]]
"""Header fields, text and HTML of a letter in which marks stand for the reader's own."""


@dataclass(frozen=True, slots=True)
class Variant:
    form: Form
    html_size: int
    """Bytes of HTML without the words that are filled in."""
    printed: tuple[str, ...]
    """The words that are, each as often as it stands in the HTML."""


@dataclass(slots=True)
class _Tally:
    asked: int = 0
    """Below 0 while no variant is made."""
    missed: int = 0
    given_up: bool = False


class _Alike:
    """Numbers for what is equal. Batches bring new objects that say the same; comparing them for each mail is dear."""

    def __init__(self, most: int) -> None:
        """`most` of them are kept: whatever was seen of a batch long done stays in memory until then."""
        self._most = most
        self._next = count()
        self._numbers: dict[Hashable, int] = {}
        self._seen: dict[int, tuple[Hashable, int]] = {}

    def number(self, thing: Hashable) -> int:
        seen = self._seen.get(id(thing))
        if seen is not None and seen[0] is thing:
            return seen[1]
        if (number := self._numbers.get(thing)) is None:
            if len(self._numbers) >= self._most:
                self._numbers.clear()
            number = self._numbers[thing] = next(self._next)
        if len(self._seen) >= self._most:
            self._seen.clear()
        self._seen[id(thing)] = (thing, number)
        return number


class Folding:
    """One per writer. What it keeps has bounds."""

    def __init__(self, publisher: Publisher, keys: Keys, catalogue: Catalogue, renderer: Renderer) -> None:
        self._publisher = publisher
        self._keys = keys
        self._catalogue = catalogue
        self._computed = {kind: renderer.computed(kind, (*_LINKS, *_WORDS)) for kind in FOLDED}
        self._marks = {name: a_mark() for name in (*_LINKS, *_WORDS, "message_id", "date")}
        self._marks |= {name: a_mark() for name in OF_ISSUE}
        self._address_mark = f"{a_mark()}@x"
        self._blocks = Blocks(publisher, catalogue, renderer)
        self._bodies, self._issues = _Alike(_MOST_BODIES), _Alike(_MOST_ISSUES)
        self._variants: dict[Hashable, Variant] = {}
        self._size = 0
        self._tallies: dict[Hashable, _Tally] = {}
        self._greetings: dict[tuple[Language, str | None], Words] = {}
        self._reasons: dict[Hashable, Words] = {}
        self._date = (_LONG_AGO, _LONG_AGO, b"")

    def write(self, letter: Letter, address: str, now: datetime, make: Make) -> Message | None:
        """None: this one is to be written in full. `address` is known to be one that can stand in a header."""
        computed = self._computed.get(letter.kind)
        if computed is None or letter.signup or letter.change or not _ITEM.fullmatch(letter.message_id):
            return None
        try:
            hello, why = self._greeting(letter), self._reason(letter)
        except ValueError:
            return None
        variant = self._variant(letter, computed, hello.said | why.said if computed else _NONE, now, make)
        if variant is None:
            return None
        size = variant.html_size
        for name in variant.printed:
            size += hello.html_sizes[name] if name == "greeting" else why.html_sizes[name]
        if size > LARGEST_HTML:
            return None
        values = hello.filled | why.filled
        values["links.unsubscribe"], values["links.control"], bounce = tokens_for(letter, self._keys)
        values["address"] = address.encode()
        values["message_id"] = letter.message_id.encode()
        values["date"] = self._written_date(now)
        data = variant.form.fill(values)
        return Message(
            letter.delivery_id, f"b+{bounce.decode()}@{self._publisher.bounce_domain}", address, data, clean=True
        )

    def _variant(
        self, letter: Letter, computed: frozenset[str], said: Mapping[str, str], now: datetime, make: Make
    ) -> Variant | None:
        key: tuple[Hashable, ...] = (
            letter.kind, letter.campaign_id, letter.list_id, letter.test, letter.language, letter.list_name,
            letter.list_header_id, letter.purpose, letter.subject, self._bodies.number(letter.body), letter.layout,
            now.date(), self._issues.number(letter.articles),
        )  # fmt: skip
        if computed:
            if not computed.isdisjoint(_LINKS):
                return None  # no two readers' are the same
            key = (*key, *[said[name] for name in sorted(computed)])
        tally = self._tallies.get(letter.kind if letter.campaign_id is None else letter.campaign_id)
        if tally is None or tally.asked >= _TRIED:
            tally = self._begin_tally(letter, tally)
        tally.asked += 1
        variant = self._variants.get(key)
        if variant is None and letter.kind is MailKind.DIGEST and not computed and not letter.test:
            variant = self._of_blocks(letter, key, now, make)
        if variant is None and tally.asked > 0:
            tally.missed += 1
            variant = self._make(letter, key, _WORDS_AND_LINKS - computed, now, make)
        return variant

    def _of_blocks(self, letter: Letter, key: tuple[Hashable, ...], now: datetime, make: Make) -> Variant | None:
        """A digest from the frame that all issues have in common, and the blocks of its articles."""
        if not self._blocks.is_for_templates:
            return None
        try:
            issue = self._blocks.issue(letter)
        except ValueError:
            return None
        names = _WORDS_AND_LINKS.union(OF_ISSUE)
        if (frame := self._variants.get(key[:-1]) or self._make(letter, key[:-1], names, now, make)) is None:
            return None
        form = frame.form.partly(issue.filled)
        if not {name.partition(".")[0] for _, name in form.places}.isdisjoint(OF_ISSUE):
            return None  # the HTML stands in the text, or the other way round
        size = frame.html_size + sum(issue.html_sizes.get(name, 0) for name in frame.printed)
        variant = Variant(form, size, tuple(name for name in frame.printed if name not in issue.html_sizes))
        self._keep(key, variant, _SIZE_OF_ISSUE)
        return variant

    def _begin_tally(self, letter: Letter, before: _Tally | None) -> _Tally:
        """Where most mails need a variant of their own, keeping them pays for nothing: for a while none is made."""
        exploded = before is not None and before.missed * 2 > before.asked
        known = before is not None and before.given_up
        tally = _Tally(-_GIVEN_UP_FOR if exploded else 0, given_up=exploded or known)
        if exploded and not known:
            log.info("mails_not_folded", kind=letter.kind.value, campaign=letter.campaign_id, mails=_GIVEN_UP_FOR)
        if len(self._tallies) >= _MOST_WORDS:
            self._tallies.clear()
        self._tallies[letter.kind if letter.campaign_id is None else letter.campaign_id] = tally
        return tally

    def _make(self, letter: Letter, key: Hashable, names: frozenset[str], now: datetime, make: Make) -> Variant | None:
        """With slots for what has one of these `names`."""
        marks = self._marks
        url = self._publisher.public_url
        links = Links(
            confirm="",
            unsubscribe=f"{url}/u/{marks['links.unsubscribe']}",
            control=f"{url}/c/{marks['links.control']}",
            private="",
            change="",
            receipt="",
            help=f"{url}/help",
            privacy=f"{url}/privacy",
            imprint=f"{url}/imprint",
            envelope_from="",
        )
        anybody = replace(letter, message_id=marks["message_id"], address=self._address_mark)
        words = {name: marks[name] for name in marks if name in names and name not in _LINKS}
        try:
            fields, text, html = make(anybody, links, now, words)
            fields = [b"Date: %s\r\n" % marks["date"].encode() if f.startswith(b"Date:") else f for f in fields]
            form = compose.form(
                fields,
                text,
                html,
                {
                    self._address_mark: "address",
                    marks["message_id"]: "message_id",
                    marks["date"]: "date",
                    marks["links.unsubscribe"]: "links.unsubscribe",
                    marks["subject"]: "subject",
                },
                {marks[name]: name if name in _LINKS else f"{name}.text" for name in (*_LINKS, *words)},
                {marks[name]: name if name in _LINKS else f"{name}.html" for name in (*_LINKS, *words)},
            )
        except (ValueError, ServiceError):
            return None
        printed = tuple(Counter({name: html.count(mark) for name, mark in words.items()}).elements())
        size = len(html.encode()) - sum(len(marks[name]) for name in printed)
        self._keep(key, variant := Variant(form, size, printed), form.size)
        return variant

    def _keep(self, key: Hashable, variant: Variant, size: int) -> None:
        if self._size + size > LARGEST_STORE:
            self._variants.clear()
            self._size = 0
        self._variants[key] = variant
        self._size += size

    def _greeting(self, letter: Letter) -> Words:
        key = (letter.language, letter.first_name)
        if (found := self._greetings.get(key)) is None:
            found = ready_words({"greeting": greeting(letter, self._catalogue)})
            _remember(self._greetings, key, found)
        return found

    def _reason(self, letter: Letter) -> Words:
        key = (letter.language, letter.imported, letter.given_at and letter.given_at.date())
        if (found := self._reasons.get(key)) is None:
            why = reason(letter, self._publisher, self._catalogue)
            found = ready_words({"reason": why, "reason_lines": wrap(why)})
            _remember(self._reasons, key, found)
        return found

    def _written_date(self, now: datetime) -> bytes:
        known, next_second, date = self._date
        if not known <= now < next_second or known.tzinfo is not now.tzinfo:
            known = now.replace(microsecond=0)
            date = format_datetime(known).encode()
            self._date = (known, known + timedelta(seconds=1), date)
        return date


def _remember(kept: dict[Any, Words], key: Hashable, words: Words) -> None:
    if len(kept) >= _MOST_WORDS:
        kept.clear()
    kept[key] = words
