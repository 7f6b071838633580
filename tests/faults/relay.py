"""A relay at some distance: it answers after 20 ms, and can stop being one: `python -m tests.faults.relay PORT FILE`.

Before it answers, it notes in FILE whom it has taken. A line is: recipient, Message-ID, Unix time, Unix time at which
the message began (MAIL), number of the connection, EHLO name of whoever sent it.

It speaks PIPELINING. What it is like is read from FILE.mode, at any time:

ok       takes everything
refuse   nobody listens; whoever is connected hears the answers that are under way, and is left
421      says so to whoever connects, and to the next command of whoever is connected
silent   hears everything and answers nothing until it is something else again

`--unix PATH` listens there too.
"""

import argparse
import asyncio
import os
import re
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]+)>", re.MULTILINE | re.IGNORECASE)
ADDRESS = re.compile(rb"<([^>]*)>")
LOOK_EVERY = 0.02
END = b"\r\n.\r\n"
NOT_NOW = b"421 4.3.2 not now\r\n"


@dataclass
class Place:
    """What all connections share."""

    file: int
    mode_file: Path
    delay: float
    mode: str = "ok"
    talks: "set[Talk]" = field(default_factory=set)
    number: int = 0

    def read_mode(self) -> str:
        with suppress(FileNotFoundError):
            return self.mode_file.read_text() or self.mode
        return "ok"


class Talk(asyncio.Protocol):
    """One connection."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.heard = b""
        self.in_data = False
        self.recipient = ""
        self.began = 0.0
        self.helo = "nobody"
        self.answers: deque[tuple[float, bytes]] = deque()
        """When each may be said, in order."""
        self.closing = False
        place.number += 1
        self.number = place.number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.place.talks.add(self)
        if self.place.mode == "421":
            self.leave()
        else:
            self.answer(b"220 relay.example ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self.place.talks.discard(self)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        while not self.closing and self.hear():
            pass

    def hear(self) -> bool:
        """One command or one message. Returns whether there was a whole one."""
        if self.in_data:
            end = 0 if self.heard.startswith(END[2:]) else self.heard.find(END) + 2
            if end == 1:
                return False
            message, self.heard = self.heard[:end], self.heard[end + 3 :]
            self.in_data = False
            self.take(message)
            return True
        line, found, rest = self.heard.partition(b"\r\n")
        if not found:
            return False
        self.heard = rest
        self.obey(line)
        return True

    def obey(self, line: bytes) -> None:
        if self.place.mode == "421":
            self.leave()
            return
        match line[:4].upper():
            case b"EHLO":
                self.helo = line[5:].decode() or "nobody"
                self.answer(b"250-relay.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n")
            case b"MAIL":
                self.began = time.time()
                self.answer(b"250 2.1.0 ok\r\n")
            case b"RCPT":
                found = ADDRESS.search(line)
                self.recipient = found[1].decode() if found else "nobody"
                self.answer(b"250 2.1.5 ok\r\n")
            case b"DATA":
                self.in_data = True
                self.answer(b"354 go ahead\r\n")
            case b"QUIT":
                self.answer(b"221 2.0.0 bye\r\n")
                self.closing = True
            case _:
                self.answer(b"250 2.0.0 ok\r\n")

    def take(self, message: bytes) -> None:
        if self.place.mode == "421":
            self.leave()
            return
        found = MESSAGE_ID.search(message)
        message_id = found[1].decode() if found else "none"
        line = f"{self.recipient} {message_id} {time.time():.3f} {self.began:.3f} {self.number} {self.helo}\n"
        os.write(self.place.file, line.encode())
        self.answer(b"250 2.0.0 taken\r\n")

    def leave(self) -> None:
        self.answer(NOT_NOW)
        self.closing = True

    def answer(self, text: bytes) -> None:
        self.answers.append((self.loop.time() + self.place.delay, text))
        self.loop.call_later(self.place.delay, self.say)

    def say(self) -> None:
        """Whatever is due; nothing while the place is silent."""
        if self.place.mode == "silent" or self.transport.is_closing():
            return
        now = self.loop.time() + 0.001
        due = []
        while self.answers and self.answers[0][0] <= now:
            due.append(self.answers.popleft()[1])
        if due:
            self.transport.write(b"".join(due))
        if self.closing and not self.answers:
            self.transport.close()


async def serve(port: int, unix: str | None, place: Place) -> None:
    loop = asyncio.get_running_loop()

    async def listen() -> list[asyncio.Server]:
        servers = [await loop.create_server(lambda: Talk(place), "127.0.0.1", port, backlog=500)]
        if unix:
            servers.append(await loop.create_unix_server(lambda: Talk(place), unix))
        return servers

    listening = await listen()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        mode = place.read_mode()
        if mode == place.mode:
            continue
        place.mode = mode
        print("now", mode, flush=True)  # noqa: T201
        if mode == "refuse":
            for server in listening:
                server.close()
            listening = []
            for talk in list(place.talks):
                talk.closing = True
                talk.say()
        else:
            listening = listening or await listen()
            for talk in list(place.talks):
                talk.say()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("file")
    parser.add_argument("--delay", type=float, default=0.02)
    parser.add_argument("--unix")
    given = parser.parse_args()
    notes = os.open(given.file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    asyncio.run(serve(given.port, given.unix, Place(notes, Path(f"{given.file}.mode"), given.delay)))
