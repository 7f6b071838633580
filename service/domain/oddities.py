"""What about an address is worth a second look: role accounts, look-alike letters, typing errors, throw-away domains.

Small tables of our own and nothing asked of anybody (E-10). Nothing here corrects an address; only a list that the
operator has chosen refuses one.
"""

import unicodedata
from collections.abc import Collection
from enum import StrEnum

from service.domain.addresses import parse_address
from service.errors import ServiceError


class Oddity(StrEnum):
    """Shown to operators beside a sign-up; the address is accepted all the same."""

    ROLE_ACCOUNT = "role_account"
    """Several people may read it (RFC 2142 and its like); one of them agreed."""
    MIXED_SCRIPTS = "mixed_scripts"
    """A label of the domain mixes alphabets that no language mixes (UTS #39 §5.1)."""
    LOOKALIKE = "lookalike"
    """A label of the domain has letters that look like others in a to z (UTS #39 §4)."""
    LIKELY_TYPO = "likely_typo"
    """One slip away from a large provider."""


ROLES = frozenset(
    {
        *("abuse", "admin", "administrator", "billing", "contact", "ftp", "hello", "help", "hostmaster", "info"),
        *("kontakt", "mail", "mailer-daemon", "marketing", "news", "newsletter", "no-reply", "noc", "noreply"),
        *("office", "orders", "postmaster", "privacy", "root", "sales", "security", "service", "support", "team"),
        *("usenet", "uucp", "webmaster", "www"),
    }
)

PROVIDERS = frozenset(
    {
        *("gmail.com", "googlemail.com", "outlook.com", "outlook.de", "outlook.fr", "outlook.es", "hotmail.com"),
        *("hotmail.de", "hotmail.fr", "hotmail.es", "yahoo.com", "yahoo.de", "yahoo.fr", "yahoo.es", "icloud.com"),
        *("orange.fr", "laposte.net", "wanadoo.fr", "freenet.de", "t-online.de", "proton.me", "protonmail.com"),
    }
)
REAL = frozenset({"email", "mail", "ymail", "rmail", "fmail", "hmail", "zmail"})
"""Names that are one slip away from a provider's and somebody's own."""
SLIPS_OF_COM = frozenset({"con", "cmo", "ocm", "vom", "xom", "cim", "cpm", "comm", "coom", "om", "cm", "co", "c"})
SHORTEST_NAME = 5
"""Of a provider whose name is compared letter by letter: short names have too many neighbours."""

WRITTEN_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)
"""UTS #39 §5.2, "highly restrictive": Japanese, Chinese and Korean are written so."""
NO_SCRIPT = frozenset({"COMBINING", "MODIFIER", "KATAKANA-HIRAGANA", "IDEOGRAPHIC", "MASCULINE", "FEMININE"})

LOOKALIKES = {
    **dict.fromkeys("\u0430\u0251\u03b1", "a"),
    **dict.fromkeys("\u044c\u0185", "b"),
    **dict.fromkeys("\u0441\u03f2", "c"),
    **dict.fromkeys("\u0501", "d"),
    **dict.fromkeys("\u0435\u04bd", "e"),
    **dict.fromkeys("\u0261\u0581", "g"),
    **dict.fromkeys("\u04bb\u0570", "h"),
    **dict.fromkeys("\u0456\u0131\u03b9", "i"),
    **dict.fromkeys("\u0458", "j"),
    **dict.fromkeys("\u043a\u03ba", "k"),
    **dict.fromkeys("\u04cf", "l"),
    **dict.fromkeys("\u0578", "n"),
    **dict.fromkeys("\u043e\u03bf\u0585", "o"),
    **dict.fromkeys("\u0440\u03c1", "p"),
    **dict.fromkeys("\u051b", "q"),
    **dict.fromkeys("\u0455", "s"),
    **dict.fromkeys("\u057d\u03c5", "u"),
    **dict.fromkeys("\u03bd\u0475", "v"),
    **dict.fromkeys("\u051d", "w"),
    **dict.fromkeys("\u0445", "x"),
    **dict.fromkeys("\u0443\u03b3", "y"),
}
"""Cyrillic, Greek, Armenian and odd Latin letters, and what they are taken for."""


def find_oddities(address: str) -> frozenset[Oddity]:
    """Everything odd about an address as it is stored: its domain in A-labels."""
    local, _, domain = address.rpartition("@")
    labels = [_unicode(label) for label in domain.split(".")]
    found = {
        Oddity.ROLE_ACCOUNT: local.casefold().partition("+")[0] in ROLES,
        Oddity.MIXED_SCRIPTS: any(_mixes_scripts(label) for label in labels),
        Oddity.LOOKALIKE: any(_looks_like_another(label) for label in labels),
        Oddity.LIKELY_TYPO: suggest_domain(domain) is not None,
    }
    return frozenset(oddity for oddity, is_so in found.items() if is_so)


def suggest_domain(domain: str) -> str | None:
    """The large provider that was probably meant: "gmail.com" for "gmial.com". Only ever shown, never put in."""
    if domain in PROVIDERS:
        return None
    name, _, ending = domain.partition(".")
    for provider in sorted(PROVIDERS):
        known, _, known_ending = provider.partition(".")
        if name == known and known_ending == "com" and ending in SLIPS_OF_COM:
            return provider
        if ending == known_ending and len(known) >= SHORTEST_NAME and name not in REAL and _is_one_slip(name, known):
            return provider
    return None


def read_domains(text: str) -> frozenset[str]:
    """A list of domains, one a line, # for remarks, as A-labels. Raises ValueError that names the first bad line."""
    domains = set()
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip().lstrip("@")
        if not entry:
            continue
        try:
            domains.add(parse_address(f"postmaster@{entry}", reserved=True).domain)
        except ServiceError:
            raise ValueError(f"line {number} is not a domain") from None
    return frozenset(domains)


def is_listed(domain: str, listed: Collection[str]) -> bool:
    """Whether a domain, or one that it is a part of, is on the list."""
    labels = domain.split(".")
    return any(".".join(labels[start:]) in listed for start in range(len(labels)))


def _unicode(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode().decode("punycode")
    except UnicodeError:
        return label


def _mixes_scripts(label: str) -> bool:
    scripts = {_script(letter) for letter in label if unicodedata.category(letter).startswith("L")} - NO_SCRIPT
    return len(scripts) > 1 and not any(scripts <= together for together in WRITTEN_TOGETHER)


def _script(letter: str) -> str:
    """The first word of a letter's name in Unicode is its script's, for all that a domain may hold."""
    return unicodedata.name(letter, "UNKNOWN").partition(" ")[0]


def _looks_like_another(label: str) -> bool:
    return not label.isascii() and "".join(LOOKALIKES.get(letter, letter) for letter in label).isascii()


def _is_one_slip(typed: str, meant: str) -> bool:
    """One letter wrong, left out, too many, or two in each other's place; not the same word."""
    if typed == meant or abs(len(typed) - len(meant)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), min(len(typed), len(meant)))
    rest, wanted = typed[start:], meant[start:]
    swapped = rest[1:2] + rest[:1] + rest[2:]
    return rest[1:] == wanted[1:] or rest == wanted[1:] or rest[1:] == wanted or swapped == wanted
