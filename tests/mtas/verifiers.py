"""Two strangers' verifiers of DKIM, dkimpy and Perl's Mail::DKIM, which find our keys in a name server of our own."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import dkim
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.mtas import packages

SCRIPT = r"""
use strict; use warnings;
use Mail::DKIM::DNS; use Mail::DKIM::Verifier; use Net::DNS;
my $resolver = Net::DNS::Resolver->new(nameservers => ['127.0.0.1'], port => shift, udp_timeout => 5, retry => 1);
Mail::DKIM::DNS::resolver($resolver);
my $verifier = Mail::DKIM::Verifier->new();
binmode STDIN;
while (<STDIN>) { $verifier->PRINT($_) }
$verifier->CLOSE;
print $_->selector, ' ', $_->result, "\n" for $verifier->signatures;
"""
LONGEST_STRING = 255


class KeyServer(Thread):
    """Real DNS on loopback; knows these TXT records, by name without a dot at the end."""

    def __init__(self, records: Mapping[str, str]) -> None:
        super().__init__(daemon=True)
        self.records = records
        self.asked: list[str] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]

    def stop(self) -> None:
        self.socket.sendto(b"", self.socket.getsockname())
        self.join()
        self.socket.close()

    def run(self) -> None:
        while True:
            packet, peer = self.socket.recvfrom(4096)
            if not packet:
                return
            query = dns.message.from_wire(packet)
            [question] = query.question
            name = str(question.name).rstrip(".").lower()
            self.asked.append(name)
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            if name not in self.records:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            elif question.rdtype == dns.rdatatype.TXT:
                record = self.records[name]
                parts = [record[at : at + LONGEST_STRING] for at in range(0, len(record), LONGEST_STRING)]
                value = " ".join(f'"{part}"' for part in parts)
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "TXT", value))
            self.socket.sendto(answer.to_wire(), peer)


@dataclass
class Verifiers:
    server: KeyServer
    perl: Path
    """Where Perl's packages were unpacked."""

    def by_dkimpy(self, mail: bytes) -> list[bool]:
        """For each signature, from the top."""

        def ask(name: bytes, timeout: int = 5) -> bytes | None:
            record = self.server.records.get(name.decode().rstrip(".").lower())
            return record.encode() if record is not None else None

        number = sum(
            1 for line in mail.split(b"\r\n\r\n")[0].splitlines() if line.lower().startswith(b"dkim-signature:")
        )
        found = []
        for index in range(number):
            try:
                found.append(dkim.DKIM(mail).verify(index, dnsfunc=ask))
            except dkim.DKIMException:
                found.append(False)
        return found

    def by_perl(self, mail: bytes) -> dict[str, str]:
        """Selector → pass, fail, invalid …"""
        with tempfile.NamedTemporaryFile("w", suffix=".pl") as script:
            script.write(SCRIPT)
            script.flush()
            done = subprocess.run(
                ["perl", script.name, str(self.server.port)],
                input=mail,
                env=os.environ | {"PERL5LIB": ":".join(map(str, _perl_paths(self.perl)))},
                check=False,
                capture_output=True,
            )
        assert done.returncode == 0, done.stderr.decode()
        return dict(line.split(" ", 1) for line in done.stdout.decode().splitlines())


def _perl_paths(root: Path) -> Sequence[Path]:
    return [root / "usr/share/perl5", *root.glob("usr/lib/*-linux-gnu*/perl5/5*")]


def unpack_perl(directory: Path) -> Path:
    directory.mkdir(parents=True)
    packages.unpack(packages.PERL_DKIM, directory)
    return directory
