"""The gate before the feed parser: decodes a body and refuses what is broken, huge, or no feed.

Everything that a feed parser does with time or memory out of proportion (entities, DTDs, endless lists, deep nesting)
is refused here, in one pass of expat that keeps nothing. All refusals are ServiceErrors that say the line.
"""

import codecs
import re
from xml.parsers import expat

from service.errors import Kind, ServiceError

MOST_ITEMS = 5_000
MOST_ELEMENTS = 200_000
DEEPEST = 100
MOST_CATEGORIES = 300
"""For one item: the feed parser compares each with all others."""
LONGEST_NAME = 1_000
"""Characters in what names people or keywords: the feed parser looks for addresses in it, in quadratic time."""

_ATOM = "http://www.w3.org/2005/Atom"
_NAMES = frozenset({"author", "creator", "name", "publisher", "managingEditor", "webMaster", "email", "keywords"})
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")
_DECLARED = re.compile(rb"\s*<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_AS_BROWSERS_DO = {"iso8859-1": "cp1252", "ascii": "utf-8"}


def decode(body: bytes, charset: str | None) -> str:
    """The document's text without its XML declaration, line numbers kept. RFC 7303 §3: mark, charset, declaration."""
    declared = _DECLARED.match(body[:1000])
    name = next((encoding for mark, encoding in _MARKS if body.startswith(mark)), None) or charset
    name = name or (declared[1].decode("ascii") if declared else "utf-8")
    try:
        codec = codecs.lookup(name).name
        text = body.decode(_AS_BROWSERS_DO.get(codec, codec))
    except LookupError:
        raise _refusal("feed_encoding", f"it claims an unknown encoding, {name[:40]!r}") from None
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise _refusal("feed_encoding", f"line {line} is not the {name[:40]} that it claims to be") from None
    text = text.removeprefix("\ufeff")
    prefix = _DECLARATION.match(text)
    return "\n" * prefix[0].count("\n") + text[prefix.end() :] if prefix else text


def check(document: bytes) -> None:
    """Refuse a UTF-8 document that is not a well-formed RSS or Atom feed within bounds."""
    parser = expat.ParserCreate("utf-8", " ")
    scan = _Scan(parser)
    parser.StartDoctypeDeclHandler = scan.doctype
    parser.StartElementHandler = scan.start
    parser.EndElementHandler = scan.end
    parser.CharacterDataHandler = scan.text
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        if scan.elements == 0:
            raise _not_a_feed() from None
        reason = expat.ErrorString(error.code)
        raise _refusal("feed_broken", f"line {error.lineno} is not well-formed XML ({reason})") from None


class _Scan:
    """What has been seen so far."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self._parser = parser
        self.elements = 0
        self._depth = 0
        self._items = 0
        self._categories = 0
        self._naming_since = 0
        """How deep the outermost naming element lies that is open; 0: none is."""
        self._name_length = 0

    def doctype(self, name: str, _system: str | None, _public: str | None, _internal: int) -> None:
        if name.lower() == "html":
            raise _not_a_feed()
        raise self._refuse("feed_unsafe", "declares a DOCTYPE, through which entities could be smuggled in")

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if self.elements == 0 and not (local == "rss" or (local == "feed" and namespace == _ATOM)):
            raise _not_a_feed()
        self.elements += 1
        self._depth += 1
        if local in ("item", "entry"):
            self._items += 1
            self._categories = 0
        elif local == "category":
            self._categories += 1
        if local in _NAMES and not self._naming_since:
            self._naming_since, self._name_length = self._depth, 0
        if self._items > MOST_ITEMS:
            raise _refusal("feed_too_long", f"it holds more than {MOST_ITEMS:,} items", "Have it list the newest only.")
        if self.elements > MOST_ELEMENTS or self._depth > DEEPEST or self._categories > MOST_CATEGORIES:
            raise self._refuse("feed_too_complex", "has more elements, levels or categories than a feed needs")

    def end(self, _name: str) -> None:
        if self._depth == self._naming_since:
            self._naming_since = 0
        self._depth -= 1

    def text(self, text: str) -> None:
        if self._naming_since:
            self._name_length += len(text)
            if self._name_length > LONGEST_NAME:
                raise self._refuse("feed_too_complex", "names somebody in more characters than a name has")

    def _refuse(self, code: str, what: str) -> ServiceError:
        return _refusal(code, f"line {self._parser.CurrentLineNumber} {what}")


def _not_a_feed() -> ServiceError:
    return _refusal("not_a_feed", "what came is neither RSS 2.0 nor Atom", "Check the address of the feed.")


def _refusal(code: str, what: str, next_step: str = "Have its publisher mend it.") -> ServiceError:
    return ServiceError(Kind.INVALID, code, f"The feed cannot be read: {what}. Nothing was changed. {next_step}")
