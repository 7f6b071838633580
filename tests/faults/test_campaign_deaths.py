"""A campaign through a relay 20 ms away, while workers die: nobody twice, nobody missing."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from service.domain.words import DeliveryStatus
from tests.faults.deaths import Death, kill_at_work
from tests.faults.house import FaultHouse, fault_house

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

READERS = 1500
KILLS, WITH_MESSAGES_ON_THE_WIRE = 30, 10
FIRST, LAST = 0.05, 0.95
WORKERS = ("bulk-1", "bulk-2")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FaultHouse]:
    with fault_house(tmp_path) as house:
        yield house


def test_thirty_kills_lose_nobody_and_double_nobody(house: FaultHouse) -> None:  # invariant 4
    house.start("relay", "inbound", "beat", *WORKERS)
    campaign_id = house.a_campaign_to(READERS)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown when it fails
    chance = random.Random(seed)
    deaths: list[Death] = []
    for number, mark in enumerate(sorted(chance.uniform(FIRST, LAST) * READERS for _ in range(KILLS))):
        house.wait_until(f"{mark:.0f} are accepted", lambda mark=mark: len(house.taken()) >= mark)
        deaths.append(kill_somebody(house, chance, insist=number % 2 == 0))
        house.start(deaths[-1].worker)
    house.wait_until_sent(campaign_id)
    assert FIRST * READERS <= deaths[0].accepted <= deaths[-1].accepted < READERS
    assert sum(1 for death in deaths if death.on_the_wire) >= WITH_MESSAGES_ON_THE_WIRE
    for death in deaths:
        assert len(death.on_the_wire) <= death.connections, death
    on_the_wire = set().union(*(death.on_the_wire for death in deaths))
    house.assert_nobody_twice_nobody_missing(campaign_id, uncertain_at_most=len(on_the_wire))
    assert ids_with(house, DeliveryStatus.UNCERTAIN) <= on_the_wire


def kill_somebody(house: FaultHouse, chance: random.Random, *, insist: bool) -> Death:
    """Whoever is at work, in a random order, as soon as somebody is."""
    found: list[Death] = []

    def killed() -> bool:
        for worker in chance.sample(WORKERS, len(WORKERS)):
            death = kill_at_work(house, worker, insist=insist)
            if death is not None:
                found.append(death)
                return True
        return False

    house.wait_until("a worker is at work", killed)
    return found[0]


def ids_with(house: FaultHouse, status: DeliveryStatus) -> set[int]:
    with house.engine.connect() as connection:
        return set(connection.scalars(text("SELECT id FROM deliveries WHERE status = :status"), {"status": status}))
