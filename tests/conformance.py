"""Which test shows which requirement: docs/conformance.md, from the marks that pytest collects.

python -m tests.conformance          writes the page
"""

import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/conformance.md"
HEAD = """# Conformance

What Milepost promises about consent, privacy, sign-up and sending, and the test that shows it. Generated from the marks
of the tests (`python -m tests.conformance`); a test compares it with what is collected. Those under `tests/browser`,
`tests/faults`, `tests/flows` and `tests/mtas`, and those that are marked `long`, run by `make test-all`, the rest by
`make test`.
"""


class Collector:
    """A pytest plugin that keeps what each requirement is shown by."""

    def __init__(self) -> None:
        self.shown: dict[str, set[str]] = defaultdict(set)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            where, _, name = item.nodeid.partition("[")[0].partition("::")
            for mark in item.iter_markers("requirement"):
                for requirement in mark.args:
                    self.shown[requirement].add(f"[{name.replace('::', '.')}](../{where})")


def collect() -> dict[str, set[str]]:
    """Requirement → links to the test functions that carry its ID, over all tiers."""
    collector = Collector()
    code = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", str(ROOT / "tests")], plugins=[collector])
    if code != pytest.ExitCode.OK:
        sys.exit("The tests cannot be collected; nothing was written.")
    return collector.shown


def write(shown: dict[str, set[str]]) -> str:
    """The page. Raises LookupError for a mark that is no requirement."""
    requirements = tomllib.loads((ROOT / "tests/requirements.toml").read_text(encoding="utf-8"))
    if unknown := shown.keys() - requirements.keys():
        raise LookupError(f"marks without a requirement: {sorted(unknown)}")
    lines = [HEAD, "| | | requirement | shown by |", "|---|---|---|---|"]
    for name, entry in requirements.items():
        proof = ", ".join(sorted(shown.get(name, ()))) or entry.get("explained", "")
        lines.append(f"| {name} | {entry['level']} | {entry['text']} | {proof} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(write(collect()), encoding="utf-8")
