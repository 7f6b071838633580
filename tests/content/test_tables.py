"""Tables as other systems and spreadsheets write them: marks, delimiters, quotes, line numbers, refusals."""

from hashlib import sha256
from pathlib import Path

import pytest

from service.content.tables import Row, Table
from service.errors import ServiceError


def rows_of(path: Path, content: str | bytes, delimiter: str | None = None) -> tuple[Table, list[Row]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with Table(path, delimiter) as table:
        return table, list(table.rows())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.csv"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_header_tells_the_delimiter(path: Path, delimiter: str, mark: str, end: str) -> None:
    content = mark + end.join(delimiter.join(line) for line in (("Email", "Note"), ("a@b.no", "é"))) + end
    table, rows = rows_of(path, content)
    assert (table.delimiter, table.header) == (delimiter, ("Email", "Note"))
    assert rows == [Row(2, {"Email": "a@b.no", "Note": "é"})]
    assert table.position == table.size == len(content.encode())
    assert table.sha256 == sha256(content.encode()).digest()


def test_what_the_operator_says_wins(path: Path) -> None:
    table, rows = rows_of(path, "a,b,c|d\n1,2,3|4\n", "|")
    assert table.header == ("a,b,c", "d")
    assert rows[0].cells == {"a,b,c": "1,2,3", "d": "4"}


def test_lines_are_those_of_the_file(path: Path) -> None:
    _, rows = rows_of(path, 'Email,Note\n"a@b.no","two\nlines, and ""quotes"""\n\n , \nc@d.no,last')
    assert [row.line for row in rows] == [2, 6]
    assert rows[0].cells == {"Email": "a@b.no", "Note": 'two\nlines, and "quotes"'}
    assert rows[1].cells == {"Email": "c@d.no", "Note": "last"}


def test_no_cell_is_lost(path: Path) -> None:
    table, rows = rows_of(path, "Email,Note,,Note\na@b.no,1,2,3,4\nshort@b.no\n")
    assert table.header == ("Email", "Note", "column 3", "Note (column 4)")
    assert rows[0].cells == {"Email": "a@b.no", "Note": "1", "column 3": "2", "Note (column 4)": "3", "column 5": "4"}
    assert rows[1].cells == {"Email": "short@b.no"}


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("Email,Email (column 3),Email", ("Email", "Email (column 3)", "Email (column 3) (column 3)")),
        ("Email (column 3),Email,Email", ("Email (column 3)", "Email", "Email (column 3) (column 3)")),
        ("column 2,,Note", ("column 2", "column 2 (column 2)", "Note")),
        ("Email,Note,column 4", ("Email", "Note", "column 4")),
    ],
)
def test_no_column_takes_anothers_name(path: Path, header: str, names: tuple[str, ...]) -> None:
    table, rows = rows_of(path, f"{header}\n1,2,3,4\n")
    assert table.header == names
    assert list((rows[0].cells or {}).values()) == ["1", "2", "3", "4"]


def test_a_line_with_stray_quotes_is_one_unreadable_line(path: Path) -> None:
    _, rows = rows_of(path, 'Email,Note\n"a@b.no"x,1\nc@d.no,2\n')
    assert [(row.line, row.cells is None) for row in rows] == [(2, True), (3, False)]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (b"\nEmail\n", "file_empty"),
        ("Email\na@bücher.example\n".encode("latin-1"), "file_not_utf8"),
        (b'Email,Note\na@b.no,"never closed\nc@d.no,1\n', "file_broken"),
        (b'Email,Note\na@b.no,"' + b"x" * 200_000 + b'"\n', "file_broken"),
        (b"Email\rNote\r", "file_broken"),
        (b"zoe@fjell.no,subscribed\nben@fjell.no,subscribed\n", "header_missing"),
    ],
)
def test_what_is_no_table_is_refused(path: Path, content: bytes, code: str) -> None:
    with pytest.raises(ServiceError) as refused:
        rows_of(path, content)
    assert refused.value.code == code
    assert "Nothing was imported" in refused.value.message
    assert "zoe@" not in refused.value.message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"Email,Note\na@b.no," + b"x" * 200_000 + b"\n", r"row that begins on line 2 has more than 100,000"),
        (b"Email" + b",Note" * 100 + b"\na@b.no" + (b"," + b"x" * 1_001) * 100 + b"\n", "line 2 has more than"),
        (b"Email,Note\ra@b.no,1\r", r"Line 1 holds a carriage return \(CR\) alone"),
        (b"Email,Note\na@b.no,1\rc@d.no,2\n", r"Line 2 holds a carriage return"),
        (b'Email,Note\na@b.no,"never closed\n', r"From line 2 on.*is a quote never closed"),
        (b"sep=;\nzoe@fjell.no;1\n", "Line 2 should name the columns"),
        (b"sep=;\n", "first line of the file is empty"),
    ],
)
def test_a_refusal_says_what_is_wrong(path: Path, content: bytes, says: str) -> None:
    with pytest.raises(ServiceError, match=says):
        rows_of(path, content)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_spreadsheets_line_about_its_delimiter_is_no_header(path: Path, end: str) -> None:
    content = end.join(["\ufeffsep=|", "Email|Note", "a@b.no|1,2;3", ""])
    table, rows = rows_of(path, content)
    assert (table.delimiter, table.header) == ("|", ("Email", "Note"))
    assert rows == [Row(3, {"Email": "a@b.no", "Note": "1,2;3"})]


def test_a_missing_file(path: Path) -> None:
    with pytest.raises(ServiceError, match="cannot be read: No such file"):
        Table(path)
