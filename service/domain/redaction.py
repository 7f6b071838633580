"""Addresses taken out of text that is on its way to a log: whatever a library, a server or a traceback quotes.

Whatever RFC 5322 §3.2.3 lets stand before the @ goes with the address, also where it was a part of the text around it
(`to=`, a path): what may be somebody's name is worth more than a legible line.
"""

import re

IN_PLACE = "[address]"

_AT = re.compile(r"@|\uff20|%(?:25)*40|=40|&#64;|&#x40;|&commat;|\\x40|\\u0040|\\uff20", re.IGNORECASE)
_DOT = r"(?:[.\u3002\uff0e\uff61]|%(?:25)*2e|=2e|&#46;|&#x2e;|&period;|\\+x2e|\\+u(?:002e|3002|ff0e|ff61))"
"""As an @, in every way that text is packed: URLs, quoted-printable, HTML, JSON; with the dots of IDNA."""
_BETWEEN = r"\s\"<>()\[\],:;@\uff20"
"""What stands around an address and cannot be in one, unless in quotes."""
_LOCAL_BACKWARDS = re.compile(rf'[^{_BETWEEN}]++|"(\\*+)[^"\r\n@]*[^"\r\n@\s,:\]}}]"\1(?!\\)')
"""A word, or words in quotes that are written alike: what stands between two texts of a JSON list is none."""
_LABEL = (
    rf"(?:[^{_BETWEEN}'{{}}|/?&=\\%.\u3002\uff0e\uff61]"
    rf"|%(?!(?:25)*(?:40|2e))[0-9a-f]{{2}}|=[89a-f][0-9a-f]|\\+u(?!0040|ff20|002e|3002|ff0e|ff61)[0-9a-f]{{4}})++"
)
"""With letters beyond ASCII as JSON, a URL or a mail may write them."""
_DOMAIN = re.compile(rf"\[[^\]\[\s@]*+\]|{_LABEL}(?:{_DOT}{_LABEL})++", re.IGNORECASE)


def redact(text: str) -> str:
    """`text` with everything that is shaped like an e-mail address replaced, also percent-encoded or escaped."""
    kept, end, floor = [], 0, 0
    for at in _AT.finditer(text):
        if at.start() < end:
            continue
        # Forwards first, never past another @; then backwards, never past what was looked at: each character is read
        # a few times at most, however long the line.
        domain = _DOMAIN.match(text, at.end())
        if domain is None:
            continue
        local = _LOCAL_BACKWARDS.match(text[floor : at.start()][::-1])
        floor = at.end()
        if local:
            begin = at.start() - local.end()
            if text.startswith("//", begin) and text[begin - 1 : begin] == ":":
                begin += len("//")  # of a URL
            elif text.startswith("'", begin) and text.startswith("'", domain.end()):
                begin += len("'")  # of a quotation
            kept += [text[end:begin], IN_PLACE]
            floor = end = domain.end()
    return "".join([*kept, text[end:]])
