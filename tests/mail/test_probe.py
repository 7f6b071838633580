"""Whether a relay would take mail, asked of real servers that misbehave one way each."""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service.demo.servers import free_port
from service.mail import probe

Relay = Callable[..., int]


@pytest.fixture
def relay() -> Iterator[Relay]:
    """Starts a server with the given peculiarities; returns its port."""
    started = []

    def start(**peculiarities: object) -> int:
        controller = Controller(Sink(), hostname="127.0.0.1", port=free_port(), **peculiarities)
        controller.start()
        started.append(controller)
        return int(controller.port)

    yield start
    for controller in started:
        controller.stop()


def ask(port: int, tls: str = "none", credentials: tuple[str, str] | None = None) -> str | None:
    return probe.relay_trouble("127.0.0.1", port, tls, credentials=credentials, helo_name="milepost.test", timeout=5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Signed by nobody whom anybody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file: Path = tmp_path_factory.mktemp("tls") / "relay.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def authenticate(*_: object) -> AuthResult:
    return AuthResult(success=False, handled=False)


def test_a_relay_that_would_take_mail(relay: Relay) -> None:
    assert ask(relay()) is None
    assert ask(relay(), "opportunistic") is None


def test_nobody_listens() -> None:
    assert "cannot be reached" in (ask(free_port()) or "")


def test_starttls_that_is_not_offered(relay: Relay) -> None:
    assert "offers no STARTTLS" in (ask(relay(), "required") or "")


def test_a_certificate_that_nobody_signed(relay: Relay, certificate: ssl.SSLContext) -> None:
    assert "failed at TLS" in (ask(relay(tls_context=certificate), "required") or "")


def test_implicit_tls_on_a_plain_port(relay: Relay) -> None:
    assert "failed at TLS" in (ask(relay(), "implicit") or "")


def test_a_login_that_is_refused(relay: Relay) -> None:
    port = relay(authenticator=authenticate, auth_require_tls=False)
    assert "refused the login with 535" in (ask(port, credentials=("milepost", "wrong")) or "")


def test_a_login_that_is_not_offered(relay: Relay) -> None:
    assert "broke off" in (ask(relay(), credentials=("milepost", "pass")) or "")
