"""A relay that speaks PIPELINING and says what a test tells it to, in threads, one for each connection."""

import socket
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Self

CLOSE = b"<close>"
"""Instead of a reply: the connection is closed."""
SILENCE = b"<silence>"

USUAL = {
    "greeting": b"220 relay.example\r\n",
    "MAIL": b"250 2.1.0 Ok\r\n",
    "RCPT": b"250 2.1.5 Ok\r\n",
    "DATA": b"354 End data with <CR><LF>.<CR><LF>\r\n",
    "EOM": b"250 2.0.0 Ok: queued\r\n",
    "RSET": b"250 2.0.0 Ok\r\n",
    "QUIT": b"221 2.0.0 Bye\r\n",
    "STARTTLS": b"220 2.0.0 Ready\r\n",
    "AUTH": b"235 2.7.0 Welcome\r\n",
}


class PipeliningRelay:
    """`says`: for each command, what to say to it the first times; then what is usual.

    Answers leave together when there is nothing more to read, as those of real servers; with `split`, octet by octet.
    """

    def __init__(
        self, says: Mapping[str, Iterable[bytes]] | None = None, *, offers: str = "PIPELINING", split: bool = False
    ) -> None:
        self.says = defaultdict(deque, {verb: deque(replies) for verb, replies in (says or {}).items()})
        self.offers = offers
        self.split = split
        self.heard: list[list[str]] = []
        """Commands of each connection; "<mail>" for the bytes of one."""
        self.packets: list[bytes] = []
        self.taken: list[tuple[str, bytes]] = []
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    @property
    def all_heard(self) -> list[str]:
        return [command for commands in self.heard for command in commands]

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.append(connection)
                self.heard.append([])
                self._start(self._talk, connection, self.heard[-1])

    def _talk(self, connection: socket.socket, heard: list[str]) -> None:
        with connection, suppress(OSError, _Closed):
            unread, recipient = b"", ""
            answers = self._answer("greeting")
            in_data = False
            while True:
                self._send(connection, answers)
                packet = connection.recv(1_000_000)
                if not packet:
                    return
                self.packets.append(packet)
                unread, answers = unread + packet, b""
                while True:
                    if in_data:
                        end = 0 if unread.startswith(b".\r\n") else unread.find(b"\r\n.\r\n") + 2
                        if end == 1:
                            break
                        heard.append("<mail>" if end else ".")
                        if end:
                            self.taken.append((recipient, unread[:end]))
                        unread, in_data = unread[end + 3 :], False
                        answers += self._answer("EOM", answers, connection)
                        continue
                    line, found, rest = unread.partition(b"\r\n")
                    if not found:
                        break
                    unread, command = rest, line.decode()
                    heard.append(command)
                    verb = command.partition(" ")[0]
                    if verb == "RCPT":
                        recipient = command.partition("<")[2].partition(">")[0]
                    said = self._answer(verb, answers, connection)
                    answers += said
                    in_data = verb == "DATA" and said.startswith(b"354")
                    if verb == "QUIT":
                        self._send(connection, answers)
                        return

    def _answer(self, verb: str, before: bytes = b"", connection: socket.socket | None = None) -> bytes:
        if self.says[verb]:
            said = self.says[verb].popleft()
        elif verb == "EHLO":
            said = "".join(f"250-{line}\r\n" for line in ("relay.example", *self.offers.split("|"))).encode()
            said += b"250 HELP\r\n"
        else:
            said = USUAL.get(verb, b"502 5.5.2 What?\r\n")
        if said.endswith(CLOSE):
            if connection is not None:
                self._send(connection, before + said.removesuffix(CLOSE))
            raise _Closed
        return b"" if said == SILENCE else said

    def _send(self, connection: socket.socket, answers: bytes) -> None:
        for part in [answers[n : n + 1] for n in range(len(answers))] if self.split else [answers]:
            connection.sendall(part)


class _Closed(Exception):  # noqa: N818 - no fault: the script says so
    pass
