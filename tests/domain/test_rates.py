"""One rate for all workers: whoever asks when, and however late they use what they got."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.rates import AHEAD, PATIENCE, free, permit


def test_without_a_limit_everything_may_start_at_once() -> None:
    permission = free(500, at=7.0)
    assert (permission.number, permission.first_at, permission.spacing) == (500, 7.0, 0.0)


@pytest.mark.parametrize(
    ("wanted", "rate", "ahead", "number", "first_at"),
    [
        (500, 100.0, 0.0, 101, 10.0),
        (20, 100.0, 0.0, 20, 10.0),
        (500, 100.0, 0.75, 26, 10.75),
        (500, 100.0, 1.0, 0, 10.0),
        (500, 100.0, 3.0, 0, 12.0),
        (500, 0.25, 0.0, 1, 10.0),
    ],
)
def test_how_many_moments_a_claim_gets(wanted: int, rate: float, ahead: float, number: int, first_at: float) -> None:
    permission = permit(wanted, rate, ahead, at=10.0)
    assert (permission.number, permission.first_at) == (number, first_at)
    assert permission.is_spent == (number == 0)


@given(
    rate=st.floats(0.5, 2000),
    asks=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 300), st.floats(0, PATIENCE)), min_size=1, max_size=40),
)
def test_no_window_holds_more_than_the_rate(rate: float, asks: list[tuple[float, int, float]]) -> None:
    """Several workers ask one after the other, and each of their mails may start as late as its moment holds."""
    now, next_at, starts = 0.0, 0.0, []
    for pause, wanted, late in asks:
        now += pause
        first = max(next_at, now)
        permission = permit(wanted, rate, first - now, at=now)
        assert permission.number <= AHEAD * rate + 1
        starts += [permission.first_at + place * permission.spacing + late for place in range(permission.number)]
        next_at = first + permission.number * permission.spacing
    starts.sort()
    for window in (0.1, 1.0, 5.0):
        most = max(sum(begin <= start < begin + window for start in starts) for begin in starts[:50])
        assert most <= rate * (window + PATIENCE) + 2
