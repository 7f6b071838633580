"""One of each server for a whole test file."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from service.domain.words import RelayTls
from service.mail.smtp import Relay, SmtpTransport
from service.ports import Transport
from tests.mtas.certificates import Certificate, make_certificate
from tests.mtas.servers import RIGHT, STARTS, USER, Server
from tests.usecases.sending import MemoryJournal

GetServer = Callable[[str], Server]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certificate]:
    """Trusted by this process as a publisher's own authority would be."""
    made = make_certificate()
    file = tmp_path_factory.mktemp("trusted") / "authority.pem"
    file.write_bytes(made.chain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield made


@pytest.fixture(scope="session")
def get_server(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[GetServer]:
    """Started when first asked for, ended after the last test."""
    running: dict[str, Server] = {}
    with ExitStack() as ends:

        def get(name: str) -> Server:
            if name not in running:
                running[name] = STARTS[name](tmp_path_factory.mktemp(name) / "root", certificate)
                ends.callback(running[name].stop)
            return running[name]

        yield get


@contextmanager
def transport_to(
    port: int, *, tls: bool = False, password: str | None = None, connections: int = 8
) -> Iterator[Transport]:
    """The wire. With `tls` it is required, and verified."""
    relay = Relay(
        host="localhost" if tls else "127.0.0.1",
        port=port,
        tls=RelayTls.REQUIRED if tls else RelayTls.NONE,
        user=USER if password else None,
        password=password,
        helo_name="client.example",
    )
    transport = SmtpTransport(relay, MemoryJournal(), connections=connections)
    yield transport
    transport.close()


__all__ = ["RIGHT", "GetServer", "transport_to"]
