"""Processes as the kernel sees them: tied to their parent, recognised again, ended as a whole group."""

import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path


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


def birth_of(pid: int) -> int | None:
    """When `pid` began, in the kernel's ticks since boot: tells it from a later process with the same number."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def group_lives(group: int) -> bool:
    """Whether any process of the group is left. A zombie counts until its parent has reaped it."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end_group(group: int, sign: signal.Signals, patience: float) -> None:
    """Send `sign` to a whole group that is not our child, and SIGKILL after `patience` seconds."""
    for step, wait in ((sign, patience), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(group, step)
        except (ProcessLookupError, PermissionError):
            return
        end = time.monotonic() + wait
        while time.monotonic() < end:
            if not group_lives(group):
                return
            time.sleep(0.05)
