"""When a campaign pauses itself: on what came back of many, never on one bad answer (C-17)."""

import pytest

from service.domain.breaker import (
    NORMAL,
    WINDOW,
    Cause,
    Limits,
    Tally,
    decide_trip,
    is_over,
    is_storm,
    say_why,
    tally,
)
from service.domain.outcomes import Outcome, Phase
from service.domain.smtp_replies import decide_fate


def answers(number: int, phase: Phase, code: int | None, enhanced: str | None = None, text: str = "") -> Tally:
    outcome = Outcome(1, phase, code, enhanced, text, "relay:25")
    return tally([(decide_fate(outcome), enhanced)] * number)


def together(*tallies: Tally) -> Tally:
    whole = Tally()
    for each in tallies:
        whole.add(each)
    return whole


def fine(number: int) -> Tally:
    return answers(number, Phase.EOM, 250, "2.0.0", "Ok")


def dead(number: int) -> Tally:
    return answers(number, Phase.RCPT, 550, "5.1.1", "no such user")


def spam(number: int) -> Tally:
    return answers(number, Phase.EOM, 550, "5.7.1", "looks like spam")


def cause(window: Tally, *, is_first: bool = True, limits: Limits = NORMAL) -> Cause | None:
    trip = decide_trip(window, is_first=is_first, limits=limits)
    return trip.cause if trip else None


@pytest.mark.requirement("C-17")
@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (together(fine(489), dead(11)), Cause.DEAD),
        (together(fine(490), dead(10)), None),
        (dead(11), Cause.DEAD),
        (dead(10), None),
        (together(fine(474), spam(26)), Cause.REFUSED),
        (together(fine(475), spam(25)), None),
        (together(fine(474), answers(26, Phase.RCPT, 550, "5.7.509", "DMARC failed")), Cause.REFUSED),
        (together(fine(474), answers(26, Phase.RCPT, 550, "5.2.1", "mailbox disabled")), Cause.FAILED),
        (together(fine(465), answers(16, Phase.RCPT, 550, "5.2.1", "disabled"), spam(10), dead(9)), Cause.FAILED),
        (together(fine(449), answers(51, Phase.EOM, None, None, "connection lost")), Cause.UNCERTAIN),
        (together(fine(450), answers(50, Phase.EOM, None, None, "connection lost")), None),
        (answers(1, Phase.EOM, 550, "5.7.1", "looks like spam"), None),
        (fine(5000), None),
    ],
)
def test_the_first_window(window: Tally, expected: Cause | None) -> None:
    assert cause(window) is expected


def test_later_windows_bear_as_many_dead_addresses_as_other_failures() -> None:
    assert cause(together(fine(480), dead(20)), is_first=False) is None
    assert cause(together(fine(474), dead(26)), is_first=False) is Cause.DEAD


def test_more_answers_than_a_window_are_judged_by_their_share() -> None:
    assert cause(together(fine(1910), spam(90))) is None
    assert cause(together(fine(1890), spam(110))) is Cause.REFUSED
    assert is_over(fine(WINDOW))
    assert not is_over(fine(WINDOW - 1))


@pytest.mark.parametrize(
    ("phase", "code", "enhanced", "text"),
    [
        (Phase.CONNECT, None, None, "connection refused"),
        (Phase.AUTH, 535, "5.7.8", "bad password"),
        (Phase.RCPT, 554, "5.7.1", "relay access denied"),
        (Phase.MAIL, 421, "4.3.2", "shutting down"),
    ],
)
def test_a_relay_that_cannot_be_used_says_nothing_about_a_campaign(
    phase: Phase, code: int | None, enhanced: str | None, text: str
) -> None:
    assert answers(1000, phase, code, enhanced, text) == Tally()


def test_greylisting_pauses_nothing() -> None:
    greylisted = answers(500, Phase.RCPT, 451, "4.7.1", "greylisted, try again")
    assert greylisted == Tally(answered=500)
    assert cause(greylisted) is None


def test_limits_are_the_operators() -> None:
    assert cause(together(fine(489), dead(11)), limits=Limits(dead=2.5)) is None
    assert cause(together(fine(499), dead(1)), limits=Limits(dead=0.1)) is Cause.DEAD


@pytest.mark.parametrize(
    "window", [dead(20), spam(50), answers(60, Phase.EOM, None), answers(60, Phase.RCPT, 550, "5.2.1")]
)
def test_the_reason_says_what_happened_what_was_not_done_and_what_to_do(window: Tally) -> None:
    trip = decide_trip(window, is_first=True, limits=NORMAL)
    assert trip is not None
    said = say_why(trip, 7)
    assert f"{window.answered} of {window.answered}" in said
    assert "Nothing more is sent." in said
    assert "`milepost campaign resume 7`" in said


@pytest.mark.requirement("C-14")
def test_so_many_dead_addresses_at_once_are_not_believed() -> None:
    assert is_storm(together(dead(20)))
    assert is_storm(together(dead(51), fine(449)))
    assert not is_storm(together(dead(50), fine(450)))
    assert not is_storm(together(dead(11), fine(389)))
    assert not is_storm(fine(500))
    window = together(dead(20))
    trip = decide_trip(window, is_first=True, limits=NORMAL)
    assert trip is not None
    assert "none of these addresses was suppressed" in say_why(trip, 7, is_storm=True)
    assert "suppressed" not in say_why(trip, 7)
