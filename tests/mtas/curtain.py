"""Hides extensions from a server's answer to EHLO; everything else passes as it is."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass
class Curtain:
    behind: int
    """The server's port."""
    hidden: frozenset[str]
    _listening: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self.behind))
            except OSError:
                return
            for connection in (client, server):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            other = threading.Thread(target=_copy, args=(client, server), daemon=True)
            other.start()
            self._answer(server, client)
            other.join()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError), server.makefile("rb") as reading:
            client.sendall(b"".join(_reply(reading)))  # the greeting
            first, *others = _reply(reading)
            seen = [first, *(line for line in others if not self._hides(line))]
            seen[-1] = b"250 " + seen[-1][4:]
            client.sendall(b"".join(seen))
            while heard := reading.read1(65536):
                client.sendall(heard)
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)

    def _hides(self, line: bytes) -> bool:
        return line[4:].split()[0].decode().upper() in self.hidden


def _reply(reading: BinaryIO) -> Iterator[bytes]:
    while line := reading.readline():
        yield line
        if line[3:4] != b"-":
            return


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while heard := source.recv(65536):
            target.sendall(heard)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
