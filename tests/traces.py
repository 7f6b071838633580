"""Every way in which an address can stand in a file, and a search for all of them at once (D-15)."""

import base64
import json
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote


def spellings(address: str) -> dict[str, bytes]:
    """Name → octets. The local part alone is looked for as well: it names a person nearly as surely."""
    local, _, domain = address.partition("@")
    found: dict[str, bytes] = {}
    for name, text in {
        "address": address,
        "local part": local,
        "local part without its tag": local.partition("+")[0],
        "punycode": f"{local}@{domain.encode('idna').decode()}",
    }.items():
        plain = text.encode()
        found |= {
            name: plain,
            f"{name}, percent-encoded": quote(text, safe="").encode(),
            f"{name}, quoted-printable": b"".join(b"=%02X" % c if c in b"=@+" else bytes([c]) for c in plain),
            f"{name}, every octet percent-encoded": b"".join(b"%%%02X" % c for c in plain),
            f"{name}, hexadecimal": plain.hex().encode(),
            f"{name}, UTF-16": text.encode("utf-16-le"),
            f"{name}, UTF-16 big end first": text.encode("utf-16-be"),
            f"{name}, reversed": plain[::-1],
            f"{name}, escaped as JSON": "".join(f"\\u{ord(c):04x}" for c in text).encode(),
            f"{name}, escaped where it must be": json.dumps(text)[1:-1].replace("@", r"\u0040").encode(),
            f"{name}, as HTML entities": text.replace("@", "&#64;").replace("+", "&#43;").encode(),
        }
        for shift in range(3):
            found[f"{name}, base64 at {shift}"] = _base64_core(plain, shift)
    return {name: octets.lower() for name, octets in found.items()}


def _base64_core(plain: bytes, shift: int) -> bytes:
    """The characters that are the same whatever stands before and after."""
    encoded = base64.b64encode(b"\0" * shift + plain).rstrip(b"=")
    start = {0: 0, 1: 2, 2: 3}[shift]
    whole = (shift + len(plain)) * 8 // 6  # the last character may depend on what follows
    return encoded[start:whole]


def find_traces(octets: bytes, address: str) -> list[str]:
    """The names of the spellings that `octets` holds, in any case of letters, also across soft line breaks."""
    lowered = octets.lower()
    # A quoted-printable or base64 line may end in the middle.
    joined = re.sub(rb"=?\r?\n[ \t]?", b"", lowered)
    hidden = _decoded_hex(lowered)
    return [
        name
        for name, spelling in spellings(address).items()
        if spelling in lowered or spelling in joined or any(spelling in part for part in hidden)
    ]


def _decoded_hex(octets: bytes) -> list[bytes]:
    """What long hexadecimal strings say: PostgreSQL writes bytea so."""
    return [
        bytes.fromhex(match.decode()[: len(match) // 2 * 2]).lower() for match in re.findall(rb"[0-9a-f]{16,}", octets)
    ]


def find_in_files(paths: Iterable[Path], address: str) -> dict[str, list[str]]:
    """File → spellings found."""
    return {str(path): found for path in paths if path.is_file() and (found := find_traces(path.read_bytes(), address))}
