"""Addresses taken out of text that is on its way to a log: whatever a library, a server or a traceback quotes."""

import re

IN_PLACE = "[address]"

LONGEST_PART = 1200
"""Characters looked at on each side of an @: 320 octets (RFC 5321 §4.5.3.1), percent-encoded, and then some."""

_BETWEEN = r"\s\"'<>()\[\]{},:;|/?&=@"
"""What stands around an address in prose, in code, in JSON and in URLs."""
_AT = re.compile(r"@|\uff20|%(?:25)*40|=40|&#64;|&#x40;|&commat;|\\x40|\\u0040|\\uff20", re.IGNORECASE)
_LOCAL_BACKWARDS = re.compile(rf"(?:[^{_BETWEEN}]|(?<=\w)'(?=\w))+")
_LABEL = rf"(?:[^{_BETWEEN}\\.%]|\\+u[0-9a-fA-F]{{4}}|%[0-9a-fA-F]{{2}})+"
"""With letters beyond ASCII as JSON or a URL may write them."""
_DOMAIN = re.compile(rf"\[[^\]\s]*\]|{_LABEL}(?:\.{_LABEL})+")


def redact(text: str) -> str:
    """`text` with everything that is shaped like an e-mail address replaced, also percent-encoded or escaped."""
    kept, end = [], 0
    for at in _AT.finditer(text):
        if at.start() < end:
            continue
        # Backwards from each @: a search forwards for what might lead to one would take time by the square of a line.
        before = text[max(end, at.start() - LONGEST_PART) : at.start()]
        local = _LOCAL_BACKWARDS.match(before[::-1])
        domain = _DOMAIN.match(text, at.end(), at.end() + LONGEST_PART)
        if local and domain:
            kept += [text[end : at.start() - local.end()], IN_PLACE]
            end = domain.end()
    return "".join([*kept, text[end:]])
