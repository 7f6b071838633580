"""A campaign while Valkey loses all that it knew, while PostgreSQL is killed, and while both are."""

import shutil
from pathlib import Path

import pytest

from tests.faults.house import fault_house

pytestmark = [pytest.mark.faults, pytest.mark.timeout(480)]

READERS, RATE = 1500, 150
WORKERS = ("bulk-1", "bulk-2")


@pytest.mark.parametrize("victims", [("valkey",), ("postgres",), ("valkey", "postgres")], ids="+".join)
def test_servers_killed_in_the_middle_cost_nobody_anything(tmp_path: Path, victims: tuple[str, ...]) -> None:
    """Valkey comes back empty, and with it no hint that anything is to be done (invariant 1)."""
    with fault_house(tmp_path, {"rate_per_second": str(RATE)}) as house:
        house.start("relay", "inbound", "beat", *WORKERS)
        campaign_id = house.a_campaign_to(READERS)
        house.wait_until("the campaign is under way", lambda: len(house.taken()) >= READERS / 5)
        for victim in victims:
            house.kill(victim)
        assert len(house.taken()) < READERS / 2, "too late to show anything"
        if "postgres" in victims:
            house.wait_until(
                "who is at work misses it", lambda: any("database_trouble" in house.log(worker) for worker in WORKERS)
            )
        if "valkey" in victims:
            shutil.rmtree(house.valkey.data)
        house.start(*victims)
        house.wait_until_sent(campaign_id)
        house.assert_nobody_twice_nobody_missing(campaign_id, uncertain_at_most=0)
