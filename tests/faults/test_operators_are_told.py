"""Operators are mailed about a relay that cannot be used, and again when it can (C-11)."""

import time
from pathlib import Path

import pytest
from sqlalchemy import text

from service.domain.relay_watch import TOLD_AFTER
from tests.faults.house import FaultHouse, fault_house, is_seen

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

OPERATOR = "ops@fjellsko.example"
SEEN_WITHIN = 20.0


def mails(house: FaultHouse) -> list[tuple[bool, str]]:
    """Whether each says that it is over, and what became of it."""
    with house.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT m.is_over, d.status FROM operator_mails m JOIN deliveries d ON d.id = m.delivery_id "
                "ORDER BY d.id"
            )
        )
        return [(row.is_over, row.status) for row in rows]


def test_a_relay_that_is_away_is_mailed_about_when_it_is_back(tmp_path: Path) -> None:
    settings = {"rate_per_second": "20", "operators_mail": OPERATOR}
    with fault_house(tmp_path, settings) as house:
        house.start("relay", "bulk", "interactive", "inbound", "beat")
        campaign_id = house.a_campaign_to(200)
        house.wait_until("the campaign is under way", lambda: len(house.taken()) >= 20)
        house.relay_is("421")
        began = time.monotonic()
        house.wait_until("it is seen", lambda: is_seen(house))
        seen_after = time.monotonic() - began
        assert "not answering" in house.run("status")
        house.wait_until("a mail is queued", lambda: bool(mails(house)), TOLD_AFTER.total_seconds() + 30)
        assert mails(house) == [(False, "queued")]
        assert OPERATOR not in house.taken()
        house.relay_is("ok")
        house.wait_until("both are told", lambda: mails(house) == [(False, "accepted"), (True, "accepted")], 330)
        assert house.taken().count(OPERATOR) == 2
        assert "not answering" not in house.run("status")
        house.wait_until_sent(campaign_id, 330)
        with house.engine.connect() as connection:
            attempts = "SELECT DISTINCT attempts FROM deliveries WHERE status = 'accepted'"
            assert connection.scalars(text(attempts)).all() == [1]
        assert seen_after <= SEEN_WITHIN
