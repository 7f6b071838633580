"""Deadlines of the law, on the awkward days of the calendar."""

from datetime import UTC, datetime

import pytest

from service.domain.deadlines import answer_due, proof_end


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


def test_a_proof_goes_three_years_later_at_the_end_of_the_year():
    assert proof_end(datetime(2024, 2, 29, 13, 5, tzinfo=UTC)) == datetime(2028, 1, 1, tzinfo=UTC)
    assert proof_end(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == datetime(2030, 1, 1, tzinfo=UTC)
