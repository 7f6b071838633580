"""Who may import whom (design §5), and what stays in one place because of it."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, Source, calls, product, refuse

SQLALCHEMY_OUTSIDE = {("sqlalchemy", "Engine"), ("sqlalchemy", "make_url")}
"""What others than store/ may import besides its exceptions: to name what the container holds, to read a URL."""

DATABASE_TOOLS = {"service/demo/servers.py", "service/demo/database.py"}
"""They make the server and the database of a demo, before there is anything that store/ could serve."""

CLOCKS = ("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns")

MAY_COMMIT = {
    "service/store/transaction.py",
    "service/store/migrate.py",  # Alembic wants a connection without an open transaction
    "service/demo/mailbox.py",  # the catcher's own SQLite file
}


def imports_the_workers(source: Source) -> Iterator[int]:
    if not source.path.startswith("workers/"):
        yield from (line for line, module, _ in source.imports() if module.partition(".")[0] == "workers")


def calls_another_use_case(source: Source) -> Iterator[int]:
    if source.path.startswith("service/usecases/"):
        yield from (
            line
            for line, module, name in source.imports()
            if f"{module}.{name}".startswith("service.usecases")
            and not f"{module}.{name}".startswith("service.usecases.steps.")
        )


def writes_sql(source: Source) -> Iterator[int]:
    if source.path.startswith("service/store/") or source.path in DATABASE_TOOLS:
        return
    for line, module, name in source.imports():
        makes_sql = module.partition(".")[0] == "sqlalchemy" and module != "sqlalchemy.exc"
        if module.partition(".")[0] == "psycopg" or (makes_sql and (module, name) not in SQLALCHEMY_OUTSIDE):
            yield line


def touches_a_session(source: Source) -> Iterator[int]:
    if not source.path.startswith("service/store/"):
        yield from (line for line, name in calls(source) if ".session." in name)


def commits(source: Source) -> Iterator[int]:
    if source.path not in MAY_COMMIT:
        yield from (line for line, name in calls(source) if name.rpartition(".")[2] == "commit")


def looks_at_a_clock(source: Source) -> Iterator[int]:
    # bootstrap holds the SystemClock; the demo's programs and the command line are processes of their own.
    if source.path == "service/bootstrap.py" or source.path.startswith(("service/demo/", "service/cli/")):
        return
    yield from (line for line, name in calls(source) if f".{name}".endswith(tuple(f".{clock}" for clock in CLOCKS)))


RULES: list[tuple[Callable[[Source], Iterator[int]], str, str]] = [
    (
        imports_the_workers,
        "def hint():\n    from workers.app import app\n",
        "Nothing imports workers/: leave a hint by its name (ports.Hint).",
    ),
    (
        calls_another_use_case,
        "from service.usecases import campaigning\n",
        "Use cases do not call use cases: move what both need to store/ (queries) or domain/ (decisions).",
    ),
    (
        writes_sql,
        "from sqlalchemy import select\n",
        "SQL is written in service/store/ only: add a function there and call it.",
    ),
    (
        touches_a_session,
        "def f(tx):\n    tx.session.flush()\n",
        "tx.session is for service/store/ only: add a function there and call it.",
    ),
    (
        commits,
        "def f(session):\n    session.commit()\n",
        "Only store/transaction.py commits: open `with container.transaction() as tx:` at the edge instead.",
    ),
    (
        looks_at_a_clock,
        "import datetime\n\nAT = datetime.datetime.now()\n",
        "Take the time from `tx.now`, or from the Clock in the container: tests move it.",
    ),
]


@pytest.mark.parametrize(("rule", "planted", "instead"), RULES, ids=[rule.__name__ for rule, _, _ in RULES])
def test_no_module(rule: Callable[[Source], Iterator[int]], planted: str, instead: str) -> None:
    fault = Source("service/usecases/planted.py", planted, ast.parse(planted))
    assert list(rule(fault)), "the rule does not find what it forbids"
    refuse((f"{source.path}:{line}" for source in product() for line in rule(source)), instead)


def test_the_import_contracts_of_pyproject_are_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, (
        f"An import points outwards. Move the code inwards, or hand the value in as a parameter:\n{done.stdout}"
    )
    assert "0 broken" in done.stdout
