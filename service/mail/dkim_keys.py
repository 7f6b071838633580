"""The keys that sign: one file for each selector, and one that says which of them signs since when.

state_dir/dkim/
├── keys.json       domain and dates of each selector; nothing secret
└── SELECTOR.pem    a private key, mode 0600 (B-10)
"""

import base64
import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from service.errors import ConfigurationError, Kind, ServiceError
from service.mail.dkim import FEWEST_BITS, Signer

_LONGEST_STRING = 255
"""Octets of one string in a TXT record (RFC 1035 §3.3)."""
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class SigningKey:
    selector: str
    domain: str
    created_at: str
    signing_since: str | None = None
    signed_until: str | None = None
    """It signed before; its record stays published until what it signed has arrived everywhere (B-09)."""
    record: str = ""
    """The text of its TXT record, in one piece."""

    @property
    def name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def strings(self) -> tuple[str, ...]:
        """The record as DNS holds it."""
        return tuple(self.record[i : i + _LONGEST_STRING] for i in range(0, len(self.record), _LONGEST_STRING))

    @property
    def signs(self) -> bool:
        return self.signing_since is not None and self.signed_until is None


class KeyDirectory:
    """`dkim` in the state directory."""

    def __init__(self, state_dir: Path, domain: str) -> None:
        self.path = state_dir / "dkim"
        self.domain = domain

    def keys(self) -> tuple[SigningKey, ...]:
        """Oldest first; none where none was made. Raises ConfigurationError."""
        file = self.path / "keys.json"
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            return tuple(SigningKey(**each) for each in found)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(f"{file} cannot be used: {error}. Nothing was started or changed.") from None

    def signing(self) -> SigningKey | None:
        return next((key for key in self.keys() if key.signs and key.domain == self.domain), None)

    def signer(self) -> Signer | None:
        """With the key that signs; None where none does. Raises ConfigurationError for one that cannot be used."""
        signing = self.signing()
        if signing is None:
            return None
        return Signer(signing.domain, signing.selector, self._load(signing.selector))

    def make(self, now: datetime) -> SigningKey:
        """A key under a selector of its own. It signs once it is rotated to."""
        keys = self.keys()
        taken = {key.selector for key in keys}
        stem = f"mp{now:%Y%m}"
        selector = next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if name not in taken)
        key = rsa.generate_private_key(public_exponent=65537, key_size=FEWEST_BITS)
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        made = SigningKey(
            selector, self.domain, _written(now), record=f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"
        )
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(f"{selector}.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self._save((*keys, made))
        return made

    def rotate(self, now: datetime) -> SigningKey:
        """The newest key that never signed signs from now on. Raises ServiceError where there is none."""
        keys = self.keys()
        fresh = [key for key in keys if key.signing_since is None and key.domain == self.domain]
        if not fresh:
            raise ServiceError(
                Kind.CONFLICT, "no_new_key", "There is no key that has not signed yet; nothing was changed. Make one: "
                "`milepost dkim new`.",
            )  # fmt: skip
        self._load(fresh[-1].selector)
        return self._sign_with(fresh[-1], now)

    def undo(self, now: datetime) -> SigningKey:
        """The key before signs again."""
        before = [key for key in self.keys() if key.signed_until is not None and key.domain == self.domain]
        if not before:
            raise ServiceError(Kind.CONFLICT, "no_old_key", "No other key has signed before; nothing was changed.")
        return self._sign_with(max(before, key=lambda key: key.signed_until or ""), now)

    def _sign_with(self, chosen: SigningKey, now: datetime) -> SigningKey:
        self._load(chosen.selector)
        changed = replace(chosen, signing_since=_written(now), signed_until=None)
        self._save(
            tuple(
                changed
                if key.selector == chosen.selector
                else replace(key, signed_until=_written(now))
                if key.signs
                else key
                for key in self.keys()
            )
        )
        return changed

    def _load(self, selector: str) -> rsa.RSAPrivateKey:
        file = self.path / f"{selector}.pem"
        try:
            if file.stat().st_mode & _OTHERS:
                raise ConfigurationError(
                    f"{file} can be read by others than its owner, so whoever read it may sign in your name. Nothing "
                    f"was started or changed. Make another key (`milepost dkim new`), or: chmod 600 {file}"
                )
            key = load_pem_private_key(file.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(
                f"The DKIM key {file} cannot be used ({type(error).__name__}). Nothing was started or changed. Put it "
                "back from your backup, or make another: `milepost dkim new`."
            ) from None
        if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < FEWEST_BITS:
            raise ConfigurationError(
                f"The DKIM key {file} is no RSA key of {FEWEST_BITS} bits or more. Nothing was started or changed. "
                "Make another: `milepost dkim new`."
            )
        return key

    def _save(self, keys: tuple[SigningKey, ...]) -> None:
        self._write("keys.json", json.dumps([asdict(key) for key in keys], indent=2).encode() + b"\n")

    def _write(self, name: str, whole: bytes) -> None:
        """In full before it has its name."""
        descriptor, part = tempfile.mkstemp(dir=self.path)  # mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(whole)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(self.path / name)


def _written(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="seconds")
