"""The wire over smtplib: bytes, phases, time limits, TLS, AUTH, and what happens to idle connections."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from service.demo.servers import free_port
from service.domain.outcomes import Message, Outcome, Phase
from service.domain.words import RelayTls
from service.mail import smtp_limits as limits
from service.mail import smtp_replies
from service.mail.smtp import Relay, SmtpTransport
from tests.contracts.relay import ScriptedRelay
from tests.usecases.sending import MemoryJournal


def a_relay(port: int, tls: RelayTls = RelayTls.NONE, *, host: str = "127.0.0.1", password: str | None = None) -> Relay:
    return Relay(host, port, tls, "milepost" if password else None, password, "client.example")


@contextmanager
def transport_to(relay: Relay) -> Iterator[SmtpTransport]:
    transport = SmtpTransport(relay, MemoryJournal())
    yield transport
    transport.close()


def send(transport: SmtpTransport, *messages: Message) -> list[Outcome]:
    return list(filter(None, transport.send(messages)))


def a_message(data: bytes = b"Subject: x\r\n\r\nHello.\r\n", to: str = "ok@x.example", number: int = 1) -> Message:
    return Message(number, "b+token@bounce.example", to, data)


# Bytes


@pytest.mark.parametrize(
    "body",
    [b".\r\n", b"..\r\n", b"a\r\n.\r\nb\r\n", b".hidden\r\n\r\n.\r\n", b"\r\n.\r\nMAIL FROM:<x@y>\r\n", b"no end"],
)
def test_bodies_arrive_as_they_are(body: bytes) -> None:  # A-01, RFC 5321 §4.5.2
    data = b"Subject: dots\r\n\r\n" + body
    with ScriptedRelay({}) as relay, transport_to(a_relay(relay.port)) as transport:
        (outcome,) = send(transport, a_message(data))
        assert outcome.code == 250
        (taken,) = relay.taken
        assert taken.data == (data if data.endswith(b"\r\n") else data + b"\r\n")
        assert (taken.mail_from, taken.rcpt_to) == ("b+token@bounce.example", "ok@x.example")


@pytest.mark.parametrize(
    "flaw", [b"a\nb", b"a\rb", b"a\x00b", b"a\r\n\r\r\nb", "ä".encode(), b"\n.\r\nMAIL FROM:<x@y>"]
)
def test_bytes_that_are_another_message_to_somebody_else_stay_here(flaw: bytes) -> None:
    with ScriptedRelay({}) as relay, transport_to(a_relay(relay.port)) as transport:
        bad, good = send(transport, a_message(flaw), a_message(number=2))
        assert (bad.code, bad.enhanced, bad.relay) == (554, "5.6.0", "milepost")
        assert good.code == 250
        assert len(relay.taken) == 1


@pytest.mark.parametrize(
    "address", ["a b@x.example", "a>@x.example", "a@x.example\r\nRCPT TO:<b@y>", "ä@x.example", "@x.example", "plain"]
)
def test_envelope_addresses_cannot_say_commands(address: str) -> None:
    with ScriptedRelay({}) as relay, transport_to(a_relay(relay.port)) as transport:
        (outcome,) = send(transport, a_message(to=address))
        assert (outcome.phase, outcome.code, outcome.enhanced) == (Phase.RCPT, 550, "5.6.7")
        assert "MAIL" not in relay.commands


# Replies


def test_replies_of_several_lines_are_one_text_without_codes_and_addresses() -> None:  # C-06
    said = "The account Gone@X.example\nthat you tried to reach,\nor gone, does not exist: <other@y.example>"
    script = {"gone@x.example": (Phase.RCPT, 550, "5.1.1", said)}
    with ScriptedRelay(script) as relay, transport_to(a_relay(relay.port)) as transport:
        (outcome,) = send(transport, a_message(to="gone@x.example"))
    assert (outcome.code, outcome.enhanced) == (550, "5.1.1")
    assert outcome.text == ("The account [address] that you tried to reach, or [address], does not exist: <[address]>")


@given(st.text(max_size=2000))
def test_no_reply_text_breaks_the_outcome(text: str) -> None:
    outcome = smtp_replies.outcome_of(a_message(), Phase.RCPT, 550, text, "relay:25")
    assert len(outcome.text) <= smtp_replies.LONGEST_TEXT
    assert outcome.text.isprintable() or outcome.text == ""
    assert "ok@x.example" not in outcome.text


def test_a_refused_recipient_is_followed_by_rset_and_the_connection_is_kept() -> None:
    script = {"gone@x.example": (Phase.RCPT, 550, "5.1.1", "no")}
    with ScriptedRelay(script) as relay, transport_to(a_relay(relay.port)) as transport:
        send(transport, a_message(to="gone@x.example"), a_message(number=2))
        send(transport, a_message(number=3))
        assert relay.commands == [
            *("connect", "EHLO"),
            *("MAIL", "RCPT", "RSET"),
            *("MAIL", "RCPT", "DATA"),
            *("MAIL", "RCPT", "DATA"),
        ]


def test_a_connection_that_the_relay_closed_while_idle_is_replaced_unseen() -> None:
    with ScriptedRelay({}) as relay, transport_to(a_relay(relay.port)) as transport:
        send(transport, a_message())
        relay.hang_up()
        (outcome,) = send(transport, a_message(number=2))
        assert outcome.code == 250
        assert relay.commands.count("connect") == 2


def test_a_message_does_not_wait_for_another_connection(monkeypatch: pytest.MonkeyPatch) -> None:  # invariant 2
    """The relay hung up unseen, and takes its time with the next connection: that is for later messages."""
    with ScriptedRelay({}) as relay, transport_to(a_relay(relay.port)) as transport:
        send(transport, a_message())
        monkeypatch.setattr(limits, "RECONNECT_SECONDS", 0.0)
        relay.refuse_next_mail = True
        late, kept = send(transport, a_message(number=2), a_message(number=3))
        assert (late.phase, late.code) == (Phase.CONNECT, None)
        assert kept.code == 250
        assert relay.commands.count("connect") == 2


def test_a_relay_that_is_gone_is_an_outcome_of_the_connection() -> None:
    with transport_to(a_relay(free_port())) as transport:
        (outcome,) = send(transport, a_message())
    assert (outcome.phase, outcome.code) == (Phase.CONNECT, None)
    assert "refused" in outcome.text


# A relay that is not quite one


@contextmanager
def a_dialogue(*says: bytes, then_close: bool = False) -> Iterator[int]:
    """A server that says these lines, one after each thing it hears, and then nothing more until it is left."""
    listening = socket.create_server(("127.0.0.1", 0))

    def talk() -> None:
        connection, _ = listening.accept()
        with connection:
            for line in says:
                connection.sendall(line)
                connection.recv(65536)
            if then_close:
                return
            connection.settimeout(10)
            while connection.recv(65536):
                pass

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    thread.join(10)
    listening.close()


EHLO_OK = b"250-relay\r\n250 SMTPUTF8\r\n"


@pytest.mark.parametrize(
    ("says", "phase", "code"),
    [
        ([b"554 go away\r\n"], Phase.CONNECT, 554),
        ([b"nonsense\r\n"], Phase.CONNECT, None),
        ([b"220 hi\r\n", b"500 what\r\n", b"502 no HELO either\r\n"], Phase.EHLO, 502),
        ([b"220 hi\r\n", EHLO_OK, b"451 4.3.0 not now\r\n"], Phase.MAIL, 451),
        ([b"220 hi\r\n", EHLO_OK, b"250 ok\r\n", b"354 too early\r\n"], Phase.RCPT, 354),
        ([b"220 hi\r\n", EHLO_OK, b"250 ok\r\n", b"250 ok\r\n", b"250 instead of 354\r\n"], Phase.DATA, 250),
        ([b"220 hi\r\n", EHLO_OK, b"250 ok\r\n", b"garbage\r\n"], Phase.RCPT, None),
    ],
)
def test_odd_answers_keep_their_phase(
    says: list[bytes], phase: Phase, code: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GOODBYE_SECONDS", 0.1)
    with a_dialogue(*says) as port, transport_to(a_relay(port)) as transport:
        (outcome,) = send(transport, a_message())
        assert (outcome.phase, outcome.code) == (phase, code)


@pytest.mark.parametrize(
    ("says", "phase"),
    [
        ([], Phase.CONNECT),
        ([b"220 hi\r\n"], Phase.EHLO),
        ([b"220 hi\r\n", EHLO_OK, b"250 ok\r\n"], Phase.RCPT),
        ([b"220 hi\r\n", EHLO_OK, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"], Phase.EOM),
    ],
)
def test_silence_ends_after_the_time_limit_of_its_phase(
    says: list[bytes], phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OTHER_REPLY_SECONDS", 0.2)
    monkeypatch.setattr(limits, "REPLY_SECONDS", {Phase.EOM: 0.2})
    with a_dialogue(*says) as port, transport_to(a_relay(port)) as transport:
        (outcome,) = send(transport, a_message())
    assert (outcome.phase, outcome.code) == (phase, None)
    assert outcome.text == "No answer within the time that RFC 5321 allows."


def test_a_connection_lost_within_the_message_was_not_the_final_dot() -> None:
    """The relay cannot have taken it, so it is not uncertain: it is tried again."""
    huge = b"Subject: x\r\n\r\n" + b"x" * 76 * 200_000 + b"\r\n"
    talk = [b"220 hi\r\n", EHLO_OK, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"]
    with a_dialogue(*talk, then_close=True) as port, transport_to(a_relay(port)) as transport:
        (outcome,) = send(transport, a_message(huge))
        assert (outcome.phase, outcome.code) == (Phase.DATA, None)
        assert transport._journal.events == [("answered", 1)]  # type: ignore[attr-defined]


def test_a_relay_that_refuses_the_sender_keeps_its_connection() -> None:
    script = {"b+token@bounce.example": (Phase.MAIL, 451, "4.3.1", "no room")}
    with ScriptedRelay(script) as relay, transport_to(a_relay(relay.port)) as transport:
        outcomes = send(transport, a_message(), a_message(number=2))
        assert [(o.phase, o.code) for o in outcomes] == [(Phase.MAIL, 451)] * 2
        assert relay.commands == ["connect", "EHLO", "MAIL", "MAIL"]


def test_a_relay_that_closes_with_its_answer_is_called_again() -> None:
    script = {"full@x.example": (Phase.EOM, 421, "4.3.2", "enough for this connection")}
    with ScriptedRelay(script) as relay, transport_to(a_relay(relay.port)) as transport:
        outcomes = send(transport, a_message(to="full@x.example"), a_message(number=2))
        assert [(o.phase, o.code) for o in outcomes] == [(Phase.EOM, 421), (Phase.EOM, 250)]
        assert relay.commands.count("connect") == 2


def test_a_relay_that_cannot_reset_is_left() -> None:
    talk = [b"220 hi\r\n", EHLO_OK, b"250 ok\r\n", b"550 5.1.1 no\r\n", b"500 RSET?\r\n"]
    with a_dialogue(*talk) as port, transport_to(a_relay(port)) as transport:
        (refused,) = send(transport, a_message())
        assert (refused.phase, refused.code) == (Phase.RCPT, 550)
        assert not transport._connections


def test_time_limits_are_those_of_the_standard() -> None:  # A-46, RFC 5321 §4.5.3.2
    assert limits.OTHER_REPLY_SECONDS >= 300
    assert limits.REPLY_SECONDS == {Phase.DATA: 120.0, Phase.EOM: 600.0}
    assert limits.BLOCK_SECONDS >= 180


# TLS and AUTH


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for localhost and a server context that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.2"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "relay.pem"
    unencrypted = serialization.NoEncryption()
    file.write_bytes(
        built.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unencrypted)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return file, context


@pytest.mark.parametrize("tls", [RelayTls.REQUIRED, RelayTls.OPPORTUNISTIC])
def test_starttls_is_verified(
    tls: RelayTls, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, context = certificate
    with ScriptedRelay({}, tls_context=context) as relay:
        with transport_to(a_relay(relay.port, tls, host="localhost")) as stranger:
            (outcome,) = send(stranger, a_message())
            assert (outcome.phase, outcome.code) == (Phase.TLS, None)
            assert "certificate verify failed" in outcome.text
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with transport_to(a_relay(relay.port, tls, host="127.0.0.1")) as other_name:
            (outcome,) = send(other_name, a_message())
            assert outcome.phase is Phase.TLS
            assert "IP address mismatch" in outcome.text
        with transport_to(a_relay(relay.port, tls, host="localhost")) as transport:
            (outcome,) = send(transport, a_message())
            assert outcome.code == 250
    assert relay.peers[-1][0] == "client.example"
    assert relay.peers[-1][1] in ("TLSv1.2", "TLSv1.3")
    assert len(relay.taken) == 1


def test_without_starttls_required_sends_nothing_and_opportunistic_sends() -> None:
    with ScriptedRelay({}) as relay:
        with transport_to(a_relay(relay.port, RelayTls.REQUIRED)) as strict:
            (outcome,) = send(strict, a_message())
            assert (outcome.phase, outcome.code) == (Phase.TLS, None)
            assert relay.commands == ["connect", "EHLO"]
        with transport_to(a_relay(relay.port, RelayTls.OPPORTUNISTIC)) as lenient:
            assert send(lenient, a_message())[0].code == 250


def test_implicit_tls(certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> None:
    file, context = certificate
    listening = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        for _ in range(2):
            plain, _ = listening.accept()
            try:
                with context.wrap_socket(plain, server_side=True) as encrypted:
                    encrypted.sendall(b"554 heard you over TLS\r\n")
                    encrypted.recv(100)
            except OSError:
                plain.close()

    thread = threading.Thread(target=greet, daemon=True)
    thread.start()
    relay = a_relay(listening.getsockname()[1], RelayTls.IMPLICIT, host="localhost")
    with transport_to(relay) as stranger:
        assert send(stranger, a_message())[0].phase is Phase.TLS
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with transport_to(relay) as transport:
        (outcome,) = send(transport, a_message())
    assert (outcome.phase, outcome.code, outcome.text) == (Phase.CONNECT, 554, "heard you over TLS")
    thread.join(10)
    listening.close()


@pytest.mark.parametrize(("password", "code"), [("right", 250), ("wrong", 535)])
def test_auth_is_said_inside_tls(
    password: str, code: int, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, context = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    def authenticate(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
        return AuthResult(success=getattr(data, "password", b"") == b"right", handled=False)

    options = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": True}
    with (
        ScriptedRelay({}, tls_context=context, options=options) as relay,
        transport_to(a_relay(relay.port, RelayTls.REQUIRED, host="localhost", password=password)) as transport,
    ):
        (outcome,) = send(transport, a_message())
    assert (outcome.phase, outcome.code) == (Phase.EOM if code == 250 else Phase.AUTH, code)


def test_a_password_is_not_said_in_clear() -> None:
    with (
        ScriptedRelay(
            {}, options={"auth_require_tls": False, "authenticator": lambda *_: AuthResult(success=True)}
        ) as relay,
        transport_to(a_relay(relay.port, RelayTls.OPPORTUNISTIC, password="right")) as transport,
    ):
        (outcome,) = send(transport, a_message())
    assert (outcome.phase, outcome.code) == (Phase.AUTH, None)
    assert relay.taken == []
