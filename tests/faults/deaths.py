"""A worker at the moment of its death: how many connections it had open, and what it had on the wire."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from service.mail.journal import DeadJournal
from tests.faults.house import FaultHouse

ESTABLISHED = "01"


@dataclass(frozen=True)
class Death:
    worker: str
    accepted: int
    """So many had been taken by then."""
    connections: int
    on_the_wire: frozenset[int]
    """Deliveries that the journal says were handed to the relay, without an answer."""


def kill_at_work(house: FaultHouse, worker: str, *, insist: bool) -> Death | None:
    """kill -9, while it is connected to the relay. None, and nothing done, if it is not at work.

    `insist`: nor if it has nothing on the wire. It is stopped for the look: what is counted is what dies.
    """
    process = house.processes[worker]
    os.kill(process.pid, signal.SIGSTOP)
    house.wait_until(f"{worker} stands still", lambda: _state(process.pid) == "T")
    connections = count_connections(process.pid, house.sink_port)
    on_the_wire = _on_the_wire(process.pid)
    if not connections or (insist and not on_the_wire):
        os.kill(process.pid, signal.SIGCONT)
        return None
    death = Death(worker, len(house.taken()), connections, on_the_wire)
    house.kill(worker)
    return death


def count_connections(pid: int, port: int) -> int:
    """TCP connections of a process to this port on loopback."""
    mine = {link.removeprefix("socket:[").removesuffix("]") for link in _open_files(pid) if link.startswith("socket:[")}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    to = f":{port:04X}"
    return sum(1 for row in rows if row[2].endswith(to) and row[3] == ESTABLISHED and row[9] in mine)


def _on_the_wire(pid: int) -> frozenset[int]:
    found: set[int] = set()
    for link in _open_files(pid):
        if link.endswith(".journal"):
            file = os.open(link, os.O_RDONLY)
            try:
                notes = DeadJournal(Path(link), file).read()
            finally:
                os.close(file)
            found |= notes.started - notes.outcomes.keys()
    return frozenset(found)


def _open_files(pid: int) -> list[str]:
    links = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:
            continue  # closed meanwhile
    return links


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
