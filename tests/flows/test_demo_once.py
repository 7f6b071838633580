"""The main job through public interfaces only, twice in a row, from a directory where nothing was before."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.demo.processes import find_marked
from service.demo.state import DemoState, is_free

pytestmark = pytest.mark.ops

ROOT = Path(__file__).resolve().parents[2]


def once(directory: Path) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MILEPOST_")}
    done = subprocess.run(
        [sys.executable, "-m", "service", "demo", "--once", "--json", "--dir", str(directory)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=240,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    directory = tmp_path_factory.mktemp("once") / "demo"
    found = [once(directory), once(directory)]
    assert find_marked(directory) == [], "a process was left behind"
    assert all(is_free(port) for port in DemoState(directory).kept_ports().values())
    assert DemoState(directory).holder() is None
    return found


@pytest.mark.parametrize("number", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ("ok", True),
        ("signed_up", 1),
        ("confirmed", 1),
        ("second_run_repeats", 0),
        ("unsubscribed_one_click", 1),
        ("mails_after_unsubscribe", 0),
        ("links_broken", 0),
        ("links_that_changed_state_on_get", 0),
        ("failed", None),
    ],
)
def test_what_must_hold_every_time(runs: list[dict[str, Any]], number: int, figure: str, expected: object) -> None:
    assert runs[number][figure] == expected, runs[number]


@pytest.mark.parametrize("number", [0, 1], ids=["first", "second"])
def test_there_was_something_to_send_and_somebody_to_skip(runs: list[dict[str, Any]], number: int) -> None:
    figures = runs[number]
    assert figures["digest_sent"] >= 1
    assert figures["digest_skipped_empty"] >= 1
    assert figures["skip_reasons"]["nothing_new"] == figures["digest_skipped_empty"]
    assert figures["first_digest_articles"] == 5
    assert figures["links_checked"] > 5
    assert all(step["ms"] >= 0 and step["name"] for step in figures["steps"])
    assert len(figures["steps"]) == 14


def test_the_first_digest_reaches_the_fictional_readers_too(runs: list[dict[str, Any]]) -> None:
    assert runs[0]["digest_sent"] > 200
    assert {"nothing_new", "paused", "suppressed"} <= runs[0]["skip_reasons"].keys()
