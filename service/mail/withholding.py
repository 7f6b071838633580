"""A message without the token that acts for its reader, otherwise octet for octet: what may be kept of it (D1 #11)."""

import re

WITHHELD = b"[token withheld]"


def withhold_token(data: bytes, token: str) -> bytes:
    """`data` with every occurrence of the token replaced, also where quoted-printable breaks it over two lines."""
    broken = b"(?:=\r\n)?".join(re.escape(character).encode() for character in token)
    return re.sub(broken, WITHHELD, data)
