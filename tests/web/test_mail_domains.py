"""The check in DNS, against a name server of our own that speaks real DNS on loopback."""

import socket
from collections.abc import Iterator
from threading import Thread

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from service.web.mail_domains import DnsMailDomains

ZONE = {
    ("fjell.no.", "MX"): ["10 mx.fjell.no."],
    ("nullmx.no.", "MX"): ["0 ."],
    ("addressonly.no.", "A"): ["8.8.8.8"],
    ("private.no.", "A"): ["10.0.0.1"],
}
NAMES = {name for name, _ in ZONE}


class NameServer(Thread):
    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.asked: list[tuple[str, str]] = []

    def run(self) -> None:
        while True:
            packet, peer = self.socket.recvfrom(4096)
            if packet == b"stop":
                return
            query = dns.message.from_wire(packet)
            [question] = query.question
            name, kind = str(question.name), dns.rdatatype.to_text(question.rdtype)
            self.asked.append((name, kind))
            if name == "silent.no.":
                continue
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            if name not in NAMES:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            elif (name, kind) in ZONE:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *ZONE[name, kind]))
            self.socket.sendto(answer.to_wire(), peer)


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer()
    server.start()
    yield server
    server.socket.sendto(b"stop", server.socket.getsockname())
    server.join()
    server.socket.close()


@pytest.fixture
def domains(server: NameServer) -> DnsMailDomains:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = server.socket.getsockname()[1]
    return DnsMailDomains(resolver, 1)


@pytest.mark.parametrize(
    ("domain", "accepts"),
    [
        ("fjell.no", True),
        ("addressonly.no", True),
        ("nullmx.no", False),
        ("private.no", False),
        ("gone.no", False),
        ("silent.no", True),
    ],
)
def test_accepts_mail(domains, domain, accepts):
    """E-01: null MX and missing domains are refused; a server that does not answer refuses nobody."""
    assert domains.accepts_mail(domain) is accepts


def test_answers_are_remembered(domains, server):
    assert domains.accepts_mail("fjell.no")
    assert domains.accepts_mail("fjell.no")
    assert server.asked == [("fjell.no.", "MX")]
