"""Subjects: what a person may not do to one."""

import pytest

from service.domain.subjects import LONGEST, check_subject
from service.errors import Kind, ServiceError


@pytest.mark.parametrize(
    "subject",
    [
        "New shoes",
        "Retro: the shoes of 1972",
        "Forward, runners!",
        "Re the rain",
        "Rest: the forgotten training",
        "Svalbard: a race report",
        "Neue Schuhe für kalte Tage – 20 %",
        "x" * LONGEST,
    ],
)
def test_good_subjects_stay_as_they_are(subject: str) -> None:
    assert check_subject(f" {subject} ") == subject


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        ("", "subject_empty"),
        ("   ", "subject_empty"),
        ("x" * (LONGEST + 1), "subject_too_long"),
        *[(f"a{c}b", "subject_control_character") for c in "\r\n\0\t\x0b\x85\u2028\u2029\u200e\x7f"],
        *[
            (f"{marker} New shoes", "subject_pretends_reply")
            for marker in ("Re:", "RE:", "re :", "Fwd:", "Fw:", "AW:", "WG:", "Re[2]:", "Re(2):", "Antw:", "Re\uff1a")
        ],
    ],
)
def test_a_09_bad_subjects_are_refused_with_a_reason(subject: str, code: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_subject(subject)
    assert (caught.value.kind, caught.value.code, caught.value.field) == (Kind.INVALID, code, "subject")
    assert "Nothing was saved" in caught.value.message
