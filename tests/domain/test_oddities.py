"""E-10: look-alikes, typing errors, role accounts and throw-away domains, from tables of our own."""

import pytest

from service.domain.addresses import parse_address
from service.domain.oddities import (
    PROVIDERS,
    ROLES,
    Oddity,
    find_oddities,
    is_listed,
    read_domains,
    suggest_domain,
)

MIXED, LOOKALIKE = Oddity.MIXED_SCRIPTS, Oddity.LOOKALIKE


@pytest.mark.requirement("E-10")
@pytest.mark.parametrize(
    ("typed", "domain", "oddities"),
    [
        ("ada@fjell.no", "fjell.no", set()),
        ("ada@exämple.no", "xn--exmple-cua.no", set()),
        ("ada@\u0430pple.no", "xn--pple-43d.no", {MIXED, LOOKALIKE}),  # Cyrillic a
        ("ada@g\u03bfogle.no", None, {MIXED, LOOKALIKE}),  # Greek omicron
        ("ada@\u0430\u0440\u0440\u04cf\u0435.no", "xn--80ak6aa92e.no", {LOOKALIKE}),  # all Cyrillic, reads as apple
        ("ada@\u043c\u043e\u0441\u043a\u0432\u0430.no", "xn--80adxhks.no", set()),  # Moscow in its own letters
        ("ada@\u043c\u043e\u0441\u043a\u0432\u0430fjell.no", None, {MIXED}),
        ("ada@fjell.\u043c\u043e\u0441\u043a\u0432\u0430", None, set()),  # whole labels may differ
        ("me@\u30c4.life", "xn--bdk.life", set()),
        ("me@\u65e5\u672c\u8a9efjell\u30c4.jp", None, set()),  # as Japanese is written
        ("me@fjell\ud55c\uad6d.kr", None, set()),
        ("me@\u30c4\ud55c.kr", None, {MIXED}),  # Katakana beside Hangul: nobody writes so
    ],
)
def test_mixed_scripts_and_look_alikes_are_accepted_and_flagged(typed, domain, oddities):
    address = parse_address(typed).address
    assert address.isascii(), "what operators see is the A-label"
    assert domain is None or address.endswith(f"@{domain}")
    assert find_oddities(address) == oddities


@pytest.mark.requirement("E-10")
@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gmial.com", "gmail.com"),
        ("gamil.com", "gmail.com"),
        ("gmai.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("gnail.com", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("gmail.co", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("otmail.fr", "hotmail.fr"),
        ("outlok.com", "outlook.com"),
        ("yaho.com", "yahoo.com"),
        ("iclod.com", "icloud.com"),
        ("oragne.fr", "orange.fr"),
        ("gmail.com", None),
        ("googlemail.com", None),
        ("mail.com", None),
        ("ymail.com", None),
        ("email.com", None),
        ("gmx.de", None),
        ("web.de", None),
        ("gmail.de", None),
        ("yahoo.no", None),
        ("gmial.no", None),
        ("lgmaill.com", None),
        ("fjell.no", None),
        ("com", None),
        ("", None),
    ],
)
def test_a_slip_at_a_large_provider_is_hinted_at(typed, meant):
    assert suggest_domain(typed) == meant


def test_no_provider_is_a_slip_of_another():
    assert [domain for domain in PROVIDERS if suggest_domain(domain)] == []


@pytest.mark.requirement("E-10")
def test_a_hint_never_changes_the_address():
    assert parse_address("Ada@gmial.com").address == "Ada@gmial.com"
    assert find_oddities("Ada@gmial.com") == {Oddity.LIKELY_TYPO}


@pytest.mark.requirement("E-10")
@pytest.mark.parametrize("role", sorted(ROLES))
def test_role_accounts_are_accepted_and_flagged(role):
    assert find_oddities(parse_address(f"{role}@fjell.no").address) == {Oddity.ROLE_ACCOUNT}


@pytest.mark.parametrize("local", ["Info", "INFO+club"])
def test_role_accounts_however_written(local):
    assert Oddity.ROLE_ACCOUNT in find_oddities(f"{local}@fjell.no")
    assert Oddity.ROLE_ACCOUNT not in find_oddities("informatics@fjell.no")


@pytest.mark.requirement("E-10")
def test_a_list_of_unwanted_domains_is_the_operators_own():
    listed = read_domains("# throw-away\nwegwerf.no\n\n @Exämple.no  # and this\nWEGWERF.no\n")
    assert listed == {"wegwerf.no", "xn--exmple-cua.no"}
    assert is_listed("wegwerf.no", listed)
    assert is_listed("a.b.wegwerf.no", listed), "throw-away services hand out subdomains"
    assert not is_listed("nichtwegwerf.no", listed)
    assert not is_listed("no", listed)
    assert not is_listed("fjell.no", frozenset())


@pytest.mark.parametrize(("text", "line"), [("fjell.no\nnot a domain", 2), ("http://fjell.no", 1), ("*.fjell.no", 1)])
def test_a_list_that_cannot_be_read_names_its_line(text, line):
    with pytest.raises(ValueError, match=f"line {line} is not a domain"):
        read_domains(text)
