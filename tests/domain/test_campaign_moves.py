"""Every (status, act) pair of a campaign is decided, one way or the other, and refusals say why."""

from itertools import product

import pytest

from service.domain.campaigns import MOVES, REFUSED, Act, move
from service.domain.words import CampaignStatus
from service.errors import Kind, ServiceError

PAIRS = list(product(CampaignStatus, Act))


def test_every_pair_is_decided_once() -> None:
    assert MOVES.keys() | REFUSED.keys() == set(PAIRS)
    assert not MOVES.keys() & REFUSED.keys()


@pytest.mark.parametrize(("status", "act"), PAIRS)
def test_a_move_is_made_or_refused_with_a_reason(status: CampaignStatus, act: Act) -> None:
    if (status, act) in MOVES:
        assert move(status, act) is MOVES[status, act]
        return
    with pytest.raises(ServiceError) as refusal:
        move(status, act)
    assert refusal.value.kind is Kind.CONFLICT
    assert refusal.value.code == f"campaign_{status}"
    assert refusal.value.message.startswith(f"Nothing was changed: this campaign is {status}; ")


def test_nothing_leaves_cancelled() -> None:
    """What was cancelled is never sent after all, by whatever way."""
    assert {after for (before, _), after in MOVES.items() if before is CampaignStatus.CANCELLED} == {
        CampaignStatus.CANCELLED
    }
