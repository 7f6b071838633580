"""Rendered parts and headers into the bytes of one message: multipart/alternative, quoted-printable, CRLF, 7 bit.

By hand rather than with email.message: that emits `8bit` bodies and damages long List-* items (A-03, A-15).
"""

import secrets
from collections.abc import Iterable, Mapping

from service.mail import headers
from service.mail.slots import Form, join, plain_form, quoted_form


def message(fields: Iterable[bytes], text: str, html: str) -> bytes:
    """A whole message. `fields` are what `headers` made, without the MIME ones, which are added here.

    No line begins with a dot. Raises `headers.HeaderError` for a field that stands twice, ValueError for a body that is
    empty or holds NUL.
    """
    return form(fields, text, html, {}, {}, {}).fill({})


def form(
    fields: Iterable[bytes],
    text: str,
    html: str,
    head_marks: Mapping[str, str],
    text_marks: Mapping[str, str],
    html_marks: Mapping[str, str],
) -> Form:
    """The same with slots where marks stand in it: their names, by mark, for each of the three places."""
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
    return join(
        [
            plain_form(block + b"\r\n" + delimiter + b"\r\n" + _part_head("plain"), head_marks),
            quoted_form(_lines("plain", text), text_marks),
            plain_form(b"\r\n" + delimiter + b"\r\n" + _part_head("html"), {}),
            quoted_form(_lines("html", html), html_marks),
            plain_form(b"\r\n" + delimiter + b"--\r\n", {}),
        ]
    )


def _part_head(subtype: str) -> bytes:
    return (
        headers.structured("Content-Type", f"text/{subtype}; charset=utf-8")
        + headers.structured("Content-Transfer-Encoding", "quoted-printable")
        + b"\r\n"
    )


def _lines(subtype: str, body: str) -> str:
    """A lone CR counts as a line end, so none remains bare (A-01, A-03)."""
    if not body.strip() or "\0" in body:
        raise ValueError(f"the text/{subtype} body is empty or holds NUL")
    return body.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n"
