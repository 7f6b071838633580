"""Keyed values: tokens that act for a reader, and fingerprints of addresses. Pure; everything follows from one secret.

A token is AES-SIV (RFC 5297) over 16 packed bytes, in lower-case base32: 52 characters, opaque, deterministic, bound to
what it is for, valid after a relay has changed its case, and short enough for an envelope sender (C-01, A-26). Nothing
about it is stored; whether it may still be used (used once, expired) is a fact in the database.
"""

import base64
import binascii
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.domain.ledger import LedgerKeys
from service.domain.siv import Siv
from service.domain.words import Purpose

TOKEN_LENGTH = 52


class TokenKind(StrEnum):
    """What a token may be used for; one kind never opens as another."""

    CONFIRM = "confirm"
    """first = sign-up."""
    UNSUBSCRIBE = "unsubscribe"
    """first = subscriber, second = delivery, small = list, flag = purpose (0: all of it). Works for ever (A-29)."""
    UNDO = "undo"
    """first = subscriber, second = the consent event that withdrew. Stands only on the page after an unsubscribe."""
    CONTROL = "control"
    """first = subscriber. Topics, language and pause; never personal data (design §7)."""
    BOUNCE = "bounce"
    """first = delivery: the envelope sender (VERP)."""
    PRIVATE = "private"
    """first = subscriber, second = issued at (Unix seconds), small = a mark of the address that it was mailed to: what
    we hold, export, change of address, erasure. `private_access.seal_link` makes it."""
    ADDRESS_CHANGE = "address_change"
    """first = the change that its POST confirms (D-14)."""
    RECEIPT = "receipt"
    """first = the consent event. The receipt without personal data (D-10)."""
    FORM = "form"
    """first = form, second = issued at (Unix milliseconds), small = its language's place in `Language`, flag = 1 if
    shown again after a first POST."""


@dataclass(frozen=True, slots=True)
class Token:
    """The meaning of the fields depends on the kind. first, second < 2**48; small < 2**16; flag < 2**8."""

    kind: TokenKind
    first: int
    second: int = 0
    small: int = 0
    flag: int = 0


class Keys:
    """Keys derived from the installation's secret, each for one use (HKDF-SHA-256)."""

    def __init__(self, secret: str, address_secrets: Sequence[str] = ()) -> None:
        """`address_secrets` are the later keys for fingerprints of addresses, oldest first (D-16)."""
        self._secret = secret.encode()
        self.ledger = LedgerKeys(secret)
        self._siv = AESSIV(key := self._derive(b"tokens", 64))
        self._of_mail = Siv(
            key, [TokenKind.UNSUBSCRIBE.encode(), TokenKind.CONTROL.encode(), TokenKind.BOUNCE.encode()]
        )
        later = (HKDF(hashes.SHA256(), 32, None, b"milepost address hmac").derive(s.encode()) for s in address_secrets)
        self._address = (self._derive(b"address hmac", 32), *later)

    def seal(self, token: Token) -> str:
        numbers = token.first >> 32, token.first & 0xFFFFFFFF, token.second >> 32, token.second & 0xFFFFFFFF
        packed = _PACK.pack(token.small, token.flag, *numbers)
        return _text(self._siv.encrypt(packed, [token.kind.encode()]))

    def seal_mail(self, subscriber: int, delivery: int, list_id: int, flag: int) -> list[bytes]:
        """The three tokens that every mail has: to unsubscribe, for the control page, and for bounces.

        The same as `seal` gives one by one, in a fifth of the time. Not for several threads at once.
        """
        if (subscriber | delivery) >> _NUMBER or list_id >> _SMALL or flag >> _FLAG:
            raise ValueError("a number is too large for a token")
        unsubscribe = (list_id << 16 | flag << 8) << 2 * _NUMBER | subscriber << _NUMBER | delivery
        return self._of_mail.seal(unsubscribe << 256 | subscriber << 128 + _NUMBER | delivery << _NUMBER)

    def open(self, kind: TokenKind, text: str) -> Token | None:
        """The token, or None for anything that this installation did not seal for this kind."""
        if len(text) != TOKEN_LENGTH or not text.isascii():
            return None
        try:
            sealed = base64.b32decode(text.upper() + "====")
            packed = self._siv.decrypt(sealed, [kind.encode()])
        except (binascii.Error, InvalidTag):
            return None
        if _text(sealed) != text.lower():  # the last character has four bits that base32 ignores
            return None
        small, flag, first_high, first_low, second_high, second_low = _PACK.unpack(packed)
        return Token(kind, first_high << 32 | first_low, second_high << 32 | second_low, small, flag)

    @property
    def address_version(self) -> int:
        """How many keys a fingerprint has gone through; kept beside each."""
        return len(self._address)

    def address_hmac(self, key: str, version: int | None = None) -> bytes:
        """The fingerprint of a dedupe or abuse key; matches without telling the address (D-16).

        `version` asks for the fingerprint as it was made when there were only so many keys.
        """
        return self.rewrap(key.encode(), 0, version)

    def domain_hmac(self, domain: str) -> bytes:
        """The fingerprint of an address's domain, for noticing surges; never equal to that of an address (E-05)."""
        return self.address_hmac(f"domain {domain}")

    def rewrap(self, fingerprint: bytes, version: int, to: int | None = None) -> bytes:
        """A fingerprint of an earlier version as one of version `to`: each key is applied to the result before.

        So a new key works for addresses that nobody knows any more.
        """
        for key in self._address[version:to]:
            fingerprint = hmac.digest(key, fingerprint, "sha256")
        return fingerprint

    def _derive(self, use: bytes, length: int) -> bytes:
        return HKDF(hashes.SHA256(), length, salt=None, info=b"milepost " + use).derive(self._secret)


def purpose_flag(purpose: Purpose | None) -> int:
    """How a token's `flag` names a purpose; 0 names none. The order of `Purpose` is therefore never changed (A-29)."""
    return 0 if purpose is None else _FLAGS[purpose]


def purpose_from_flag(flag: int) -> Purpose | None:
    """The purpose that a token's `flag` names, or None for 0 and for numbers that no purpose has."""
    purposes = list(Purpose)
    return purposes[flag - 1] if 0 < flag <= len(purposes) else None


def api_token_hash(token: str) -> bytes:
    """API tokens are long and random, so a plain hash is enough at rest."""
    return sha256(token.encode()).digest()


_PACK = struct.Struct(">HBxHIHI")
"""small 16 bits, flag 8, one byte of padding, then two 48-bit numbers: 16 bytes."""


_NUMBER, _SMALL, _FLAG = 48, 16, 8
"""Bits of the fields."""
_FLAGS = {purpose: flag for flag, purpose in enumerate(Purpose, 1)}


def _text(sealed: bytes) -> str:
    return base64.b32encode(sealed).decode().rstrip("=").lower()
