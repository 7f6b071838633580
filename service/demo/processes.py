"""Processes as the kernel sees them: tied to their parent, recognised again, ended as a whole group."""

import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

MARK = "DEMO_CHILD_OF"
"""An environment variable that every child carries: the demo's directory. A next start knows leftovers by it."""


def bound_to_parent(command: Sequence[str], sign: signal.Signals) -> list[str]:
    """`command`, sent `sign` by the kernel when its parent dies, even by kill -9 (Linux only, prctl(2)).

    The parent is the thread that starts it: start children from the main thread.
    """
    if shutil.which("setpriv") is None:
        return list(command)
    return ["setpriv", "--pdeathsig", sign.name.removeprefix("SIG"), *command]


def cmdline_of(pid: int) -> str:
    """How `pid` was started, blanks between arguments; empty if there is no such process (or no /proc, or a zombie)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def find_marked(directory: Path) -> list[int]:
    """Every process that a supervisor of `directory` started, or that those started; empty where there is no /proc."""
    mark = f"{MARK}={directory}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return sorted(set(found) - {os.getpid()})


def end_marked(directory: Path, patience: float = 10.0) -> int:
    """End what a killed supervisor left behind: politely, after `patience` seconds by force. Returns how many."""
    left = find_marked(directory)
    for sign, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for pid in find_marked(directory):
            send(pid, sign)
        end = time.monotonic() + wait
        while time.monotonic() < end:
            if not find_marked(directory):
                return len(left)
            time.sleep(0.05)
    return len(left)


def send(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except (ProcessLookupError, PermissionError):
        return


def kill_group(group: int) -> None:
    """End whatever is left of a child's group after its leader is gone: orphans keep ports open."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
