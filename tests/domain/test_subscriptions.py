from datetime import UTC, datetime, timedelta

import pytest

from service.domain.subscriptions import may_undo, state_after
from service.domain.words import ConsentState, SubscriptionState

REQUESTED, GIVEN, WITHDRAWN = ConsentState.REQUESTED, ConsentState.GIVEN, ConsentState.WITHDRAWN
PENDING, ACTIVE, UNSUBSCRIBED = SubscriptionState.PENDING, SubscriptionState.ACTIVE, SubscriptionState.UNSUBSCRIBED


@pytest.mark.parametrize(
    ("before", "event", "after"),
    [
        (None, REQUESTED, PENDING),
        (PENDING, REQUESTED, PENDING),
        (UNSUBSCRIBED, REQUESTED, PENDING),
        (ACTIVE, REQUESTED, ACTIVE),
        (None, GIVEN, ACTIVE),
        (PENDING, GIVEN, ACTIVE),
        (ACTIVE, GIVEN, ACTIVE),
        (UNSUBSCRIBED, GIVEN, ACTIVE),
        (None, WITHDRAWN, UNSUBSCRIBED),
        (PENDING, WITHDRAWN, UNSUBSCRIBED),
        (ACTIVE, WITHDRAWN, UNSUBSCRIBED),
        (UNSUBSCRIBED, WITHDRAWN, UNSUBSCRIBED),
    ],
)
def test_state_after(before, event, after):
    assert state_after(event, before) is after


@pytest.mark.parametrize(("minutes", "possible"), [(0, True), (60, True), (61, False)])
def test_undo_for_an_hour(minutes, possible):
    then = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert may_undo(then, then + timedelta(minutes=minutes)) is possible
