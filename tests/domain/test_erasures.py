"""The erasure log's lines: ids only, chained, and nobody else's."""

import json
from datetime import UTC, datetime

import pytest

from service.domain.erasures import FIRST, BrokenLogError, Erased, line_sha256, read_line, read_log, write_line
from service.domain.ledger import LedgerKeys

LEDGER = LedgerKeys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu")
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def a_log(*subjects: int) -> list[str]:
    lines: list[str] = []
    for number, subject in enumerate(subjects, 1):
        prev = line_sha256(lines[-1]) if lines else FIRST
        lines.append(write_line(LEDGER, Erased(number, subject, (4, 5), ((1, 17),), (31,), (8, 9), AT), prev))
    return lines


def test_a_line_says_ids_and_a_time_only():
    record = json.loads(a_log(7)[0])
    assert {name: value for name, value in record.items() if name not in ("mac", "prev")} == {
        "v": 2,
        "number": 1,
        "subscriber": 7,
        "signups": [4, 5],
        "import_rows": [[1, 17]],
        "deliveries": [31],
        "changes": [8, 9],
        "erased_at": "2026-03-02T09:00:00.000000Z",
    }


def test_what_was_written_is_read():
    read = list(read_log(LEDGER, a_log(7, 9)))
    assert [line.erased for line in read] == [
        Erased(1, 7, (4, 5), ((1, 17),), (31,), (8, 9), AT),
        Erased(2, 9, (4, 5), ((1, 17),), (31,), (8, 9), AT),
    ]


@pytest.mark.parametrize(
    ("spoil", "at"),
    [
        (lambda lines: [lines[0].replace('"subscriber":7', '"subscriber":8'), *lines[1:]], 1),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[1], lines[0], lines[2]], 1),
        (lambda lines: [lines[0], "{}", lines[2]], 2),
        (lambda lines: [lines[0], "nonsense", lines[2]], 2),
        (lambda lines: [lines[0], lines[1].replace('"mac":"', '"mac":"zz'), lines[2]], 2),
        (lambda lines: [lines[0], '{"mac": [], "number": 2}', lines[2]], 2),
    ],
)
def test_what_is_not_ours_is_named(spoil, at):
    with pytest.raises(BrokenLogError) as caught:
        list(read_log(LEDGER, spoil(a_log(7, 8, 9))))
    assert caught.value.number == at


def test_another_installations_line_is_not_ours():
    with pytest.raises(BrokenLogError):
        read_line(LedgerKeys("another secret of another house!"), a_log(7)[0], 1)
