"""Deadlines of the law, on the awkward days of the calendar."""

from datetime import datetime

import pytest

from service.domain.deadlines import answer_due


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("2026-03-02", "2026-04-02"),
        ("2026-01-31", "2026-02-28"),
        ("2028-01-31", "2028-02-29"),
        ("2026-11-30", "2026-12-30"),
        ("2026-12-31", "2027-01-31"),
    ],
)
def test_an_answer_is_due_in_a_month(asked, due):
    assert answer_due(datetime.fromisoformat(asked)) == datetime.fromisoformat(due)
