"""docs/conformance.md is what the tests say, and every requirement that must hold has a test that carries its ID."""

import subprocess
import sys
import tomllib

import pytest

from tests.conformance import PAGE, ROOT

MOST_EXPLAINED = 3


@pytest.mark.long
def test_the_page_is_current() -> None:
    """In a process of its own: what a run deselects is not missing."""
    program = "from tests.conformance import *; print('<' + '!' + write(collect()))"
    printed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.rpartition("<!")[2].strip() == PAGE.read_text(encoding="utf-8").strip(), (
        "run python -m tests.conformance"
    )


def test_every_must_is_shown_by_a_test() -> None:
    requirements = tomllib.loads((ROOT / "tests/requirements.toml").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    explained = [name for name, entry in requirements.items() if "explained" in entry]
    without = [
        name
        for name, entry in requirements.items()
        if entry["level"] == "must"
        and name not in explained
        and "](../tests/" not in next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
    ]
    assert without == []
    assert len(explained) <= MOST_EXPLAINED
