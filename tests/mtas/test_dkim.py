"""Signatures on their way through real mail servers, as two verifiers of others' making see them at its end."""

import re
from collections.abc import Iterator
from dataclasses import replace

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from service.domain.outcomes import Message
from tests.mtas.conftest import GetServer, transport_to
from tests.mtas.mails import mails, of_marker
from tests.mtas.servers import ALL, STARTS
from tests.mtas.test_servers import arrived, send
from tests.mtas.verifiers import KeyServer, Verifiers, unpack_perl

pytestmark = [pytest.mark.ops, pytest.mark.timeout(120)]

DOMAIN, SELECTOR = "fjellsko.example", "s1"
SIGNED = [b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type"]


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


def by_dkimpy(message: Message, key: rsa.RSAPrivateKey) -> Message:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    header = dkim.sign(
        message.data,
        SELECTOR.encode(),
        DOMAIN.encode(),
        private,
        canonicalize=(b"relaxed", b"relaxed"),
        include_headers=SIGNED,
    )
    return replace(message, data=header + message.data)


def spoilt(mail: bytes) -> Iterator[bytes]:
    """What somebody on the way could do."""
    yield re.sub(rb"(?m)^Subject: ", b"Subject: Buy! ", mail, count=1)
    yield mail + b"one more line\r\n"
    yield mail.replace(b"From: ", b"From: eve@evil.example, ", 1)


def test_the_verifiers_can_tell(verifiers: Verifiers, key: rsa.RSAPrivateKey) -> None:
    (good, *_) = (by_dkimpy(message, key) for message in mails("tell"))
    assert verifiers.by_dkimpy(good.data) == [True]
    assert verifiers.by_perl(good.data) == {SELECTOR: "pass"}
    assert f"{SELECTOR}._domainkey.{DOMAIN}" in verifiers.server.asked, "Perl looked nowhere else"
    for bad in spoilt(good.data):
        assert verifiers.by_dkimpy(bad) == [False]
        assert verifiers.by_perl(bad) == {SELECTOR: "fail"}


@pytest.mark.parametrize("name", STARTS)
def test_a_signature_holds_through(
    name: str, get_server: GetServer, verifiers: Verifiers, key: rsa.RSAPrivateKey
) -> None:
    server = get_server(name)
    marker = f"{name}-signed"
    sent = [by_dkimpy(message, key) for message in mails(marker)]
    with transport_to(server.port(ALL)) as transport:
        assert {outcome.code for outcome in send(transport, sent)} == {250}
    stored = arrived(server, marker, len(sent))
    assert len(of_marker(stored, marker)) == len(sent)
    for mail in stored:
        assert verifiers.by_dkimpy(mail) == [True]
        assert verifiers.by_perl(mail) == {SELECTOR: "pass"}
