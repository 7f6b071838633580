"""Signatures over real mails, verified by a stranger: dkimpy."""

import base64
from datetime import UTC, datetime

import dkim  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.words import LIST_MAIL, Language, MailKind
from service.mail.dkim import RelaxedLines, Signer
from service.mail.writer import UnwritableError, Writer
from tests.mail.letters import EVERY_MAIL, KEYS, NOW, PUBLISHER, a_letter, text

DOMAIN = "fjellsko.example"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SIGNER = Signer(DOMAIN, "mp1", KEY)
WRITER = Writer(PUBLISHER, KEYS, signer=SIGNER)


def published(key: rsa.RSAPrivateKey) -> bytes:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)


DNS = {b"mp1._domainkey.fjellsko.example.": published(KEY), b"mp2._domainkey.fjellsko.example.": published(OTHER_KEY)}


def verifies(data: bytes) -> bool:
    return bool(dkim.verify(data, dnsfunc=lambda name, timeout=5: DNS.get(name)))


def tags(data: bytes) -> dict[str, str]:
    field = data[: data.index(b"\r\nFrom:")].partition(b":")[2]
    return {
        name.strip(): "".join(value.split())
        for name, _, value in (tag.partition("=") for tag in field.decode().split(";"))
    }


@pytest.mark.requirement("B-01", "B-05", "B-06", "A-23")
@pytest.mark.parametrize(("kind", "language"), EVERY_MAIL)
def test_every_mail_is_signed_and_verifies(kind: MailKind, language: Language) -> None:
    data = WRITER.write(a_letter(kind, language), NOW).data
    assert verifies(data)
    assert data.lower().count(b"dkim-signature:") == 1
    found = tags(data)
    assert (found["a"], found["c"], found["d"], found["s"]) == ("rsa-sha256", "relaxed/relaxed", DOMAIN, "mp1")
    assert found["t"] == str(int(NOW.timestamp()))
    assert "l" not in found
    assert max(map(len, data.split(b"\r\n"))) <= 998


@pytest.mark.requirement("B-04", "A-23")
def test_what_is_named_in_the_signature() -> None:
    named = tags(WRITER.write(a_letter(MailKind.DIGEST), NOW).data)["h"].split(":")
    for name in ("from", "to", "subject", "date", "message-id", "reply-to", "mime-version", "content-type"):
        assert named.count(name) == 2, name
    for name in ("list-unsubscribe", "list-unsubscribe-post"):
        assert named.count(name) == 2, name
    for name in ("cc", "content-transfer-encoding"):
        assert named.count(name) == 1, name
    signed_once = {name for name in named if named.count(name) == 1}
    assert signed_once == {
        *("cc", "content-transfer-encoding", "list-id", "list-help", "list-owner", "list-post", "feedback-id"),
        *("auto-submitted", "content-language", "precedence"),
    }


@pytest.mark.requirement("B-04")
@pytest.mark.parametrize(
    "added",
    ["From: a@b.example", "Subject: other", "To: a@b.example", "List-Unsubscribe: <https://evil.example>", "Cc: a@b.c"],
)
def test_a_field_that_is_added_breaks_it(added: str) -> None:
    data = WRITER.write(a_letter(MailKind.DIGEST), NOW).data
    assert not verifies(added.encode() + b"\r\n" + data)
    assert not verifies(data.replace(b"\r\n\r\n", b"\r\n" + added.encode() + b"\r\n\r\n", 1))


@pytest.mark.requirement("A-23")
@pytest.mark.parametrize("field", [b"List-Unsubscribe: <", b"List-Unsubscribe-Post: ", b"Subject: ", b"From: "])
def test_an_octet_that_is_changed_breaks_it(field: bytes) -> None:
    data = WRITER.write(a_letter(MailKind.DIGEST), NOW).data
    place = data.index(b"\r\n" + field) + 2 + len(field)
    assert not verifies(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


def test_a_body_that_is_changed_breaks_it() -> None:
    data = WRITER.write(a_letter(MailKind.DIGEST), NOW).data
    place = data.index(b"\r\n\r\n") + 400
    assert not verifies(data[:place] + b"x" + data[place:])


@given(subject=text, name=text, kind=st.sampled_from(sorted(LIST_MAIL)))
@settings(max_examples=60, deadline=None)
def test_whatever_a_mail_says_it_verifies(subject: str, name: str, kind: MailKind) -> None:
    try:
        data = WRITER.write(a_letter(kind, subject=subject, first_name=name), NOW).data
    except UnwritableError:
        return
    assert verifies(data)


@given(st.text(alphabet=" \t\r\nab=.", max_size=60).map(lambda t: "\r\n".join(t.splitlines()).encode() + b"\r\n"))
@settings(max_examples=500, deadline=None)
def test_relaxed_as_a_stranger_does_it(body: bytes) -> None:
    from dkim.canonicalization import Relaxed  # type: ignore[import-untyped]

    assert RelaxedLines().body(body) == Relaxed.canonicalize_body(body)


def test_two_selectors_during_a_rotation() -> None:
    before = WRITER.write(a_letter(MailKind.DIGEST), NOW).data
    after = Writer(PUBLISHER, KEYS, signer=Signer(DOMAIN, "mp2", OTHER_KEY)).write(a_letter(MailKind.DIGEST), NOW).data
    assert verifies(before)
    assert verifies(after)
    assert tags(after)["s"] == "mp2"


@pytest.mark.requirement("B-07")
def test_a_mail_that_waited_four_days_verifies_and_expires_never() -> None:
    data = WRITER.write(a_letter(MailKind.DIGEST), datetime(2026, 2, 26, 9, 0, tzinfo=UTC)).data
    assert verifies(data)
    assert "x" not in tags(data)


@pytest.mark.requirement("B-02")
def test_a_short_key_signs_nothing() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(ValueError, match="1024 bits is too short"):
        Signer(DOMAIN, "mp1", short)
