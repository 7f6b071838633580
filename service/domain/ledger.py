"""The ledger's arithmetic: what of a consent event is signed, how events are chained, what sealing and shredding need.

Each subject's events form a chain: an event's hash covers its record and the hash before it, and a MAC under a key that
the database does not have covers the hash. Who can write to the database but lacks the key can therefore neither
change, forge, reorder nor leave out an event within a chain; whole chains and their ends are held by the checkpoints
(`service/domain/merkle.py`). Personal fields are encrypted with a key per subject: destroying the key destroys them and
leaves the chain whole.
"""

import hmac
import json
import os
import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SCHEMA_VERSION = 1
BEGINNING = bytes(32)
"""What stands before a subject's first event."""
NONCE = 12

Record = Mapping[str, Any]
"""What of an event everybody may see: strings, whole numbers, booleans and None only, so that it has one spelling."""


def canonical(record: Record) -> bytes:
    """The one spelling of a record that hashes and signatures are made over (as RFC 8785 for these types)."""
    return _SPELLER.encode(record).encode()


_SPELLER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def event_hash(record: Record) -> bytes:
    """`record["prev"]` is the hash of the subject's event before, so this hash stands for all of them."""
    return sha256(canonical(record)).digest()


def spell_time(at: datetime) -> str:
    """UTC with microseconds, which is what the database keeps: 2026-03-02T09:00:00.000000Z."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def new_record_id(now: float) -> uuid.UUID:
    """A UUIDv7 (RFC 9562 §5.7): ids sort by the millisecond in which they were made."""
    milliseconds = int(now * 1000)
    number = milliseconds << 80 | int.from_bytes(secrets.token_bytes(10), "big")
    number = number & ~(0xF << 76) | 7 << 76
    return uuid.UUID(int=number & ~(0x3 << 62) | 2 << 62)


class LedgerKeys:
    """The keys of the ledger; none of them is ever in the database."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._chain = self._derive(b"ledger chain")
        self._wrapping = AESGCM(self._derive(b"ledger subject keys"))
        self._signing = Ed25519PrivateKey.from_private_bytes(self._derive(b"ledger signing"))

    def mac(self, hash_: bytes) -> bytes:
        """What only this installation can say about an event's hash."""
        return hmac.digest(self._chain, hash_, "sha256")

    def new_subject_key(self, subscriber_id: int) -> tuple[bytes, bytes]:
        """A key for one subject: (as used, as stored)."""
        return self._new_key(str(subscriber_id))

    def new_import_key(self, import_id: int) -> tuple[bytes, bytes]:
        """A key for the rows of one import, as a subject's: (as used, as stored)."""
        return self._new_key(f"import {import_id}")

    def unwrap(self, subscriber_id: int, stored: bytes) -> bytes:
        """The subject's key. Raises ValueError if it was stored for somebody else or under another secret."""
        return self._unwrap(str(subscriber_id), stored)

    def unwrap_import(self, import_id: int, stored: bytes) -> bytes:
        """The key of an import's rows. Raises ValueError as `unwrap`."""
        return self._unwrap(f"import {import_id}", stored)

    def sign(self, message: bytes) -> bytes:
        """An Ed25519 signature (RFC 8032)."""
        return self._signing.sign(message)

    @property
    def public_key(self) -> bytes:
        """32 bytes; with it alone anybody can check a checkpoint or an exported proof."""
        return self._signing.public_key().public_bytes_raw()

    def _new_key(self, owner: str) -> tuple[bytes, bytes]:
        key = AESGCM.generate_key(256)
        nonce = os.urandom(NONCE)
        return key, nonce + self._wrapping.encrypt(nonce, key, owner.encode())

    def _unwrap(self, owner: str, stored: bytes) -> bytes:
        try:
            return self._wrapping.decrypt(stored[:NONCE], stored[NONCE:], owner.encode())
        except InvalidTag:
            raise ValueError("this key was not stored by this installation for this owner") from None

    def _derive(self, use: bytes) -> bytes:
        return HKDF(hashes.SHA256(), 32, salt=None, info=b"milepost " + use).derive(self._secret)


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def encrypt(key: bytes, plain: bytes, context: bytes) -> bytes:
    """AES-256-GCM under a subject's key, bound to `context` (the record's id, say)."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(place_key(key, context)).encrypt(nonce, plain, context)


def decrypt(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Raises ValueError for what was not encrypted under this key for this context."""
    return decrypt_place(place_key(key, context), sealed, context)


def place_key(key: bytes, context: bytes) -> bytes:
    """The key of one place only. A proof can give it away: it opens one event and none that is made later."""
    return hmac.digest(key, b"milepost place " + context, "sha256")


def decrypt_place(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """As `decrypt`, with the key of the place."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], context)
    except (InvalidTag, ValueError):
        raise ValueError("not encrypted under this key for this place") from None
