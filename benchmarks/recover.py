"""What `kill -9` of the only bulk worker costs a campaign: until mail leaves again, at the old rate, and until the end.

    python -m benchmarks.recover --json --recipients 40000

The reference, alternating in the same run, is the same campaign undisturbed. The worker is started again at once, as a
service manager does; so what is measured begins with a Python that has to import everything. The relay notes whom it
takes before it answers: who is missing or there twice is counted there. The last line is one JSON object.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.installation import Installation
from benchmarks.noting_relay import NotingRelay, compare
from tests.faults.house import Taken

WORKER = "bulk"
KILL_AT = 0.4
"""Of the recipients."""
WINDOW = 0.5
"""Seconds over which a rate is looked at."""
FULL = 0.9
"""Of the rate before."""
LOOK_EVERY = 0.01
PATIENCE = 120.0


@dataclass(frozen=True)
class Run:
    undisturbed_s: float
    disturbed_s: float
    first_after_s: float
    """From the kill to the first mail over a connection of the new worker."""
    full_rate_after_s: float
    rate_before: float
    lost: int
    doubled: int
    uncertain: int


class Bench:
    def __init__(self, installation: Installation, relay: NotingRelay, recipients: int, size: int) -> None:
        self._installation, self._relay, self._recipients = installation, relay, recipients
        self._list_id = installation.add_readers(recipients, "everybody")
        self._body, self._layout = installation.body_of(size)

    def run(self) -> Run:
        undisturbed = self._installation.send(
            self._list_id, self._body, self._layout, self._recipients, self._relay.count
        )
        house, before = self._installation.house, self._relay.count()
        campaign_id = self._installation.order(self._list_id, self._body, self._layout)
        began = time.time()
        self._wait(lambda: self._relay.count() - before >= KILL_AT * self._recipients)
        house.kill(WORKER)
        killed = time.time()
        house.start(WORKER)
        self._wait(lambda: not self._installation.is_under_way(campaign_id, self._recipients))
        seconds = time.time() - began
        messages = self._relay.messages(before)
        lost, doubled, uncertain = compare(house, campaign_id, messages)
        rate = sum(1 for each in messages if killed - 2 * WINDOW <= each.at < killed) / (2 * WINDOW)
        afterwards = _of_later_connections(messages, killed)
        return Run(
            undisturbed.seconds,
            seconds,
            afterwards[0] - killed,
            _reaches(afterwards, FULL * rate) - killed,
            rate,
            lost,
            doubled,
            uncertain,
        )

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"Not within {PATIENCE:.0f} s: {self._installation.house.log(WORKER)[-2000:]}")
            time.sleep(LOOK_EVERY)


def _of_later_connections(messages: list[Taken], killed: float) -> list[float]:
    """When those came that the next worker sent; what the dead one had said comes in a little after its death."""
    last = max(each.connection for each in messages if each.began_at < killed)
    return sorted(each.at for each in messages if each.connection > last)


def _reaches(times: list[float], rate: float) -> float:
    """When a window begins in which so many a second came; inf if none does."""
    number = max(1, round(rate * WINDOW))
    for first, last in zip(times, times[number - 1 :], strict=False):
        if last - first <= WINDOW:
            return first
    return float("inf")


def measure(directory: Path, asked: argparse.Namespace) -> dict[str, Any]:
    installation = Installation(directory, {})
    try:
        installation.prepare()
        relay = NotingRelay(installation.house, asked.delay / 1000)
        installation.house.start("inbound", "beat")
        installation.start(WORKER)
        bench = Bench(installation, relay, asked.recipients, asked.size)
        runs = [bench.run() for _ in range(asked.runs)]
    finally:
        installation.stop()
    return {
        "benchmark": "recover",
        "recipients": asked.recipients,
        "size": asked.size,
        "delay_ms": asked.delay,
        "runs": len(runs),
        "first_after_s": round(statistics.median(run.first_after_s for run in runs), 2),
        "full_rate_after_s": round(statistics.median(run.full_rate_after_s for run in runs), 2),
        "disturbed_s": round(statistics.median(run.disturbed_s for run in runs), 2),
        "reference_s": round(statistics.median(run.undisturbed_s for run in runs), 2),
        "ratio": round(statistics.median(run.disturbed_s / run.undisturbed_s for run in runs), 3),
        "lost": sum(run.lost for run in runs),
        "doubled": sum(run.doubled for run in runs),
        "uncertain_per_kill": [run.uncertain for run in runs],
        "of_each_run": [{name: round(value, 2) for name, value in asdict(run).items()} for run in runs],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipients", type=int, default=40_000)
    parser.add_argument("--size", type=int, default=13 * 1024)
    parser.add_argument("--delay", type=int, default=2, help="milliseconds until each of the relay's answers")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="milepost-recover-") as name:
        result = measure(Path(name), asked)
    if not asked.json:
        for key, value in result.items():
            print(f"{key:>20}  {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
