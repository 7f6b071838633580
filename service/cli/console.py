"""What commands print and the codes they end with: one JSON document on stdout, everything else on stderr."""

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer


class ExitCode(IntEnum):
    """Documented in `milepost --help` and docs/cli.md; scripts may rely on them."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    CONFIGURATION = 3
    UNFINISHED = 4


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]


def show_json(value: object) -> None:
    """The one document of a command that was given --json."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")


def say(line: str = "") -> None:
    """A result for people, on stdout."""
    sys.stdout.write(line + "\n")


def note(line: str) -> None:
    """Anything that is not the result: progress, warnings, advice. On stderr, so that pipes stay clean."""
    sys.stderr.write(line + "\n")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table on stdout, or the sentence `empty` on stderr when there is nothing to show."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    lines = [[_cell(value) for value in row] for row in rows]
    if not lines:
        note(empty)
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    # A pipe has no width: cutting lines there would hide what somebody greps for.
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 250, soft_wrap=True).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    return str(value)


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (set, frozenset, tuple)):
        return sorted(value) if isinstance(value, (set, frozenset)) else list(value)
    if isinstance(value, (Path, UUID)):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no place in a JSON document")
