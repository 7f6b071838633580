"""What the kernel says of a process: the time that it has used, and its memory."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
LITTLE = 0.05


def _stat(pid: int | str) -> list[str]:
    """Its fields from the third on (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_seconds_of_family(pid: int) -> float:
    """Of a process, its children, and those that have ended."""
    fields = _stat(pid)
    seconds = sum(map(int, fields[11:15])) / TICKS
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and _stat(entry.name)[1] == str(pid):
                seconds += cpu_seconds_of_family(int(entry.name))
        except OSError:
            continue  # ended meanwhile
    return seconds


def memory_mb(pid: int, name: str) -> float:
    """VmRSS: what it has now; VmHWM: the most it ever had."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)


def wait_until_idle(pids: Iterable[int]) -> None:
    """Until together they have used less than a twentieth of a core for a second."""
    pids = list(pids)
    while True:
        before = sum(map(cpu_seconds, pids))
        time.sleep(1)
        if sum(map(cpu_seconds, pids)) - before <= LITTLE:
            return
