"""DKIM: the signature of the From domain over a ready mail (RFC 6376; rsa-sha256, relaxed/relaxed, RFC 8301).

It is made last, over the very octets that go on the wire (B-06). The wording of h= depends on which fields a mail has,
and is kept, and so is what becomes of each line of a body: mails to many readers have most of their lines in common.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

FEWEST_BITS = 2048
"""What we make. Verifiers take 1024 as well (RFC 8301 §3.2); we sign with none of less (B-02)."""
OVERSIGNED = (
    *("from", "to", "cc", "subject", "date", "message-id", "reply-to"),
    *("mime-version", "content-type", "content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post"),
)
"""Named once more than they occur: one added on the way breaks the signature (B-04, A-23)."""
SIGNED = (
    *("list-id", "list-help", "list-owner", "list-post", "feedback-id", "cfbl-address", "cfbl-feedback-id"),
    *("auto-submitted", "content-language", "precedence"),
)
_LINE = 76
_SIGNATURE_LINE = 72
_MOST_PLANS = 100
_MOST_LINES = 20_000
_BLANKS = re.compile(rb"[ \t]+")


@dataclass(frozen=True, slots=True)
class _Plan:
    """How mails with the same fields are signed."""

    order: tuple[int, ...]
    """The fields in the order of h=."""
    named: bytes
    """The value of h=, folded."""


class Signer:
    """One domain, one selector, one key. Loading a key from its file takes 40 ms: one signer for each process."""

    def __init__(self, domain: str, selector: str, key: RSAPrivateKey) -> None:
        """Raises ValueError for a key that is too short to be trusted by anybody."""
        if key.key_size < FEWEST_BITS:
            raise ValueError(f"an RSA key of {key.key_size} bits is too short; it takes {FEWEST_BITS} or more")
        self.domain = domain
        self.selector = selector
        self._key = key
        self._first = (
            f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n d={domain};\r\n s={selector};".encode()
        )
        self._plans: dict[tuple[bytes, ...], _Plan] = {}
        self._lines = RelaxedLines()
        self._padding = padding.PKCS1v15()
        self._hash = Prehashed(hashes.SHA256())

    def sign(self, fields: bytes, body: bytes, at: int) -> bytes:
        """The field to put before `fields`. Both end in CRLF; the empty line between them belongs to neither.

        `at` are Unix seconds, for t= (B-07).
        """
        names, values = _relaxed_fields(fields)
        plan = self._plans.get(names)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[names] = _plan(names)
        body_hash = base64.b64encode(sha256(self._lines.body(body)).digest())
        field = b"%b t=%d;\r\n h=%b;\r\n bh=%b;\r\n b=" % (self._first, at, plan.named, body_hash)
        own = field.replace(b"\r\n ", b" ").replace(b"DKIM-Signature: ", b"dkim-signature:", 1)
        digest = sha256(b"".join([*[values[place] for place in plan.order], own])).digest()
        signature = base64.b64encode(self._key.sign(digest, self._padding, self._hash))
        lines = [signature[i : i + _SIGNATURE_LINE] for i in range(0, len(signature), _SIGNATURE_LINE)]
        return field + b"\r\n ".join(lines) + b"\r\n"

    def signed(self, data: bytes, at: int) -> bytes:
        """The whole mail with its signature before it."""
        head, _, body = data.partition(b"\r\n\r\n")
        return self.sign(head + b"\r\n", body, at) + data


class RelaxedLines(dict[bytes, bytes]):
    """What becomes of the lines of a body (RFC 6376 §3.4.4). Looking one up takes a fifth of working it out."""

    def body(self, body: bytes) -> bytes:
        """The whole of it."""
        relaxed = b"\r\n".join(map(self.__getitem__, body.split(b"\r\n")))
        if relaxed.endswith(b"\r\n") and not relaxed.endswith(b"\r\n\r\n") and relaxed != b"\r\n":
            return relaxed
        while relaxed.endswith(b"\r\n"):
            relaxed = relaxed[:-2]
        return relaxed + b"\r\n" if relaxed else b""

    def __missing__(self, line: bytes) -> bytes:
        if len(self) >= _MOST_LINES:
            self.clear()
        relaxed = self[line] = _BLANKS.sub(b" ", line).rstrip(b" ")
        return relaxed


def _relaxed_fields(fields: bytes) -> tuple[tuple[bytes, ...], list[bytes]]:
    """Names, and whole fields as they are hashed (RFC 6376 §3.4.2)."""
    fields = fields.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    if b"  " in fields or b"\t" in fields:
        fields = _BLANKS.sub(b" ", fields)
    names, values = [], []
    for line in fields.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name = name.rstrip(b" ").lower()
        names.append(name)
        values.append(b"%b:%b\r\n" % (name, value.strip(b" ")))
    return tuple(names), values


def _plan(names: Sequence[bytes]) -> _Plan:
    """Of a field that occurs several times the last comes first (RFC 6376 §5.4.2)."""
    order: list[int] = []
    named: list[bytes] = []
    for name in (*OVERSIGNED, *SIGNED):
        wanted = name.encode()
        places = [place for place, given in enumerate(names) if given == wanted]
        order += reversed(places)
        named += [wanted] * (len(places) + (name in OVERSIGNED))
    return _Plan(tuple(order), _folded(named))


def _folded(names: Sequence[bytes]) -> bytes:
    lines: list[bytes] = []
    line = b" h="
    for name in names:
        if len(line) + len(name) + 1 > _LINE:
            lines.append(line)
            line = b" "
        line += name + b":"
    return b"\r\n".join([*lines, line.removesuffix(b":")]).removeprefix(b" h=")
