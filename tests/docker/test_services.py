"""Every command line and health check of docker-compose.yml, run without Docker on the servers of the test suite.

What is run is what the image would hold: the package as the Dockerfile installs it. Volumes are directories, and all
containers share one address on loopback. Stand-ins: PostgreSQL's and Valkey's images (their servers are the embedded
ones, with the arguments of the file), and valkey-cli.
"""

import json
import random
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from service.demo.privileges import find_way
from service.demo.servers import FAST_AND_UNSAFE, Postgres, _postgres_binaries, _valkey_binary
from tests.docker.compose import REHEARSAL, Host, installed_as_in_the_image, read_compose

pytestmark = pytest.mark.ops

OURS = ["web", "worker-interactive", "worker-bulk", "worker-inbound", "beat", "catcher"]
SERVERS = ["postgres", "redis"]
VALKEY_CLI = """#!{python}
import os, sys, redis
assert sys.argv[1:] == ["ping"]
print("PONG" if redis.Redis("{address}", 6379, password=os.environ["REDISCLI_AUTH"]).ping() else "no")
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The installation, before anything was started."""
    directory = tmp_path_factory.mktemp("compose")
    stand_ins = directory / "bin"
    stand_ins.mkdir()
    # The ports are those of the file, so the address has to be one that nobody else uses.
    address = "127.{}.{}.{}".format(*(random.randint(20, 250) for _ in range(3)))
    host = Host(
        directory=directory,
        address=address,
        services=read_compose(directory, REHEARSAL)["services"],
        path=[stand_ins, Path(sys.prefix) / "bin", _postgres_binaries()],
        site=installed_as_in_the_image(directory),
    )
    _stand_in(stand_ins / "docker-entrypoint.sh", '#!/bin/sh\nexec "$@"\n')
    # In the image the directory is /data, and the network is the container's own.
    here = f"--bind {address} --dir {host.volume('hints')}"
    _stand_in(stand_ins / "valkey-server", f'#!/bin/sh\nexec {_valkey_binary()} {here} "$@"\n')
    python = host.path[1] / "python"
    _stand_in(stand_ins / "valkey-cli", VALKEY_CLI.format(python=python, address=address))
    yield host
    for process in host.running.values():
        process.kill()
        process.wait()


def _stand_in(path: Path, script: str) -> None:
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture(scope="module")
def secrets(host: Host) -> dict[str, Path]:
    """After the one-shot `secrets`: every file in both volumes."""
    first = host.run("secrets")
    assert first.returncode == 0, first.stderr
    volumes = ("secrets", "owner-secrets", "database-secrets")
    found = {f"{volume}/{path.name}": path for volume in volumes for path in _files(host, volume)}
    kept = {name: path.read_text() for name, path in found.items()}
    assert host.run("secrets").returncode == 0
    assert {name: path.read_text() for name, path in found.items()} == kept, "a second start must keep every secret"
    return found


def _files(host: Host, volume: str) -> list[Path]:
    return sorted(host.volume(volume).iterdir())


def test_secrets_are_drawn_at_the_first_start(secrets: dict[str, Path]) -> None:
    assert {name for name in secrets if name.startswith("secrets/")} == {
        "secrets/secret_key",
        "secrets/database_url",
        "secrets/redis_url",
        "secrets/redis_password",
    }
    assert {name for name in secrets if name.startswith("database-secrets/")} == {"database-secrets/postgres_password"}
    for path in secrets.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    drawn = [path.read_text() for name, path in secrets.items() if name.endswith(("_password", "secret_key"))]
    assert len(set(drawn)) == 5, "each is its own (three of them stand in two volumes)"


@pytest.fixture(scope="module")
def servers(host: Host, secrets: dict[str, Path]) -> Iterator[None]:
    """PostgreSQL and Valkey, started with the arguments and the initdb arguments of the file."""
    assert secrets
    service = host.services["postgres"]
    command = host.command("postgres")
    assert command[0] == "postgres"
    assert command[1::2] == ["-c"] * (len(command) // 2)
    data = host.volume("database") / "data"
    data.mkdir(mode=0o700)
    binaries = _postgres_binaries()
    password_file = host.translated("postgres", service["environment"]["POSTGRES_PASSWORD_FILE"])
    subprocess.run(
        [
            *find_way(binaries, (data,)).prefix,
            binaries / "initdb",
            f"--pgdata={data}",
            "--username=postgres",
            f"--pwfile={_readable(password_file, host.directory)}",
            *shlex.split(service["environment"]["POSTGRES_INITDB_ARGS"]),
        ],
        check=True,
        capture_output=True,
    )
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")  # as the image's entrypoint adds
    options = [*command[2::2], *FAST_AND_UNSAFE, f"listen_addresses={host.address}"]
    server = Postgres(data, options, log=host.log("postgres"))
    server.start()
    try:
        host.start("redis")
        for name in SERVERS:
            host.wait_until_healthy(name)
        yield
        assert host.stop("redis") == 0
    finally:
        server.stop()


def _readable(path: str, directory: Path) -> Path:
    """A copy for initdb, which may run as another user here; in the image it is given by the entrypoint."""
    copy = directory / "pwfile"
    copy.write_text(Path(path).read_text(encoding="utf-8"), encoding="utf-8")
    copy.chmod(0o644)
    return copy


@pytest.fixture(scope="module")
def migrated(host: Host, servers: None) -> None:
    for _ in range(2):  # every start of the compose file runs it again
        done = host.run("migrate")
        assert done.returncode == 0, done.stdout + done.stderr


def test_migrate_leaves_two_roles_whose_passwords_are_asked_for(
    host: Host, secrets: dict[str, Path], migrated: None
) -> None:
    url = make_url(secrets["secrets/database_url"].read_text().strip()).set(drivername="postgresql+psycopg")
    assert url.username == "milepost_app"
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM statements")) > 0
        assert connection.scalar(text("SHOW log_error_verbosity")) == "terse"
        assert connection.scalar(text("SELECT datlocprovider FROM pg_database WHERE datname = 'template1'")) == "b"
    engine.dispose()
    wrong = create_engine(url.set(password="guessed"))
    with pytest.raises(OperationalError):
        wrong.connect()
    wrong.dispose()


@pytest.fixture(scope="module")
def running(host: Host, migrated: None) -> list[str]:
    for name in OURS:
        host.start(name)
    return OURS


@pytest.mark.parametrize("name", OURS + SERVERS)
def test_the_service_becomes_healthy(name: str, host: Host, running: list[str]) -> None:
    host.wait_until_healthy(name)


def test_every_service_of_the_file_was_run(host: Host, running: list[str]) -> None:
    assert set(host.services) == {"secrets", "migrate", *SERVERS, *running}


def test_doctor_finds_nothing_at_fault(host: Host, running: list[str]) -> None:
    for name in running:
        host.wait_until_healthy(name)
    done = host.run("worker-bulk", ["milepost", "doctor", "--json"])
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["healthy"], report


def test_health_is_not_claimed_for_what_does_not_run(host: Host, running: list[str]) -> None:
    """Last but one: the catcher is ended here, and its check must see it."""
    assert host.stop("catcher") == 0
    assert host.check_health("catcher").returncode != 0


def test_every_process_ends_when_asked(host: Host, running: list[str]) -> None:
    """SIGTERM, as `docker-compose stop` sends it, well within the grace that the file gives."""
    journals = host.volume("state") / "journal"
    assert len(list(journals.glob("*.journal"))) == 3, "one per worker while they run"
    for name in running:
        if name != "catcher":
            assert host.stop(name) == 0, host.said(name)
    assert not list(journals.glob("*.journal")), "a worker that ends in order leaves none"
