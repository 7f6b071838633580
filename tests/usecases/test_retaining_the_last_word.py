"""What the time of the proof counts from: the reader's last word, and no stranger's (D-19)."""

import pytest

from service.domain.words import Channel, SignupState
from service.store import subscribers
from service.usecases import unsubscribing
from tests.conftest import FrozenClock
from tests.usecases.builders import BUTTON_EVIDENCE, KEYS, a_reader, decided, sign_up, unsubscribe_token
from tests.usecases.test_retaining import ADDRESS, run


@pytest.mark.requirement("D-19")
@pytest.mark.parametrize("purposes", [("digest",), ("offers",)])
def test_what_a_stranger_asks_in_the_name_of_somebody_who_left_prolongs_nothing(
    transaction, clock: FrozenClock, purposes
):
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
        list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
        unsubscribing.unsubscribe(tx, KEYS, unsubscribe_token(reader, list_id), Channel.PAGE, BUTTON_EVIDENCE)
    left_at = clock.now()
    clock.advance(days=400)
    with transaction() as tx:
        assert decided(tx, sign_up(tx, ADDRESS, purposes=purposes)).state is SignupState.ASKED
    clock.advance(days=8)
    assert run(transaction)["unconfirmed_requests"] == 1
    clock.advance(days=(left_at.replace(year=left_at.year + 3, month=12, day=31) - clock.now()).days)
    assert "consent_proof" not in run(transaction)
    clock.advance(days=1)
    assert run(transaction) == {"consent_proof": 1}
