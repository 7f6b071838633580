from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest

from service.domain.signups import Freshness, MailsSent, check_form_token, decide_signup, seconds_to_wait
from service.domain.tokens import Token, TokenKind
from service.domain.words import Language, Purpose, SignupState, SuppressionReason

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DIGEST, OFFERS = Purpose.DIGEST, Purpose.OFFERS
NONE, BOUNCE = frozenset[SuppressionReason](), SuppressionReason.PERMANENT_BOUNCE


@pytest.mark.parametrize(
    ("ticked", "active", "suppressions", "mails", "state"),
    [
        ({DIGEST}, {}, {}, (0, 0), SignupState.ASKED),
        ({DIGEST}, {OFFERS}, {}, (0, 0), SignupState.ASKED),
        ({DIGEST, OFFERS}, {DIGEST}, {}, (0, 0), SignupState.ASKED),
        ({DIGEST}, {DIGEST}, {}, (0, 0), SignupState.ALREADY_ACTIVE),
        ({DIGEST}, {DIGEST, OFFERS}, {}, (0, 0), SignupState.ALREADY_ACTIVE),
        ({DIGEST}, {}, {}, (0, 2), SignupState.ASKED),
        ({DIGEST}, {}, {}, (1, 1), SignupState.LIMITED),
        ({DIGEST}, {}, {}, (0, 3), SignupState.LIMITED),
        ({DIGEST}, {DIGEST}, {}, (1, 1), SignupState.LIMITED),
        ({DIGEST}, {}, {BOUNCE}, (0, 0), SignupState.ASKED),  # C-16
        ({DIGEST}, {}, {BOUNCE}, (1, 1), SignupState.LIMITED),
        ({DIGEST}, {}, {SuppressionReason.COMPLAINT}, (0, 0), SignupState.SUPPRESSED),
        ({DIGEST}, {}, {SuppressionReason.MANUAL}, (0, 0), SignupState.SUPPRESSED),
        ({DIGEST}, {}, {SuppressionReason.IMPORTED}, (0, 0), SignupState.SUPPRESSED),
        ({DIGEST}, {}, {SuppressionReason.UNSUBSCRIBE_ALL}, (0, 0), SignupState.ASKED),  # the person's own wish
        ({DIGEST}, {}, {SuppressionReason.ERASED}, (0, 0), SignupState.ASKED),  # D-15
        ({DIGEST}, {}, {BOUNCE, SuppressionReason.COMPLAINT}, (0, 0), SignupState.SUPPRESSED),
        ({DIGEST}, {DIGEST}, {SuppressionReason.COMPLAINT}, (0, 0), SignupState.SUPPRESSED),
    ],
)
def test_decide_signup(ticked, active, suppressions, mails, state):
    decided = decide_signup(
        ticked=frozenset(ticked),
        active=frozenset(active),
        suppressions=frozenset(suppressions),
        mails=MailsSent(*mails),
    )
    assert decided is state


def test_a_complaint_always_wins():
    """Whatever else is true, a complained address gets no mail because of a form (C-16)."""
    for size in range(len(SuppressionReason) + 1):
        for reasons in combinations(SuppressionReason, size):
            decided = decide_signup(
                ticked=frozenset({DIGEST}),
                active=frozenset(),
                suppressions=frozenset(reasons),
                mails=MailsSent(0, 0),
            )
            own_wish = {SuppressionReason.UNSUBSCRIBE_ALL, SuppressionReason.ERASED}
            assert (decided is SignupState.SUPPRESSED) == bool(set(reasons) - {BOUNCE} - own_wish)


def issued(seconds_ago: float, *, form: int = 7, language: Language = Language.EN, again: bool = False) -> Token:
    at = int((NOW.timestamp() - seconds_ago) * 1000)
    return Token(TokenKind.FORM, form, at, list(Language).index(language), int(again))


@pytest.mark.parametrize(
    ("token", "freshness"),
    [
        (None, Freshness.MISSING),
        (issued(2.9), Freshness.TOO_FAST),
        (issued(3.0), Freshness.FRESH),
        (issued(0.9, again=True), Freshness.TOO_FAST),
        (issued(1.0, again=True), Freshness.FRESH),
        (issued(3600), Freshness.FRESH),
        (issued(3601), Freshness.STALE),
        (issued(-5), Freshness.STALE),
        (issued(10, form=8), Freshness.STALE),
        (issued(10, language=Language.DE), Freshness.STALE),
    ],
)
@pytest.mark.requirement("E-06")
def test_form_token(token, freshness):
    """E-06, and D-05: a token of another version or language stands for other words."""
    assert freshness is check_form_token(
        token, form_id=7, language=Language.EN, now=NOW, min_seconds=3, lifetime=timedelta(hours=1)
    )


def test_a_form_shown_again_never_waits_longer_than_the_first():
    assert seconds_to_wait(shown_again=True, min_seconds=0.2) == 0.2
