"""Rendered parts and headers into the bytes of one message: multipart/alternative, quoted-printable, CRLF, 7 bit.

By hand rather than with email.message: that emits `8bit` bodies and damages long List-* items (A-03, A-15).
"""

import binascii
import secrets
from collections.abc import Iterable

from service.mail import headers


def message(fields: Iterable[bytes], text: str, html: str) -> bytes:
    """A whole message. `fields` are what `headers` made, without the MIME ones, which are added here.

    Raises `headers.HeaderError` for a field that stands twice, ValueError for a body that is empty or holds NUL.
    """
    # "=_" cannot occur in quoted-printable (RFC 2045 §6.7), so no body can hold the boundary.
    boundary = f"=_{secrets.token_hex(12)}"
    block = headers.serialise(
        [
            *fields,
            headers.structured("MIME-Version", "1.0"),
            headers.structured("Content-Type", f'multipart/alternative; boundary="{boundary}"'),
        ]
    )
    delimiter = f"--{boundary}".encode()
    # Least faithful first: a client shows the last part it can (RFC 2046 §5.1.4, A-19).
    return b"\r\n".join(
        [block, delimiter, _part("plain", text), delimiter, _part("html", html), delimiter + b"--", b""]
    )


def _part(subtype: str, body: str) -> bytes:
    if not body.strip() or "\0" in body:
        raise ValueError(f"the text/{subtype} body is empty or holds NUL")
    return (
        headers.structured("Content-Type", f"text/{subtype}; charset=utf-8")
        + headers.structured("Content-Transfer-Encoding", "quoted-printable")
        + b"\r\n"
        + _quoted_printable(body)
    )


def _quoted_printable(body: str) -> bytes:
    """Lines of at most 76 octets ending in CRLF; a lone CR counts as a line end, so none remains bare (A-01, A-03)."""
    lines = body.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n"
    return binascii.b2a_qp(lines.encode(), istext=True).replace(b"\n", b"\r\n")
