"""E-05: what a surge is, and who may go when one is over."""

import pytest

from service.domain.surges import USUAL_HOURS, Ceilings, Waiting, choose_released, is_surge, usual_hour


@pytest.mark.parametrize(
    ("arrived", "usual", "surge"),
    [
        (30, 0.0, False),
        (31, 0.0, True),
        (31, 3.0, True),
        (31, 3.5, False),
        (35, 3.5, True),
        (399, 40.0, False),
        (400, 40.0, True),
    ],
)
@pytest.mark.requirement("E-05")
def test_a_surge_is_more_than_thirty_and_ten_times_the_usual(arrived, usual, surge):
    assert is_surge(arrived, usual, 30) is surge


@pytest.mark.parametrize(
    ("busy", "usual"),
    [
        ([], 0.0),
        ([100] * (USUAL_HOURS // 2 - 1), 0.0),
        ([100] * (USUAL_HOURS // 2), 50.0),
        ([4] * USUAL_HOURS, 4.0),
        ([1] * 100 + [9] * 68, 1.0),
    ],
)
def test_quiet_hours_count_as_usual_too(busy, usual):
    assert usual_hour(busy) == usual


def test_the_oldest_go_first_and_no_more_than_the_ceilings_let_through():
    a, b = b"a", b"b"
    waiting = [Waiting(1, a, 1), Waiting(2, a, 1), Waiting(3, a, 1), Waiting(4, b, 1), Waiting(5, b, 2)]
    none: tuple[dict[bytes, int], dict[int, int]] = ({}, {})
    assert choose_released(waiting, *none, Ceilings(2, 100)) == [1, 2, 4, 5]
    assert choose_released(waiting, {a: 1}, {}, Ceilings(2, 100)) == [1, 4, 5]
    assert choose_released(waiting, {}, {1: 99}, Ceilings(30, 100)) == [1, 5]
    assert choose_released(waiting, {a: 30, b: 31}, {}, Ceilings(30, 100)) == []
