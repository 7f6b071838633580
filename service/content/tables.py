"""Reads a table from a CSV file, row by row: any size, the line number of each row, the hash of what was read."""

import csv
import io
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from service.errors import Kind, ServiceError

DELIMITERS = (",", ";", "\t")
LONGEST_ROW = 100_000
"""Characters in all cells of a row, and in one: what is kept of a row as evidence is kept whole."""
_MARK = "\ufeff"
_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)
"""The first line that a spreadsheet may write before the header."""


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    """On which the row begins; the header is line 1."""
    cells: dict[str, str] | None
    """Column → text; None for a row whose quotes do not fit."""


class Table:
    """An open file; use it with `with`. Its rows can be read once. UTF-8, with or without a mark (BOM)."""

    def __init__(self, path: Path, delimiter: str | None = None) -> None:
        """Reads the header. Raises ServiceError (INVALID, field `file`) for what is no such table.

        Without a `delimiter`, that of a line `sep=;` before the header, or else that of comma, semicolon and tab which
        splits the header into most columns.
        """
        try:
            self._file: BinaryIO = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            raise _refusal("file_unreadable", f"{path} cannot be read: {error.strerror}.") from error
        self._hash = sha256()
        self._physical = 0
        self.position = 0
        """Bytes read so far."""
        try:
            self._begin(delimiter)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    @property
    def sha256(self) -> bytes:
        """Of the bytes read so far; of the file, once all rows are read."""
        return self._hash.digest()

    def rows(self) -> Iterator[Row]:
        """Every row that is not blank. Raises ServiceError (INVALID, field `file`) where the table ends being one."""
        while True:
            line = self._physical + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "expected after" not in str(error):  # a quote never closed swallows everything behind it
                    raise _broken(line, error) from error
                yield Row(line, None)
                continue
            if sum(map(len, cells)) > LONGEST_ROW:
                raise _too_long(line)
            if any(cell.strip() for cell in cells):
                yield Row(line, self._named(cells))

    def _begin(self, delimiter: str | None) -> None:
        lines = self._lines()
        first = next(lines, "").removeprefix(_MARK)
        if separator := _SEPARATOR.fullmatch(first.rstrip("\r\n")):
            delimiter = delimiter or separator[1]
            first = next(lines, "")
        if not first.strip():
            raise _refusal("file_empty", "The first line of the file is empty; it should name the columns.")
        self.delimiter = delimiter or max(DELIMITERS, key=lambda each: _width(first, each))

        def again() -> Iterator[str]:
            yield first
            yield from lines

        try:
            self._reader = csv.reader(again(), delimiter=self.delimiter, strict=True)
            names = next(self._reader)
        except (csv.Error, TypeError) as error:
            raise _broken(self._physical, error) from error
        if any("@" in name for name in names):
            # It would be the name of a column, and so stand in the evidence of everybody else. Not shown here either.
            raise _refusal(
                "header_missing", f"Line {self._physical} should name the columns, but it holds an address: no header."
            )
        self.header = tuple(_named_apart(names))

    def _lines(self) -> Iterator[str]:
        for raw in self._file:
            self._physical += 1
            self.position += len(raw)
            self._hash.update(raw)
            try:
                yield raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise _refusal(
                    "file_not_utf8",
                    f"Line {self._physical} is not UTF-8. Save the file as UTF-8 (in a spreadsheet: CSV UTF-8).",
                ) from error

    def _named(self, cells: list[str]) -> dict[str, str]:
        named = dict(zip(self.header, cells, strict=False))
        for number in range(len(self.header), len(cells)):
            named[_unlike(self.header, f"column {number + 1}", number + 1)] = cells[number]
        return named


def _width(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader(io.StringIO(line), delimiter=delimiter)))
    except (csv.Error, StopIteration):
        return 0


def _named_apart(names: list[str]) -> Iterator[str]:
    """Blank and repeated names made different, so that no cell is lost."""
    seen: set[str] = set()
    for number, name in enumerate(names, 1):
        unique = _unlike(seen, " ".join(name.split()) or f"column {number}", number)
        seen.add(unique)
        yield unique


def _unlike(taken: Container[str], name: str, number: int) -> str:
    while name in taken:
        name = f"{name} (column {number})"
    return name


def _broken(line: int, error: Exception) -> ServiceError:
    says = str(error)
    if "field larger" in says:
        return _too_long(line)
    if "new-line character" in says:
        return _refusal(
            "file_broken", f"Line {line} holds a carriage return (CR) alone. Save the file with line ends LF or CR LF."
        )
    return _refusal(
        "file_broken", f"From line {line} on, the file cannot be read as a table ({says}): is a quote never closed?"
    )


def _too_long(line: int) -> ServiceError:
    return _refusal(
        "file_broken",
        f"The row that begins on line {line} has more than {LONGEST_ROW:,} characters. Shorten it; or is a quote never "
        "closed?",
    )


def _refusal(code: str, message: str) -> ServiceError:
    return ServiceError(Kind.INVALID, code, f"{message} Nothing was imported.", field="file")
