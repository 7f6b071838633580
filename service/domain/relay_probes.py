"""What a relay made of a mail: the bytes that were sent against those that arrived (D-34)."""

from collections.abc import Iterator

TRACE = (b"return-path", b"received", b"received-spf", b"delivered-to", b"authentication-results", b"dkim-signature")
"""What hops are meant to add (RFC 5321 §4.4, RFC 8601, RFC 6376), and signing for us is welcome."""
TRACE_FAMILIES = (b"arc-", b"x-")


def compare(sent: bytes, received: bytes) -> list[str]:
    """What is not as it was sent, each in one sentence; empty if the relay only carried it."""
    sent_fields, sent_body = _split(sent)
    got_fields, got_body = _split(received)
    return [*_compare_fields(sent_fields, got_fields), *_compare_bodies(sent_body, got_body)]


def _compare_fields(sent: list[bytes], got: list[bytes]) -> Iterator[str]:
    for field in sent:
        name = _name(field)
        values = [other for other in got if _name(other) == name]
        if not values:
            yield f"The header {_said(name)} is gone."
        elif field not in values:
            yield f"The header {_said(name)} was changed: {_said(field)!r} arrived as {_said(values[0])!r}."
    known = {_name(field) for field in sent}
    for field in got:
        name = _name(field)
        if name not in known and name not in TRACE and not name.startswith(TRACE_FAMILIES):
            yield f"The header {_said(name)} was added: {_said(field)!r}."
    kept = [field for field in got if field in sent]
    if kept != [field for field in sent if field in kept]:
        yield "The headers arrived in another order, which breaks some signatures."


def _compare_bodies(sent: bytes, got: bytes) -> Iterator[str]:
    if sent == got:
        return
    ours, theirs = sent.split(b"\n"), got.split(b"\n")
    number = next((i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
    if number is None:
        what = "longer" if len(theirs) > len(ours) else "shorter"
        yield f"The body arrived {what} by {abs(len(theirs) - len(ours))} lines."
    else:
        yield (
            f"The body was changed, first in line {number + 1}: {_said(ours[number])!r} arrived as "
            f"{_said(theirs[number])!r}. Rewritten links and pixels look like that: switch the relay's tracking off."
        )


def _split(message: bytes) -> tuple[list[bytes], bytes]:
    """Header fields, continued lines with them, and the body. How lines end in a saved file is the program's choice."""
    head, _, body = message.replace(b"\r\n", b"\n").partition(b"\n\n")
    fields: list[bytes] = []
    for line in head.split(b"\n"):
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] += b"\n" + line
        else:
            fields.append(line)
    return fields, body.rstrip(b"\n")


def _name(field: bytes) -> bytes:
    return field.partition(b":")[0].strip().lower()


def _said(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")[:200]
