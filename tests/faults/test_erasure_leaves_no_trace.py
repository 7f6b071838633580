"""D-15 on a whole demo: a reader is erased, and no dump, file or log holds the address in any spelling; a backup of
before serves nobody until it has forgotten again."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis

from service.demo.database import DATABASE
from service.demo.seed import DIGEST
from service.demo.servers import Postgres, _postgres_binaries
from service.demo.visitor import Form
from tests.house import ROOT, House, _clean_environment, demo, wait_until
from tests.traces import find_in_files, find_traces

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

ADDRESS = "Zoe.Quillfeather+Trail@Hike.Example"
NAME = "Zoraquill"
"""The first name: as distinctive, and as gone afterwards."""
SEALED_WITHIN = 90.0


@dataclass
class Stranger:
    """A reader with a browser and a mailbox."""

    house: House

    def sign_up(self) -> None:
        with httpx.Client(headers={"Accept-Language": "en"}, follow_redirects=True) as browser:
            page = browser.get(f"{self.house.public_url}/subscribe")
            form = Form(str(page.url), page.text)
            time.sleep(3.2)  # a person needs longer than this to fill in the form (E-06)
            answer = browser.post(
                form.action,
                data=form.hidden
                | {"address": ADDRESS, "first_name": NAME, "purposes": ["digest", "offers"]}
                | {"topics": form.choices["topics"]},
            )
            assert answer.status_code == 200, answer.text
            confirmation = self.house.wait_for_mail(ADDRESS)[0]
            opened = httpx.get(f"{self.house.catcher_url}/api/mails/{confirmation['id']}").json()
            link = next(link for link in opened["links"] if "/confirm/" in link)
            button = Form(link, browser.get(link).text)
            assert browser.post(button.action, data=button.hidden).status_code == 200

    def get_a_digest_and_an_offer(self) -> None:
        self.house.wait_for_mail(ADDRESS, count=2)
        self.house.milepost("digest", "send", DIGEST)
        campaign = self.house.milepost(
            "campaign", "create", "--list", "hub", "--purpose", "offers", "--subject", "Shoes", "--body", "Warm feet."
        )
        self.house.milepost("campaign", "test", str(campaign["id"]), "--to", ADDRESS.upper())
        self.house.milepost("campaign", "send", str(campaign["id"]))
        self.house.wait_for_mail(ADDRESS, count=5)


def postgres_tool(directory: Path, name: str, *arguments: str) -> bytes:
    """One of PostgreSQL's own programs, as superuser."""
    socket = Postgres(directory / "postgres").sockets
    done = subprocess.run(
        [str(_postgres_binaries() / name), f"--host={socket}", "--username=postgres", *arguments],
        check=False,
        capture_output=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def traces(house: House) -> dict[str, list[str]]:
    """Where the address, or the name, is found: the whole database as text, and every file of the demo but
    PostgreSQL's own, which the dump stands for."""
    url = house.environment["MILEPOST_REDIS_URL"]
    with redis.Redis.from_url(url) as valkey:
        valkey.save()
    raw = house.directory / "postgres"
    files = [path for path in house.directory.rglob("*") if raw not in path.parents]
    files.append(house.directory.parent / "demo.log")
    assert any("valkey" in str(path) and path.stat().st_size for path in files if path.is_file())
    assert any(path.name == "postgresql.log" for path in files)
    dump = postgres_tool(house.directory, "pg_dump", "--dbname", DATABASE)
    found = find_in_files(files, ADDRESS) | find_in_files(files, NAME)
    if in_dump := find_traces(dump, ADDRESS) + find_traces(dump, NAME):
        found["dump of the database"] = in_dump
    return found


@contextmanager
def postgres_alone(directory: Path) -> Iterator[None]:
    server = Postgres(directory / "postgres")
    server.start()
    try:
        yield
    finally:
        server.stop()


def run_milepost(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        env=_clean_environment() | environment,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def forget_in_the_catcher(house: House) -> None:
    """What `milepost privacy erase` told the operator to do. The test mail went to another spelling of the address."""
    own = {"Origin": house.catcher_url}
    assert httpx.post(f"{house.catcher_url}/forget", data={"to": ADDRESS}, headers=own).status_code == 303


@pytest.mark.requirement("D-15")
def test_nothing_is_left_and_a_backup_forgets_again(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    backup = tmp_path / "backup"
    with demo(directory) as house:
        stranger = Stranger(house)
        stranger.sign_up()
        stranger.get_a_digest_and_an_offer()
        before = traces(house)
        assert len(before["dump of the database"]) > 3
        assert any("catcher" in name for name in before)
        assert not any(name.endswith(".log") for name in before), "no log ever held it"
        postgres_tool(directory, "pg_dump", "--dbname", DATABASE, "--format=custom", f"--file={backup}")

        erased = house.milepost("privacy", "erase", ADDRESS.lower(), "--reason", "letter of 2 March", "--yes")
        assert erased["erased"], erased
        assert [each["name"] for each in erased["processors_to_ask"]] == ["Mail catcher of the demo"]
        forget_in_the_catcher(house)
        assert traces(house) == {}
        assert house.milepost("consent", "verify")["intact"]
        # A checkpoint covers the withdrawal: from now on the backup is older than the ledger's file, too.
        wait_until(
            lambda: house.milepost("privacy", "report")["ledger"]["events_since"] == 0,
            "nothing was sealed",
            SEALED_WITHIN,
        )
        environment = dict(house.environment)

    with postgres_alone(directory):
        postgres_tool(directory, "dropdb", DATABASE)
        postgres_tool(directory, "pg_restore", "--dbname=postgres", "--create", str(backup))
        assert find_traces(postgres_tool(directory, "pg_dump", "--dbname", DATABASE), ADDRESS)
        for command in (("web",), ("worker", "--lane", "bulk"), ("beat",)):
            refused = run_milepost(environment, *command)
            assert refused.returncode == 3, refused.stderr
            assert "milepost privacy forget-again" in refused.stderr
            assert "milepost consent restored" in refused.stderr
            assert find_traces(refused.stderr.encode(), ADDRESS) == []
        for command in (
            ("consent", "restored", "--reason", "backup of Monday"),
            ("privacy", "forget-again", "--reason", "backup of Monday"),
        ):
            done = run_milepost(environment, *command)
            assert done.returncode == 0, done.stderr

    with demo(directory) as house:
        assert httpx.get(f"{house.public_url}/health/ready").status_code == 200
        assert traces(house) == {}
        assert house.milepost("consent", "verify")["intact"]
        assert house.milepost("privacy", "report")["suppressions"]["erased"] == 1
