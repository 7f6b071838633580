"""A whole campaign beside smtp-source, to the same smtp-sink, alternating in the same run.

    python -m benchmarks.send --json --recipients 50000 --size 13312

The clock runs from the commit of the order until nothing of the campaign is queued or on its way, so planning, claims
and records count; the bulk workers are real Celery workers that idle before. smtp-sink counts what arrives. First a
small campaign to a sink that keeps it shows that each mail is its reader's own; smtp-source then sends as many octets a
message as it had. With --dkim the reference is a loop that does nothing but sign, on one core.
The last line is one JSON object.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import rsa_loop, samples
from benchmarks.installation import Installation, Sent
from benchmarks.postfix_tools import Sink, Tools

SESSIONS = (5, 10, 20, 40)
SAMPLE = 1_000
MOST_FOR_REFERENCE = 20_000
"""Messages with each number of sessions; the rate of more is the same."""
SETTLE_SECONDS = 1.0
RSA_SECONDS = 3.0


@dataclass(frozen=True)
class Reference:
    per_s: float
    sessions: int = 0
    """With which smtp-source was fastest."""
    rsa_us: float = 0.0
    """CPU of one signature."""


@dataclass(frozen=True)
class Run:
    ours: Sent
    reference: Reference
    sink_cpu: float

    def figures(self) -> dict[str, Any]:
        each = 1e6 / self.ours.recipients
        cpu = self.ours.worker_cpu * each
        return {
            "ours_per_s": round(self.ours.per_s),
            "reference_per_s": round(self.reference.per_s),
            "ratio": round(self.ours.per_s / self.reference.per_s, 3),
            "cpu_us_per_message": round(cpu, 1),
            "cpu_beyond_rsa_us": round(cpu - self.reference.rsa_us, 1) if self.reference.rsa_us else None,
            "postgres_cpu_us": round(self.ours.postgres_cpu * each, 1),
            "sink_cpu_us": round(self.sink_cpu * each, 1),
            "first_after_s": round(self.ours.first_after, 2),
            "worker_rss_mb": round(self.ours.peak_rss_mb, 1),
            "reference_sessions": self.reference.sessions or None,
        }


class Bench:
    def __init__(self, directory: Path, asked: argparse.Namespace) -> None:
        self._asked = asked
        self._directory = directory
        self._tools = Tools(directory / "postfix")
        self._sink = Sink(self._tools, directory / "sink.log")
        self._payload = asked.size

    def measure(self) -> dict[str, Any]:
        asked = self._asked
        installation = Installation(self._directory, {"relay_port": str(self._sink.port)}, dkim=asked.dkim)
        try:
            installation.prepare()
            few = installation.add_readers(SAMPLE, "few")
            everybody = installation.add_readers(asked.recipients, "everybody")
            body, layout = installation.body_of(asked.size)
            sample = samples.take(self._tools, self._directory, installation, few, body, layout, SAMPLE)
            self._payload = sample.octets - samples.overhead(self._tools, self._directory)
            installation.start(*[f"bulk-{number}" for number in range(1, asked.workers + 1)])
            runs = []
            for number in range(asked.runs):
                reference = self._reference(number)
                time.sleep(SETTLE_SECONDS)
                sink_cpu = self._sink.cpu_seconds()
                sent = installation.send(everybody, body, layout, asked.recipients, self._sink.count)
                runs.append(Run(sent, reference, self._sink.cpu_seconds() - sink_cpu))
                installation.as_administrator("CHECKPOINT")  # not while the reference is measured
                time.sleep(SETTLE_SECONDS)
        finally:
            installation.stop()
            self._sink.stop()
        return self._result(runs, sample)

    def _reference(self, number: int) -> Reference:
        """In each run another number of sessions comes first."""
        if self._asked.dkim:
            rate = rsa_loop.measure(RSA_SECONDS)
            return Reference(rate.per_s, rsa_us=rate.cpu_us)
        messages = min(self._asked.recipients, MOST_FOR_REFERENCE)
        turn = number % len(SESSIONS)
        rates = [
            Reference(self._sink.rate(messages, self._payload, sessions), sessions)
            for sessions in SESSIONS[turn:] + SESSIONS[:turn]
        ]
        return max(rates, key=lambda rate: rate.per_s)

    def _result(self, runs: list[Run], sample: samples.Sample) -> dict[str, Any]:
        figures = [run.figures() for run in runs]
        medians = {
            name: statistics.median(values)
            for name in figures[0]
            if None not in (values := [each[name] for each in figures])
        }
        medians["worker_rss_mb"] = max(each["worker_rss_mb"] for each in figures)
        asked = self._asked
        return {
            "benchmark": "send",
            "recipients": asked.recipients,
            "size": asked.size,
            "workers": asked.workers,
            "dkim": asked.dkim,
            "reference": "a loop of RSA-2048 signatures on one core" if asked.dkim else "smtp-source -d",
            "runs": len(runs),
            **medians,
            "sample": asdict(sample),
            "of_each_run": figures,
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
        result = Bench(Path(name), asked).measure()
    if not asked.json:
        for key, value in result.items():
            print(f"{key:>20}  {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
