"""Two hosts with a worker each, and a third with the servers: `unshare --net python -m tests.faults.hosts DIRECTORY`.

Each host is a network namespace. A host reaches PostgreSQL and Valkey by a cable of its own each, which can be pulled
out, and the relay by a door that stays open. The report (DIRECTORY/report.json) says what was seen; what must never be
is asserted here.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import redis

from tests.faults.house import ROOT, FaultHouse

READERS, RATE = 2500, 80
POSTGRES, VALKEY = "postgres", "valkey"
REDIS_AWAY, POSTGRES_AWAY = 8.0, 15.0
DATABASE_PORT = 5432


def ip(*words: str, host: "Host | None" = None) -> None:
    inside = ["nsenter", f"--net=/proc/{host.pid}/ns/net"] if host else []
    subprocess.run([*inside, "ip", *words], check=True, capture_output=True)


@dataclass
class Host:
    """One with a worker."""

    name: str
    number: int
    house: FaultHouse
    holder: "subprocess.Popen[bytes]" = field(init=False)
    """Keeps the namespace."""
    door: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def pid(self) -> int:
        return self.holder.pid

    def near(self, server: str) -> str:
        """The server's address on this host's cable."""
        return f"10.77.{self.number}.{1 if server == POSTGRES else 5}"

    def far(self, server: str) -> str:
        """This host's own address on it."""
        return f"10.77.{self.number}.{2 if server == POSTGRES else 6}"

    def connect(self) -> None:
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        own = Path("/proc/self/ns/net").readlink()
        self.house.wait_until("the host is there", lambda: Path(f"/proc/{self.pid}/ns/net").readlink() != own)
        ip("link", "set", "lo", "up", host=self)
        for server in (POSTGRES, VALKEY):
            cable = f"{self.name}-{server}"
            ip("link", "add", cable, "type", "veth", "peer", "name", server, "netns", str(self.pid))
            ip("address", "add", f"{self.near(server)}/30", "dev", cable)
            ip("address", "add", f"{self.far(server)}/30", "dev", server, host=self)
            ip("link", "set", cable, "up")
            ip("link", "set", server, "up", host=self)
        port, path = self.house.sink_port, self.house.directory / "relay.socket"
        self.door = subprocess.Popen(
            [*self.inside, sys.executable, "-m", "tests.faults.forward", str(port), str(path)], cwd=ROOT
        )

    @property
    def inside(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net"]

    @property
    def worker(self) -> str:
        return f"bulk-{self.name}"

    def start_worker(self, valkey_password: str) -> None:
        environment = self.house.environment | {
            "MILEPOST_DATABASE_URL": f"postgresql://milepost_app:app-pass@{self.near(POSTGRES)}:{DATABASE_PORT}/milepost",
            "MILEPOST_REDIS_URL": f"redis://:{valkey_password}@{self.near(VALKEY)}:{self.house.valkey.port}/0",
            "MILEPOST_STATE_DIR": str(self.house.directory / f"state-{self.name}"),
            "MILEPOST_LEDGER_DIR": str(self.house.directory / "state" / "ledger"),
            "MILEPOST_HELO_NAME": self.name,
        }
        with (self.house.directory / f"{self.worker}.log").open("ab") as log:
            self.house.processes[self.worker] = subprocess.Popen(
                [*self.inside, *self.house.command(self.worker)], env=environment, cwd=ROOT, stdout=log, stderr=log
            )

    def pull(self, server: str) -> None:
        """The cable between this host and the server: nothing passes, and nobody is told."""
        ip("link", "set", f"{self.name}-{server}", "down")

    def plug(self, server: str) -> None:
        ip("link", "set", f"{self.name}-{server}", "up")

    def end(self) -> None:
        for process in (self.door, self.holder):
            process.kill()
            process.wait()


@contextmanager
def two_hosts(directory: Path) -> Iterator[tuple[FaultHouse, Host, Host]]:
    ip("link", "set", "lo", "up")
    house = FaultHouse(directory, {"rate_per_second": str(RATE)})
    house.postgres.options = (*house.postgres.options, "listen_addresses=*")
    hosts = [Host("north", 1, house), Host("south", 2, house)]
    try:
        house.prepare()
        for host in hosts:
            host.connect()
        _listen_to_the_hosts(house)
        house.start("relay", sink=["--unix", str(directory / "relay.socket")])
        house.start("inbound", "beat")
        for host in hosts:
            host.start_worker(house.valkey.password)
        yield house, hosts[0], hosts[1]
    finally:
        house.stop_all()
        for host in hosts:
            host.end()


def _listen_to_the_hosts(house: FaultHouse) -> None:
    """Both servers know this machine alone when they start."""
    with (house.postgres.data / "pg_hba.conf").open("a") as allowed:
        allowed.write("host milepost milepost_app 10.77.0.0/16 trust\n")
    with psycopg.connect(house.postgres.conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")
    with redis.Redis(port=house.valkey.port, password=house.valkey.password) as client:
        client.config_set("bind", "127.0.0.1 10.77.1.5 10.77.2.5")


def taken_since(house: FaultHouse, moment: float) -> dict[str, int]:
    """By host: what began after `moment` (Unix time)."""
    found = {"north": 0, "south": 0}
    for message in house.messages():
        if message.began_at > moment:
            found[message.helo] += 1
    return found


def main(directory: Path) -> None:
    report: dict[str, object] = {}
    with two_hosts(directory) as (house, north, south):
        campaign_id = house.a_campaign_to(READERS)

        def reached(share: float) -> None:
            house.wait_until(f"{share:.0%} are taken", lambda: len(house.taken()) >= share * READERS)

        reached(0.1)
        report["before"] = taken_since(house, 0)
        for server, share, away in ((VALKEY, 0.15, REDIS_AWAY), (POSTGRES, 0.5, POSTGRES_AWAY)):
            reached(share)
            north.pull(server)
            pulled = time.time()
            time.sleep(away)
            report[f"without {server}"] = taken_since(house, pulled)
            report[f"5 s after {server} was gone"] = taken_since(house, pulled + 5)
            north.plug(server)
        house.wait_until_sent(campaign_id)
        report["in all"] = taken_since(house, 0)
        house.assert_nobody_twice_nobody_missing(campaign_id, uncertain_at_most=0)
        report["began"] = sorted(message.began_at for message in house.messages())
        report["log"] = {host.name: house.log(host.worker)[-3000:] for host in (north, south)}
    (directory / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
