"""Signatures on their way through real mail servers, as two verifiers of others' making see them at its end."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from service.domain.outcomes import Message
from service.mail.dkim import Signer
from service.mail.writer import Writer
from tests.mail.letters import EVERY_MAIL, KEYS, NOW, PUBLISHER, a_letter
from tests.mtas.conftest import GetServer, transport_to
from tests.mtas.mails import as_sent, find_spoilt, mails
from tests.mtas.servers import ALL, READERS, STARTS
from tests.mtas.test_servers import arrived, send
from tests.mtas.verifiers import KeyServer, Verifiers, unpack_perl

pytestmark = [pytest.mark.ops, pytest.mark.timeout(120)]

DOMAIN, SELECTOR = "fjellsko.example", "s1"
SIGNATURE = f"d={DOMAIN};"
"""Stands in these mails and in none of the other tests'."""


@pytest.fixture(scope="session")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def verifiers(tmp_path_factory: pytest.TempPathFactory, key: rsa.RSAPrivateKey) -> Iterator[Verifiers]:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    encoded = "".join(public.decode().splitlines()[1:-1])
    server = KeyServer({f"{SELECTOR}._domainkey.{DOMAIN}": f"v=DKIM1; k=rsa; p={encoded}"})
    server.start()
    yield Verifiers(server, unpack_perl(tmp_path_factory.mktemp("perl") / "root"))
    server.stop()


def signed_mails(marker: str, key: rsa.RSAPrivateKey) -> list[Message]:
    """Mails whose bytes something could spoil, and every mail that Milepost writes."""
    signer = Signer(DOMAIN, SELECTOR, key)
    odd = [replace(message, data=signer.signed(as_sent(message), int(time.time()))) for message in mails(marker)]
    writer = Writer(PUBLISHER, KEYS, signer=signer)
    written = [writer.write(a_letter(kind, language), NOW) for kind, language in EVERY_MAIL]
    first = len(odd)
    return odd + [
        Message(number, message.envelope_from, f"reader-{number}@{READERS}", message.data)
        for number, message in enumerate(written, first)
    ]


def spoilt(mail: bytes) -> Iterator[bytes]:
    """What somebody on the way could do."""
    yield re.sub(rb"(?m)^Subject: ", b"Subject: Buy! ", mail, count=1)
    yield mail + b"one more line\r\n"
    yield mail.replace(b"From: ", b"From: eve@evil.example, ", 1)


def test_the_verifiers_can_tell(verifiers: Verifiers, key: rsa.RSAPrivateKey) -> None:
    good, *_ = signed_mails("tell", key)
    assert verifiers.by_dkimpy(good.data) == [True]
    assert verifiers.by_perl(good.data) == {SELECTOR: "pass"}
    assert f"{SELECTOR}._domainkey.{DOMAIN}" in verifiers.server.asked, "Perl looked nowhere else"
    for bad in spoilt(good.data):
        assert verifiers.by_dkimpy(bad) == [False]
        assert verifiers.by_perl(bad) == {SELECTOR: "fail"}


@pytest.mark.parametrize("name", STARTS)
def test_our_signature_holds_through(
    name: str, get_server: GetServer, verifiers: Verifiers, key: rsa.RSAPrivateKey
) -> None:
    server = get_server(name)
    sent = signed_mails(f"{name}-signed", key)
    with transport_to(server.port(ALL)) as transport:
        assert {outcome.code for outcome in send(transport, sent)} == {250}
    stored = arrived(server, SIGNATURE, len(sent))
    assert find_spoilt(sent, stored) == {}
    for mail in stored:
        assert verifiers.by_dkimpy(mail) == [True]
        assert verifiers.by_perl(mail) == {SELECTOR: "pass"}
