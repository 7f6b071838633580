"""How tokens name a purpose: for ever the same, since old mails' links work for ever (A-29)."""

import pytest

from service.domain.tokens import purpose_flag, purpose_from_flag
from service.domain.words import Purpose


@pytest.mark.parametrize(("purpose", "flag"), [(None, 0), (Purpose.DIGEST, 1), (Purpose.OFFERS, 2)])
def test_flags_never_change(purpose: Purpose | None, flag: int) -> None:
    assert purpose_flag(purpose) == flag
    assert purpose_from_flag(flag) is purpose


@pytest.mark.parametrize("flag", [-1, len(Purpose) + 1, 255])
def test_other_flags_name_no_purpose(flag: int) -> None:
    assert purpose_from_flag(flag) is None
