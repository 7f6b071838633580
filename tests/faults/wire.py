"""A host of its own with one wire that leads to nobody: every packet that leaves a command is seen on it.

    unshare --net --mount python -m tests.faults.wire REPORT COMMAND …

In a network namespace, `wire` is the default route for everything but loopback, and names are asked of a server behind
it, so that what wants to leave is really sent. The report (JSON) says what was sent while the command ran, and what was
seen of packets sent on purpose before and after it: a sniffer that sees nothing must not pass for silence.
"""

import json
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

WIRE = "wire"
NAME_SERVER = "203.0.113.53"
SOMEBODY, SOMEBODY_6 = "203.0.113.9", "2001:db8:9::9"
NAME = "control.fjellsko.example"
QUIET_SECONDS = 0.3

ALL_PROTOCOLS = socket.htons(0x0003)
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE, BUFFER = 33, 64 * 1024 * 1024
OUTGOING = 4
IPV4, IPV6 = 0x0800, 0x86DD
TCP, UDP, ICMP6 = 6, 17, 58
HEADERS = 128
NEIGHBOURS = {130, 131, 132, 133, 134, 135, 136, 137, 143}
"""ICMPv6 that the kernel itself says to an interface's neighbours (RFC 4861, RFC 3810)."""


def prepare(directory: Path) -> None:
    """Loopback, the wire, its routes; a name server behind it; and a hosts file that knows localhost alone.

    What stands in for files of the system is written to `directory`.
    """
    for words in (
        "link set lo up",
        f"link add {WIRE} type veth peer name far",
        f"link set {WIRE} arp off",
        "link set far arp off",
        f"address add 198.51.100.2/24 dev {WIRE}",
        f"-6 address add 2001:db8::2/64 dev {WIRE} nodad",
        "link set far up",
        f"link set {WIRE} up",
        f"route add default dev {WIRE}",
        f"-6 route add default dev {WIRE}",
    ):
        subprocess.run(["ip", *words.split()], check=True, capture_output=True, text=True)
    for path, content in (
        ("/etc/resolv.conf", f"nameserver {NAME_SERVER}\noptions timeout:1 attempts:1\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ):
        stand_in = directory / Path(path).name
        stand_in.write_text(content, encoding="utf-8")
        # For this mount namespace alone.
        subprocess.run(["mount", "--bind", stand_in, path], check=True, capture_output=True, text=True)


class Sniffer:
    """Counts packets by interface, destination, protocol and port, with an AF_PACKET socket on every interface."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str, str, int]] = Counter()
        self.missed = 0

    @contextmanager
    def listening(self) -> Iterator["Sniffer"]:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, ALL_PROTOCOLS) as ear:
            try:
                ear.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
            except PermissionError:  # root of a user namespace only; what does not fit is counted as missed
                ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            ear.settimeout(QUIET_SECONDS)
            over = threading.Event()
            listener = threading.Thread(target=self._listen, args=(ear, over))
            listener.start()
            try:
                yield self
            finally:
                over.set()
                listener.join()
                _, self.missed = struct.unpack("II", ear.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))

    def _listen(self, ear: socket.socket, over: threading.Event) -> None:
        while True:
            try:
                packet, (interface, kind, direction, *_) = ear.recvfrom(HEADERS)
            except TimeoutError:
                if over.is_set():
                    return
                continue
            if direction == OUTGOING and (found := _read(kind, packet[14:])):
                self.seen[interface, *found] += 1

    def report(self) -> dict[str, Any]:
        return {
            "missed": self.missed,
            "sent": [[*key, count] for key, count in sorted(self.seen.items())],
        }


def _read(kind: int, packet: bytes) -> tuple[str, str, int] | None:
    """Destination, protocol, port; None for what the kernel says to its neighbours."""
    if kind == IPV4:
        protocol, payload = packet[9], packet[(packet[0] & 15) * 4 :]
        destination = socket.inet_ntop(socket.AF_INET, packet[16:20])
    elif kind == IPV6:
        protocol, payload = packet[6], packet[40:]
        destination = socket.inet_ntop(socket.AF_INET6, packet[24:40])
        if protocol == 0:  # hop-by-hop options, which multicast listener reports begin with
            protocol, payload = payload[0], payload[(payload[1] + 1) * 8 :]
        if protocol == ICMP6 and payload[0] in NEIGHBOURS:
            return None
    else:
        return "", f"ethertype {kind:#06x}", 0
    if protocol in (TCP, UDP):
        return destination, "tcp" if protocol == TCP else "udp", int.from_bytes(payload[2:4], "big")
    return destination, f"protocol {protocol}", 0


def send_on_purpose() -> dict[str, Any]:
    """A datagram, a connection over each version of IP and a question to the name server; and what was seen of them."""
    with Sniffer().listening() as sniffer:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", (SOMEBODY, 9))
        for host in (SOMEBODY, SOMEBODY_6):
            with suppress(OSError):
                socket.create_connection((host, 25), timeout=0.2)
        with suppress(OSError):
            socket.getaddrinfo(NAME, 25)
    return sniffer.report()


def main(report: str, *command: str) -> None:
    prepare(Path(report).parent)
    before = send_on_purpose()
    with Sniffer().listening() as sniffer:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    after = send_on_purpose()
    Path(report).write_text(
        json.dumps(
            {
                "before": before,
                "during": sniffer.report(),
                "after": after,
                "code": done.returncode,
                "said": done.stdout,
                "complained": done.stderr[-20_000:],
            }
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
