"""A whole campaign through a relay that is far away: it answers after 20 or 100 ms.

    python -m benchmarks.send_latency --json --delays 20 100 --connections 20 50 100

A mail over one connection cannot take less than two round trips, if its envelope and its content wait for each other:
the bound is connections / (2 x delay). The wire says the next envelope behind the final dot, so it may be above. The
relay is a process of its own, which notes whom it has taken, and says so after the delay. smtp-source, which does not
pipeline, alternates with ours. The clock is that of `benchmarks.send`. The last line is one JSON object.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.installation import Installation
from benchmarks.noting_relay import NotingRelay
from benchmarks.postfix_tools import Tools

ROUND_TRIPS = 2
SOURCE_MESSAGES = 5
"""From smtp-source, over each connection."""


def measure_at(installation: Installation, tools: Tools, delay_ms: int, connections: int,
               asked: argparse.Namespace) -> dict[str, Any]:  # fmt: skip
    delay = delay_ms / 1000
    bound = connections / (ROUND_TRIPS * delay)
    recipients = max(1, round(bound * asked.seconds))
    name = f"bulk-{delay_ms}-{connections}"
    list_id = installation.add_readers(recipients, f"at-{delay_ms}-{connections}")
    body, layout = installation.body_of(asked.size)
    relay = NotingRelay(installation.house, delay)
    installation.start(name, settings={"relay_connections": str(connections)})
    ours, references, cpu = [], [], []
    for _ in range(asked.runs):
        messages = SOURCE_MESSAGES * connections
        references.append(messages / tools.generate(relay.port, messages, asked.size, connections))
        sent = installation.send(list_id, body, layout, recipients, relay.count)
        ours.append(sent.per_s)
        cpu.append(sent.worker_cpu / recipients * 1e6)
    installation.end(name)
    relay.stop()
    rate = statistics.median(ours)
    return {
        "delay_ms": delay_ms,
        "connections": connections,
        "recipients": recipients,
        "ours_per_s": round(rate),
        "bound_per_s": round(bound),
        "ratio": round(rate / bound, 3),
        "ratios": [round(each / bound, 3) for each in ours],
        "smtp_source_per_s": round(statistics.median(references)),
        "cpu_us_per_message": round(statistics.median(cpu), 1),
    }


def measure(directory: Path, asked: argparse.Namespace) -> dict[str, Any]:
    tools = Tools(directory / "postfix")
    installation = Installation(directory, {})
    try:
        installation.prepare()
        figures = [
            measure_at(installation, tools, delay, connections, asked)
            for delay in asked.delays
            for connections in asked.connections
        ]
    finally:
        installation.stop()
    return {
        "benchmark": "send_latency",
        "size": asked.size,
        "runs": asked.runs,
        "ratio": min(each["ratio"] for each in figures),
        "at": figures,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--delays", type=int, nargs="+", default=[20, 100], help="milliseconds until each answer")
    parser.add_argument("--connections", type=int, nargs="+", default=[10, 20, 50])
    parser.add_argument("--size", type=int, default=13 * 1024)
    parser.add_argument("--seconds", type=float, default=10, help="so long a campaign takes at the bound")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="milepost-latency-") as name:
        result = measure(Path(name), asked)
    if not asked.json:
        for each in result["at"]:
            print(each)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
