"""A whole campaign beside smtp-source, to the same smtp-sink, alternating in the same run.

    python -m benchmarks.send --json --recipients 50000 --size 13312

Four campaigns in two languages, so eight variants, are ordered in one transaction; the clock runs from its commit until
nothing of them is queued or on its way, so planning counts. The bulk workers are real Celery workers that idle before.
What has arrived is counted by the sink. PostgreSQL has its default durability. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.postfix_tools import Sink, Tools
from service.bootstrap import Container, build_container
from service.domain.words import Language, MailKind
from service.mail.samples import load_sample
from service.settings import load
from service.usecases import campaigning
from tests.builders import a_campaign, a_list
from tests.faults.house import FaultHouse

SESSIONS = (5, 10, 20, 40)
CAMPAIGNS = 4
SENTENCE = "Run your first kilometres slowly, and count how often you breathe in before you breathe out. "
TICKS = os.sysconf("SC_CLK_TCK")
WITHIN = 0.02
"""Of the size that was asked for."""


class Bench:
    def __init__(self, house: FaultHouse, sink: Sink, recipients: int, size: int) -> None:
        self._house, self._sink, self._recipients, self._size = house, sink, recipients, size
        names = [f"list-{number}" for number in range(CAMPAIGNS)]
        with house.transaction() as tx:
            self._lists = [a_list(tx, name) for name in names]
            for place, list_id in enumerate(self._lists):
                tx.session.execute(
                    text(_READERS), {"list": list_id, "lists": CAMPAIGNS, "place": place, "number": recipients}
                )
        self._body = self._body_of(size)

    def _body_of(self, size: int) -> str:
        """Markdown that makes a mail of about this many octets on the wire, the signature included."""
        container = build_container(load(self._house.environment))
        count, least = 0, 0
        for _ in range(8):
            octets = self._octets(container, SENTENCE * count + "Short.")
            least = least or octets
            if abs(octets - size) <= WITHIN * size:
                return SENTENCE * count + "Short."
            count = max(0, count + round((size - octets) / (2.1 * len(SENTENCE))))
        raise SystemExit(f"A mail of {size} octets cannot be made: the shortest has {least}. Nothing was measured.")

    def _octets(self, container: Container, body: str) -> int:
        letter = load_sample(MailKind.CAMPAIGN, Language.EN, None)
        return len(container.writer.write(replace(letter, body=body), container.clock.now()).data)

    def run(self, pids: Mapping[str, int]) -> tuple[float, float]:
        """Messages a second from the commit of the order on, and CPU seconds of the workers a message."""
        wait_until_idle(list(pids.values()))
        before, cpu = self._sink.count(), sum(map(cpu_seconds, pids.values()))
        with self._house.transaction() as tx:
            ids = []
            for list_id in self._lists:
                ids.append(a_campaign(tx, list_id=list_id))
                tx.session.execute(
                    text("UPDATE campaigns SET body = :body WHERE id = :id"), {"body": self._body, "id": ids[-1]}
                )
                tx.session.expire_all()
                campaigning.order_campaign(tx, ids[-1], by="ada")
        began = time.perf_counter()
        while self._sink.count() - before < self._recipients:
            self._check_workers()
            time.sleep(0.02)
        with self._house.engine.connect() as connection:
            while connection.scalar(text(_LEFT), {"ids": ids}) or not connection.scalar(text(_PLANNED), {"ids": ids}):
                connection.rollback()
                time.sleep(0.01)
            seconds = time.perf_counter() - began
            accepted = connection.scalar(text(_ACCEPTED), {"ids": ids})
        arrived = self._sink.count() - before
        if not arrived == accepted == self._recipients:
            raise RuntimeError(f"{self._recipients} were to be mailed, {accepted} accepted, {arrived} arrived.")
        return self._recipients / seconds, (sum(map(cpu_seconds, pids.values())) - cpu) / self._recipients

    def _check_workers(self) -> None:
        for name, process in self._house.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} has ended: {self._house.log(name)[-2000:]}")

    def reference(self) -> tuple[float, int]:
        """The best of several numbers of sessions, and that number."""
        return max((self._sink.rate(self._recipients, self._size, sessions), sessions) for sessions in SESSIONS)


_READERS = """
WITH people AS (
    INSERT INTO subscribers (address, dedupe_key, address_hmac, language, first_name)
    SELECT a, a, sha256(a::bytea), CASE n / :lists % 2 WHEN 0 THEN 'en' ELSE 'de' END, 'Reader ' || n % 1000
    FROM (SELECT n, 'reader-' || n || '@many.example' AS a FROM generate_series(0, :number - 1) n) x
    WHERE n % :lists = :place RETURNING id
)
INSERT INTO subscriptions (subscriber_id, list_id, purpose, state, event_id, given_at)
SELECT id, :list, 'offers', 'active', 1, now() FROM people
"""
_LEFT = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE campaign_id = ANY(:ids) AND status IN ('queued', 'sending'))"
_PLANNED = "SELECT count(*) = 0 FROM campaigns WHERE id = ANY(:ids) AND status IN ('draft', 'planning')"
_ACCEPTED = "SELECT count(*) FROM deliveries WHERE campaign_id = ANY(:ids) AND status = 'accepted'"


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise LookupError("VmHWM")


def wait_until_idle(pids: list[int]) -> None:
    """Until they have used less than a twentieth of a core for a second."""
    while True:
        before = sum(map(cpu_seconds, pids))
        time.sleep(1)
        if sum(map(cpu_seconds, pids)) - before <= 0.05:  # noqa: PLR2004
            return


def measure(directory: Path, asked: argparse.Namespace) -> dict[str, Any]:
    sink = Sink(Tools(directory / "postfix"), directory / "sink.log")
    house = FaultHouse(directory, {"relay_port": str(sink.port), "log_level": "warning"})
    house.postgres.options = ()
    try:
        house.prepare()
        if asked.dkim:
            house.run("dkim", "new")
            house.run("dkim", "rotate", "--published")
        bench = Bench(house, sink, asked.recipients, asked.size)
        workers = [f"bulk-{number}" for number in range(1, asked.workers + 1)]
        house.start(*workers)
        pids = {name: house.processes[name].pid for name in workers}
        runs = []
        for _ in range(asked.runs):
            reference, sessions = bench.reference()
            ours, cpu = bench.run(pids)
            runs.append((ours, reference, ours / reference, cpu * 1e6, sessions))
        rss = max(map(peak_mb, pids.values()))
    finally:
        house.stop_all()
        sink.stop()
    ours, reference, ratio, cpu, _ = (statistics.median(column) for column in zip(*runs, strict=True))
    return {
        "benchmark": "send",
        "recipients": asked.recipients,
        "size": asked.size,
        "workers": asked.workers,
        "dkim": asked.dkim,
        "variants": CAMPAIGNS * 2,
        "runs": asked.runs,
        "ours_per_s": round(ours),
        "reference_per_s": round(reference),
        "ratio": round(ratio, 3),
        "ratios": [round(run[2], 3) for run in runs],
        "cpu_us_per_message": round(cpu, 1),
        "worker_rss_mb": round(rss, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipients", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=13 * 1024, help="octets of a message on the wire")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dkim", action="store_true", help="sign every message with RSA-2048")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="milepost-send-") as name:
        result = measure(Path(name), asked)
    if not asked.json:
        for key, value in result.items():
            print(f"{key:>20}  {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
