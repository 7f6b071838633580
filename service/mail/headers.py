"""Header fields as bytes: our own serialiser, as the standard library's mangles long List-* items and lets NUL pass.

Each function makes one kind of field and returns its lines, CRLF included. A value that holds a line break or another
control character is refused with `HeaderError`, never cleaned (A-16); refusing here comes after every merge.
"""

import base64
import re
from collections.abc import Iterable, Sequence

LONGEST_LINE = 998
"""Octets without CRLF (RFC 5322 §2.1.1, A-02)."""
_FOLD_AT = 76
"""A line that holds an encoded-word has at most 76 characters (RFC 2047 §2)."""
_LONGEST_ENCODED_WORD = 75

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""C0 and C1 controls (CR, LF, NUL and U+0085 are among them), the Unicode line ends, lone surrogates."""
_NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_PLAIN_TEXT = re.compile(r"[!-~]{1,60}( [!-~]{1,60})*")
"""May stand in an unstructured field as it is: folding at its blanks keeps every line short."""
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_UNENCODED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
"""What the "Q" encoding may leave as it is everywhere, in a phrase too (RFC 2047 §5 rule 3)."""


class HeaderError(ValueError):
    """A value may not stand in this header. The message names the header and never repeats the value."""


def unstructured(name: str, value: str) -> bytes:
    """Subject and the like: folded at blanks, or as encoded-words of whole characters (RFC 2047)."""
    _check(name, value)
    if not value.strip():
        raise HeaderError(f"{name}: the value is empty.")
    # A literal "=?" would be decoded by the reader's client, so it is encoded too.
    if _PLAIN_TEXT.fullmatch(value) and "=?" not in value:
        words = value.split(" ")
    else:
        words = list(_encoded_words(value, _room(name)))
    return _folded(name, words)


def mailbox(name: str, display_name: str | None, address: str) -> bytes:
    """Exactly one mailbox (A-07, A-12). The address is ASCII, its domain in A-label form."""
    _check(name, address)
    if not _ADDRESS.fullmatch(address):
        raise HeaderError(f"{name}: the address is not a plain ASCII mailbox.")
    if not display_name:
        return _folded(name, [address])
    _check(name, display_name)
    if _ATOMS.fullmatch(display_name) and "=?" not in display_name and len(display_name) <= _FOLD_AT // 2:
        words = [display_name]
    elif _PLAIN_TEXT.fullmatch(display_name) and "=?" not in display_name and len(display_name) <= _FOLD_AT // 2:
        words = ['"{}"'.format(display_name.replace("\\", r"\\").replace('"', r"\""))]
    else:
        words = list(_encoded_words(display_name, _room(name)))
    return _folded(name, [*words, f"<{address}>"])


def items(name: str, values: Sequence[str], label: str = "") -> bytes:
    """List-*: each value stands whole between `<` and `>`; lines break between items only (A-15, A-22).

    `label` comes before the first item as a quoted string; one that is not ASCII is left out, since an encoded-word
    is not allowed here (A-15).
    """
    for value in values:
        _check(name, value)
        if not value.isascii() or not value or any(c in " <>" for c in value):
            raise HeaderError(f"{name}: an item is not a URI or identifier of printable ASCII characters.")
    _check(name, label)
    quoted = ""
    if label and label.isascii() and "=?" not in label:
        quoted = '"{}"'.format(label.replace("\\", r"\\").replace('"', r"\""))
        fits = len(f"{name}: {quoted} <{values[0]}>") <= _FOLD_AT
        quoted += " " if fits else "\r\n "
    return _line(name, quoted + ",\r\n ".join(f"<{value}>" for value in values))


def structured(name: str, value: str) -> bytes:
    """Any other field: printable ASCII on one line, nothing encoded (Message-ID, Date, Feedback-ID, MIME fields)."""
    _check(name, value)
    if not value.isascii() or value != value.strip() or not value or "=?" in value:
        raise HeaderError(f"{name}: the value is not one run of printable ASCII characters.")
    return _line(name, value)


def serialise(fields: Iterable[bytes]) -> bytes:
    """The header block, without the empty line after it. No field stands in it twice (A-06)."""
    block = list(fields)
    names = [field.partition(b":")[0].lower() for field in block]
    if len(set(names)) != len(names):
        raise HeaderError("A header field would stand in the message twice.")
    return b"".join(block)


def _room(name: str) -> int:
    """What the first line has left for an encoded-word."""
    return min(_FOLD_AT - len(name) - len(": "), _LONGEST_ENCODED_WORD)


def _check(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise HeaderError("A header's name holds characters that no name may hold.")
    if _FORBIDDEN.search(value):
        raise HeaderError(f"{name}: the value holds a line break or another control character.")


def _line(name: str, value: str) -> bytes:
    field = f"{name}: {value}\r\n".encode("ascii")
    if any(len(line) > LONGEST_LINE for line in field.split(b"\r\n")):
        raise HeaderError(f"{name}: the value is too long for a line of {LONGEST_LINE} octets.")
    return field


def _folded(name: str, words: Iterable[str]) -> bytes:
    lines, line = [], f"{name}:"
    for word in words:
        if len(line) + 1 + len(word) > _FOLD_AT and line != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {word}"
    return _line(name, "\r\n".join([*lines, line]).removeprefix(f"{name}: "))


def _encoded_words(value: str, room: int) -> Iterable[str]:
    """`room` is what the first line has left; each word holds whole characters (RFC 2047 §5)."""
    encode = min(_q_word, _b_word, key=lambda encode: len(encode(value)))
    pending = ""
    for character in value:
        if pending and len(encode(pending + character)) > room:
            yield encode(pending)
            room, pending = _LONGEST_ENCODED_WORD, ""
        pending += character
    yield encode(pending)


def _b_word(text: str) -> str:
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


def _q_word(text: str) -> str:
    quoted = "".join(chr(byte) if byte in _UNENCODED else f"={byte:02X}" for byte in text.encode())
    return f"=?utf-8?q?{quoted.replace('=20', '_')}?="
