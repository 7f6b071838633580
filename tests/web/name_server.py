"""A name server of our own that speaks real DNS on loopback, and what it knows."""

import socket
from threading import Thread

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset

ZONE = {
    ("fjell.no.", "MX"): ["10 mx.fjell.no."],
    ("nullmx.no.", "MX"): ["0 ."],
    ("addressonly.no.", "A"): ["8.8.8.8"],
    ("newaddressonly.no.", "AAAA"): ["2600::1"],
    ("private.no.", "A"): ["10.0.0.1"],
    ("loopback.no.", "A"): ["127.0.0.1"],
    ("linklocal.no.", "AAAA"): ["fe80::1"],
    ("privateandpublic.no.", "A"): ["192.168.1.1"],
    ("privateandpublic.no.", "AAAA"): ["2600::1"],
    ("sendsnomail.no.", "A"): ["8.8.8.8"],
    ("sendsnomail.no.", "TXT"): ['"v=spf1 -all"'],
    ("sendsnothing.no.", "A"): ["8.8.8.8"],
    ("sendsnothing.no.", "TXT"): ['"unrelated"', '"v=spf1 -" "all"'],
    ("receivesonly.no.", "MX"): ["10 mx.receivesonly.no."],
    ("receivesonly.no.", "TXT"): ['"v=spf1 -all"'],
    ("softfail.no.", "A"): ["8.8.8.8"],
    ("softfail.no.", "TXT"): ['"v=spf1 ~all"'],
    ("textonly.no.", "TXT"): ['"hello"'],
}
NAMES = {name for name, _ in ZONE}


class NameServer(Thread):
    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.asked: list[tuple[str, str]] = []

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port

    def resolver(self) -> dns.resolver.Resolver:
        """One that asks this server and no other."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self.port
        return resolver

    def stop(self) -> None:
        self.socket.sendto(b"stop", self.socket.getsockname())
        self.join()
        self.socket.close()

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
            if name == "broken.no.":
                answer.set_rcode(dns.rcode.SERVFAIL)
            elif name not in NAMES:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            elif (name, kind) in ZONE:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *ZONE[name, kind]))
            self.socket.sendto(answer.to_wire(), peer)
