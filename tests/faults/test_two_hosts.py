"""Workers on two hosts; the cable of one is pulled out, first to Valkey, then to PostgreSQL."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from service.domain.rates import PATIENCE
from tests.faults.hosts import POSTGRES, RATE, READERS, VALKEY
from tests.faults.house import ROOT

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

ON_ITS_WAY = 0.05
"""Seconds that a mail may need from its worker to the relay on a busy machine, more or less than another one."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Of a campaign in which nobody got two copies and nobody is missing."""
    directory = tmp_path_factory.mktemp("hosts")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.faults.hosts", str(directory)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, f"network namespaces are needed (root, util-linux, iproute2): {done.stderr[-8000:]}"
    found: Mapping[str, Any] = json.loads((directory / "report.json").read_text())
    return found


def test_both_hosts_send_and_nobody_gets_two_copies(report: Mapping[str, Any]) -> None:  # invariant 4
    assert sum(report["in all"].values()) == READERS
    assert min(report["in all"].values()) > READERS / 10


def test_a_host_without_valkey_goes_on(report: Mapping[str, Any]) -> None:  # invariant 1
    assert report[f"without {VALKEY}"]["south"] > 0


def test_a_host_without_postgresql_starts_nothing_new_and_the_other_goes_on(report: Mapping[str, Any]) -> None:
    assert report[f"5 s after {POSTGRES} was gone"]["north"] == 0  # a claim is a permission to send
    assert report[f"5 s after {POSTGRES} was gone"]["south"] > 0


def most_within(began: Sequence[float], seconds: float) -> int:
    """The most that began within any stretch of so many seconds."""
    most, first = 0, 0
    for last, at in enumerate(began):
        while began[first] < at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("seconds", [1.0, 5.0, 20.0])
def test_the_rate_is_never_exceeded(report: Mapping[str, Any], seconds: float) -> None:
    """Seen from the relay. A mail starts at its moment or within a tenth of a second."""
    allowed = RATE * (seconds + PATIENCE + ON_ITS_WAY) + 1
    assert most_within(report["began"], seconds) <= allowed
    assert most_within(report["began"], 20.0) > RATE * 20.0 / 2, "too slow to show anything"
