"""E-01, E-02: what may be mailed, and the three keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.addresses import mask_address, parse_address
from service.errors import Kind, ServiceError

KEYS = [
    # typed, address, dedupe_key, abuse_key
    ("anna@fjell.no", "anna@fjell.no", "anna@fjell.no", "anna@fjell.no"),
    ("  Anna@FJELL.no ", "Anna@fjell.no", "anna@fjell.no", "anna@fjell.no"),
    ("A.b+x@Gmail.com", "A.b+x@gmail.com", "a.b+x@gmail.com", "ab@gmail.com"),
    ("a.b@googlemail.com", "a.b@googlemail.com", "a.b@googlemail.com", "ab@gmail.com"),
    ("a.b+news@fjell.no", "a.b+news@fjell.no", "a.b+news@fjell.no", "a.b@fjell.no"),
    ("+only@fjell.no", "+only@fjell.no", "+only@fjell.no", "+only@fjell.no"),
    ("User@EXÄMPLE.de", "User@xn--exmple-cua.de", "user@xn--exmple-cua.de", "user@xn--exmple-cua.de"),
    ("user@xn--exmple-cua.de", "user@xn--exmple-cua.de", "user@xn--exmple-cua.de", "user@xn--exmple-cua.de"),
    ("anna@ｆｊｅｌｌ.no", "anna@fjell.no", "anna@fjell.no", "anna@fjell.no"),
    ("Postmaster@fjell.no", "postmaster@fjell.no", "postmaster@fjell.no", "postmaster@fjell.no"),
    ("user@exa\u0308mple.de", "user@xn--exmple-cua.de", "user@xn--exmple-cua.de", "user@xn--exmple-cua.de"),
    ("me@\u30c4.life", "me@xn--bdk.life", "me@xn--bdk.life", "me@xn--bdk.life"),
    ("Abuse@FJELL.no", "abuse@fjell.no", "abuse@fjell.no", "abuse@fjell.no"),
    ("o'brien@fjell.no", "o'brien@fjell.no", "o'brien@fjell.no", "o'brien@fjell.no"),
]


@pytest.mark.parametrize(("typed", "address", "dedupe_key", "abuse_key"), KEYS)
@pytest.mark.requirement("E-01", "E-02")
def test_three_keys(typed, address, dedupe_key, abuse_key):
    parsed = parse_address(typed)
    assert (parsed.address, parsed.dedupe_key, parsed.abuse_key) == (address, dedupe_key, abuse_key)
    assert parsed.domain == address.split("@")[1]


BAD = [
    ("", "address_missing"),
    ("   ", "address_missing"),
    ("anna", "address_incomplete"),
    ("@fjell.no", "address_malformed"),
    ("anna@", "address_malformed"),
    ("anna@fjell", "address_malformed"),
    ("anna@@fjell.no", "address_malformed"),
    ("an na@fjell.no", "address_malformed"),
    ("anna.@fjell.no", "address_malformed"),
    ("anna@fjell..no", "address_malformed"),
    ("Anna <anna@fjell.no>", "address_malformed"),
    ('"an na"@fjell.no', "address_malformed"),
    ("anna@[127.0.0.1]", "address_malformed"),
    ("anna@localhost", "address_malformed"),
    ("anna@box.local", "address_malformed"),
    ("anna@fjell.onion", "address_malformed"),
    ("anna@fjell.no\u202e", "address_malformed"),
    ("anna@\u202efjell.no", "address_malformed"),
    ("anna@fj\u202eell.no", "address_malformed"),
    ("an\u202ena@fjell.no", "address_not_ascii"),
    ("anna\u0301@fjell.no", "address_not_ascii"),
    ("anna@\u0301fjell.no", "address_malformed"),
    ("anna@fj\u200dell.no", "address_malformed"),
    ("anna@fj\ue000ell.no", "address_malformed"),
    ("anna@\u2100.no", "address_malformed"),
    ("\u30c4@fjell.no", "address_not_ascii"),
    ("a" * 245 + "@fjell.no.no", "address_too_long"),
    ("a" * 65 + "@fjell.no", "address_malformed"),
    ("anna@fjell.test", "address_malformed"),
    ("anna@shop.example", "address_reserved"),
    ("anna@example.org", "address_reserved"),
    ("anna@mail.example.com", "address_reserved"),
]


@pytest.mark.parametrize(("typed", "code"), BAD)
@pytest.mark.requirement("E-01")
def test_what_cannot_be_mailed(typed, code):
    with pytest.raises(ServiceError) as refused:
        parse_address(typed)
    assert (refused.value.kind, refused.value.code, refused.value.field) == (Kind.INVALID, code, "address")
    assert not typed.strip() or typed not in refused.value.message


@pytest.mark.parametrize("address", ["anna@fjell.test", "anna@shop.example", "anna@example.org", "anna@fjell.no"])
def test_reserved_domains_where_mail_stays_on_this_machine(address):
    assert parse_address(address, reserved=True).address == address


@pytest.mark.parametrize("address", ["anna@fjell.invalid", "anna@localhost", "anna@x.onion"])
def test_the_demo_still_refuses_what_no_catcher_would_see(address):
    with pytest.raises(ServiceError):
        parse_address(address, reserved=True)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text):
    """Nothing else comes out, and parsing what came out changes nothing more."""
    try:
        parsed = parse_address(text)
    except ServiceError:
        return
    assert parse_address(parsed.address) == parsed
    assert parsed.address.isascii()


@pytest.mark.parametrize(
    ("address", "masked"),
    [("anna@fjell.no", "a•••@f•••.no"), ("b@mail.fjell.co.uk", "b•••@m•••.uk")],
)
def test_mask_shows_too_little_to_be_written_to(address, masked):
    assert mask_address(address) == masked


@pytest.mark.requirement("E-01")
def test_the_longest_address_has_254_characters():
    """RFC 5321 §4.5.3.1.3: 256 with the angle brackets."""
    labels = ".".join(["b" * 60] * 3)
    longest = f"{'a' * 64}@{labels}.{'c' * 3}.no"
    assert len(longest) == 254
    assert parse_address(longest).address == longest
    with pytest.raises(ServiceError) as refused:
        parse_address(longest.replace("c.no", "cc.no"))
    assert refused.value.code == "address_too_long"
    # In letters it is shorter than the limit, in A-labels longer; and a longer local part is refused by itself.
    for address in (f"{'a' * 64}@{'ä' * 50}.{'ö' * 50}.{'ü' * 50}.no", f"{'a' * 65}@fjell.no"):
        assert len(address) < 254
        with pytest.raises(ServiceError):
            parse_address(address)
