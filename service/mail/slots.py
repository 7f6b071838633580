"""Bytes of a mail with slots in them: where a template only prints a value of the reader's, and how it is filled in.

What a template does with a value is read from its syntax tree. Only `{{ greeting }}` itself may be a slot: whatever is
filtered, compared, assigned or handed on would come out differently for another value.
"""

import binascii
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, nodes
from markupsafe import escape

_FOUND_WHOLE = (nodes.Template, nodes.Output, nodes.If, nodes.With)
"""What is printed in these is printed as it is. A loop is one too, unless it calls itself."""
_LINE = 76
_UNSOUND = re.compile(r"[\r\0]|^\s|\s$|\n\s*\n")
"""In a text part, empty lines and blanks at the ends of a value change what is around it."""
_ONE_TOO_MANY = re.compile(rb"(?m)^(.{74,75})(=20|=09)$")
"""What binascii makes of a line with a blank at its end, if it is just as long."""
_AT_RISK = re.compile(rb"(?m)^(?:\.|From )")
"""A leading dot is doubled on the wire, a leading "From " gets a > in some mailboxes."""


def computed(environment: Environment, template: str, paths: Iterable[str]) -> frozenset[str]:
    """Which of `paths` ("greeting", "links.control") the template, or one that it includes, does more with than print.

    All of them, where it cannot be told which template is included.
    """
    return _used(environment, template, frozenset(paths), printed_too=False)


def used_at_all(environment: Environment, template: str, paths: Iterable[str]) -> frozenset[str]:
    """Which of `paths` the template names at all, if only to print it."""
    return _used(environment, template, frozenset(paths), printed_too=True)


def _used(environment: Environment, template: str, wanted: frozenset[str], *, printed_too: bool) -> frozenset[str]:
    used: set[str] = set()
    seen: set[str] = set()
    pending = [template]
    while pending:
        name = pending.pop()
        if name in seen or environment.loader is None:
            continue
        seen.add(name)
        source, _, _ = environment.loader.get_source(environment, name)
        reading = _Reading(wanted, used, pending)
        reading.read(environment.parse(source), whole=not printed_too)
    return frozenset(used)


@dataclass(slots=True)
class _Reading:
    wanted: frozenset[str]
    used: set[str]
    included: list[str]

    def read(self, node: nodes.Node, *, whole: bool) -> None:
        match node:
            case nodes.Include() if whole and isinstance(node.template, nodes.Const):
                self.included.append(str(node.template.value))
                return
            case nodes.Include() | nodes.Import() | nodes.FromImport() | nodes.Extends():
                self.used |= self.wanted
            case nodes.Macro() if node.name in self.wanted:
                self.used |= self.wanted
            case nodes.Name() | nodes.Getattr() | nodes.Getitem() if (path := _path(node)) is not None:
                self.used |= {known for known in self.wanted if known == path or known.startswith(f"{path}.")}
                self.used |= {known for known in self.wanted if path.startswith(f"{known}.")}
                return
        whole = whole and (isinstance(node, _FOUND_WHOLE) or (isinstance(node, nodes.For) and not node.recursive))
        for child in node.iter_child_nodes():
            if whole and isinstance(node, nodes.Output) and _path(child) in self.wanted:
                continue
            self.read(child, whole=whole)


def _path(node: nodes.Node) -> str | None:
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr() if (before := _path(node.node)) is not None:
            return f"{before}.{node.attr}"
        case nodes.Getitem() if isinstance(node.arg, nodes.Const) and (before := _path(node.node)) is not None:
            return f"{before}.{node.arg.value}"
    return None


def a_mark(length: int = 52) -> str:
    """Stands for a value while a variant is rendered. As long as a token and of its letters; nobody can guess one."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(length))


@dataclass(frozen=True, slots=True)
class Form:
    """Ready bytes, and the places in them that each mail fills."""

    pieces: tuple[bytes, ...]
    places: tuple[tuple[int, str], ...]
    """Which piece is whose."""

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        pieces = list(self.pieces)
        for place, name in self.places:
            pieces[place] = values[name]
        return b"".join(pieces)

    def partly(self, values: Mapping[str, Sequence[bytes]]) -> "Form":
        """With some of the places filled already, each by one piece after the other."""
        names = dict(self.places)
        pieces: list[bytes] = []
        places = []
        for place, piece in enumerate(self.pieces):
            if (name := names.get(place)) is None:
                pieces.append(piece)
            elif name in values:
                pieces += values[name]
            else:
                places.append((len(pieces), name))
                pieces.append(b"")
        return Form(tuple(pieces), tuple(places))


def join(forms: Sequence[Form]) -> Form:
    pieces: list[bytes] = []
    places: list[tuple[int, str]] = []
    for form in forms:
        places += [(len(pieces) + place, name) for place, name in form.places]
        pieces += form.pieces
    return Form(tuple(pieces), tuple(places))


def plain_form(text: bytes, marks: Mapping[str, str]) -> Form:
    """Of a header block: what is filled in stands there as it is. `marks` are names by mark."""
    return _form(_split(text.decode(), marks), marks)


def quoted_form(text: str, marks: Mapping[str, str]) -> Form:
    """Of a body: a soft line break on either side of a slot keeps every line short, whatever is filled in."""
    found = _split(text, marks)
    pieces: list[bytes | str] = []
    for place, piece in enumerate(found):
        if place % 2:
            pieces.append(piece)
            continue
        encoded = quoted(piece)
        if place and not piece.startswith("\n"):
            encoded = b"=\r\n" + encoded
        if place + 1 < len(found) and encoded and not encoded.endswith(b"\r\n"):
            encoded = room_for_break(encoded) + b"=\r\n"
        pieces.append(encoded)
    return _form(pieces, marks)


def quoted(text: str) -> bytes:
    """Quoted-printable with CRLF, for the beginning of a line. None of its lines begins with a dot or "From "."""
    encoded = _ONE_TOO_MANY.sub(rb"\1=\n\2", binascii.b2a_qp(text.encode(), istext=True))
    if _AT_RISK.search(encoded):
        encoded = b"\n".join(_guarded(line) for line in encoded.split(b"\n"))
    return encoded.replace(b"\n", b"\r\n")


def room_for_break(encoded: bytes) -> bytes:
    """With its last line broken if the `=` of a soft line break would be one octet too many."""
    if len(encoded) - encoded.rfind(b"\n") - 1 < _LINE:
        return encoded
    tail = 3 if encoded[-3:-2] == b"=" else 1
    return encoded[:-tail] + b"=\r\n" + _guarded(encoded[-tail:])


@dataclass(frozen=True, slots=True)
class Words:
    """Words ready for each place: many readers have the same name or came on the same day."""

    said: dict[str, str]
    filled: dict[str, bytes]
    html_sizes: dict[str, int]


def ready_words(said: dict[str, str]) -> Words:
    """Raises ValueError for what would not come out the same in a slot."""
    filled, sizes = {}, {}
    for name, value in said.items():
        if not value or _UNSOUND.search(value):
            raise ValueError(f"{name} does not fit a slot")
        html = str(escape(value))
        filled[f"{name}.text"] = room_for_break(quoted(value))
        filled[f"{name}.html"] = room_for_break(quoted(html))
        sizes[name] = len(html.encode())
    return Words(said, filled, sizes)


def _guarded(line: bytes) -> bytes:
    if not _AT_RISK.match(line):
        return line
    first, rest = b"=%02X" % line[0], line[1:]
    return first + rest if len(first) + len(rest) <= _LINE else first + b"=\n" + _guarded(rest)


def _split(text: str, marks: Mapping[str, str]) -> list[str]:
    """Words and marks, taking turns; words at both ends."""
    if not marks:
        return [text]
    return re.split("(" + "|".join(map(re.escape, marks)) + ")", text)


def _form(pieces: Sequence[bytes | str], marks: Mapping[str, str]) -> Form:
    places = tuple((place, marks[str(piece)]) for place, piece in enumerate(pieces) if place % 2)
    ready = tuple(
        b"" if place % 2 else piece if isinstance(piece, bytes) else piece.encode()
        for place, piece in enumerate(pieces)
    )
    return Form(ready, places)
