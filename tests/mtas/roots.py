"""A root of its own for each mail server: its packages, the libraries of this system that they link, its own users.

A server runs in it (chroot) in namespaces of its own for processes and mounts, so that whatever it starts ends with it.
As an ordinary user that takes a user namespace with several users (/etc/subuid, package uidmap).
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service.demo.processes import bound_to_parent
from tests.mtas import packages

MERGED = ("bin", "sbin", "lib", "lib64")
READER = 5000
"""The user who owns mailboxes."""
USERS = {
    "root": 0,
    "daemon": 1,
    "mail": 8,
    "postfix": 101,
    "Debian-exim": 102,
    "opensmtpd": 103,
    "opensmtpq": 104,
    "reader": READER,
    "nobody": 65534,
}
GROUPS = {**USERS, "postdrop": 105, "sasl": 45, "nogroup": 65534}
PATIENCE = 20.0

BECOME_ROOT = () if os.geteuid() == 0 else ("--user", "--map-root-user", "--map-auto")


@dataclass
class Root:
    directory: Path
    packages: Sequence[str]
    programs: Sequence[str] = ("/bin/sh",)
    """Of this system, which the packages call."""
    library_paths: Sequence[str] = ()
    """Below the root, beyond the usual ones."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True)
        self.directory.chmod(0o755)
        for name in MERGED:
            (self.directory / "usr" / name).mkdir(parents=True)
            (self.directory / name).symlink_to(f"usr/{name}")
        (self.directory / "var").mkdir()
        (self.directory / "var/run").symlink_to("/run")
        packages.unpack(self.packages, self.directory)
        for name in ("dev", "etc", "run", "tmp", "var/log", "srv/mail"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "tmp").chmod(0o1777)
        self.write("/etc/passwd", "".join(f"{u}:x:{n}:{n}::{_home(u)}:/bin/sh\n" for u, n in USERS.items()))
        self.write("/etc/group", "".join(f"{g}:x:{n}:\n" for g, n in GROUPS.items()))
        self.write("/etc/hosts", "127.0.0.1 localhost\n")
        self.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\n")
        self.write("/etc/services", "smtp 25/tcp\nsubmission 587/tcp\n")
        self.give("/srv/mail", "reader")
        for program in self.programs:
            found = shutil.which(program)
            assert found, program
            shutil.copy(found, self.directory / program.lstrip("/"))
        self._add_libraries()

    # Files

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        file = self.directory / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(mode)

    def give(self, path: str, user: str, group: str | None = None, mode: int = 0o755) -> None:
        """The directory, made if it is missing, belongs to `user`."""
        place = self.directory / path.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(mode)
        self.run("/", ["chown", f"{USERS[user]}:{GROUPS[group or user]}", str(place)], inside=False)

    def mailbox(self, path: str = "/srv/mail") -> list[bytes]:
        """Every message in a Maildir or a plain directory below, in no order."""
        self.run("/", ["chmod", "-R", "a+rX", str(self.directory / path.lstrip("/"))], inside=False)
        files = (self.directory / path.lstrip("/")).rglob("*")
        return [
            file.read_bytes()
            for file in files
            if file.is_file() and "/tmp/" not in f"/{file}"[len(str(self.directory)) :]
        ]

    # Processes

    def run(self, what: str, command: Sequence[str], *, inside: bool = True) -> str:
        """Run to the end. Raises AssertionError with what it said."""
        done = subprocess.run(
            self._enter(command) if inside else [*_as_root(), *command], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{what} {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        with (self.directory.parent / f"{self.directory.name}.log").open("ab") as log:
            process = subprocess.Popen(
                bound_to_parent(self._enter(command), signal.SIGKILL),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(environment or {})},
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """Ends everything that was started: the kernel ends a namespace of processes with its first one."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()

    def _enter(self, command: Sequence[str]) -> list[str]:
        # The shell stays: it dies with `unshare`, where a server that becomes another user forgets to.
        script = 'mount --rbind /dev "$0/dev" && chroot "$0" "$@"; exit $?'
        namespaces = [*BECOME_ROOT, "--mount", "--pid", "--fork", "--kill-child"]
        return ["unshare", *namespaces, "sh", "-c", script, str(self.directory), *command]

    def log(self) -> str:
        texts = [self.directory.parent / f"{self.directory.name}.log", *(self.directory / "var/log").rglob("*")]
        return "\n".join(text.read_text(errors="replace")[-3000:] for text in texts if text.is_file())

    def wait_for(self, what: str, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not condition():
            ended = [process.args for process in self.processes if process.poll() is not None]
            if ended or time.monotonic() > end:
                raise AssertionError(f"{f'ended: {ended}' if ended else 'not in time'}: {what}\n{self.log()}")
            time.sleep(0.02)

    def wait_for_port(self, port: int) -> None:
        self.wait_for(f"port {port} answers", lambda: greets(port))

    # What is linked

    def _add_libraries(self) -> None:
        """What programs and plug-ins link, and the packages do not bring: this system's, by the same paths."""
        places = [*self.library_paths, "/usr/lib", *_architectures()]
        environment = {"LD_LIBRARY_PATH": ":".join(str(self.directory / place.lstrip("/")) for place in places)}
        wanted: set[str] = set()
        for file in _programs(self.directory):
            said = subprocess.run(["ldd", file], env=environment, check=False, capture_output=True, text=True).stdout
            wanted |= set(re.findall(r"(/\S+) \(0x", said))
        for path in sorted(wanted):
            target = self.directory / path.lstrip("/")
            if path.startswith(str(self.directory)) or target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(3) != b""
    except OSError:
        return False


def _as_root() -> list[str]:
    return ["unshare", *BECOME_ROOT] if BECOME_ROOT else []


def _home(user: str) -> str:
    return "/srv/mail" if user == "reader" else "/"


def _architectures() -> list[str]:
    return [f"/usr/lib/{path.name}" for path in Path("/usr/lib").glob("*-linux-gnu*") if path.is_dir()]


def _programs(directory: Path) -> Iterator[Path]:
    for file in (directory / "usr").rglob("*"):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as opened:
                if opened.read(4) == b"\x7fELF":
                    yield file
