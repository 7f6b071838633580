"""A relay that refuses, says 421 or is silent for two minutes: everybody gets the mail afterwards (C-11).

Three installations wait for their relays at the same time.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from sqlalchemy import text

from service.domain.words import DeliveryStatus
from tests.faults.deaths import count_connections
from tests.faults.house import FaultHouse, fault_house, is_seen

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600), pytest.mark.xdist_group("outages")]

MODES = ("refuse", "421", "silent")
OUTAGE = 120.0
READERS, RATE = 1200, 40
SEEN_WITHIN = 20.0
NOT_ANSWERING = "not answering"
PATIENCE = 330.0
"""A relay that has been away is left alone for up to five minutes."""


@dataclass
class Outage:
    house: FaultHouse
    mode: str
    campaign_id: int
    connections: int = 0
    """Open when it began."""
    taken_before: int = 0
    began: float = 0.0
    seen_after: float | None = None
    """Seconds until an operator could see it."""
    during: int = 0
    """Taken meanwhile, beyond what was on the wire."""
    said: str = ""
    """By `milepost status`, when that was so of all."""


@pytest.fixture(scope="module")
def outages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outage]]:
    """All three, over and done with."""
    with ExitStack() as ends:
        houses = {mode: ends.enter_context(_house(tmp_path_factory, mode)) for mode in MODES}
        for house in houses.values():
            house.start("relay", "bulk", "inbound", "beat")
        for house in houses.values():
            house.wait_until("its worker is ready", lambda house=house: "bulk@" in house.log("bulk"))
        found = [Outage(house, mode, house.a_campaign_to(READERS)) for mode, house in houses.items()]
        for outage in found:
            _stop_answering(outage)
        end = max(outage.began for outage in found) + OUTAGE
        while time.monotonic() < end:
            for outage in found:
                if outage.seen_after is None and is_seen(outage.house):
                    outage.seen_after = time.monotonic() - outage.began
                elif not outage.said and all(each.seen_after for each in found):
                    outage.said = outage.house.run("status")
            time.sleep(0.2)
        for outage in found:
            outage.during = len(outage.house.taken()) - outage.taken_before
            outage.house.relay_is("ok")
        for outage in found:
            outage.house.wait_until_sent(outage.campaign_id, PATIENCE)
        yield {outage.mode: outage for outage in found}


def _house(factory: pytest.TempPathFactory, mode: str):  # type: ignore[no-untyped-def]
    return fault_house(factory.mktemp(mode), {"rate_per_second": str(RATE)})


def _stop_answering(outage: Outage) -> None:
    house = outage.house
    house.wait_until("the campaign is under way", lambda: len(house.taken()) >= READERS / 10)
    outage.connections = count_connections(house.processes["bulk"].pid, house.sink_port)
    house.relay_is(outage.mode)
    outage.began = time.monotonic()
    outage.taken_before = len(house.taken())
    assert outage.taken_before < READERS * 0.8, "too late to show anything"


@pytest.mark.parametrize("mode", MODES)
def test_everybody_gets_the_mail_afterwards(outages: dict[str, Outage], mode: str) -> None:
    outage = outages[mode]
    # A reply that was under way when the relay left nobody knows; where it comes late, it counts.
    lost = outage.connections if mode == "refuse" else 0
    outage.house.assert_nobody_twice_nobody_missing(outage.campaign_id, uncertain_at_most=lost)
    assert outage.during <= outage.connections, "it was no outage"


@pytest.mark.parametrize("mode", MODES)
def test_nobodys_attempt_is_used_up(outages: dict[str, Outage], mode: str) -> None:  # C-11
    outage = outages[mode]
    with outage.house.engine.connect() as connection:
        attempts = connection.execute(
            text("SELECT attempts, count(*) FROM deliveries WHERE campaign_id = :id AND status = :status GROUP BY 1"),
            {"id": outage.campaign_id, "status": DeliveryStatus.ACCEPTED},
        ).all()
    assert [number for number, _ in attempts] == [1], attempts


@pytest.mark.parametrize("mode", MODES)
def test_an_operator_sees_within_20_seconds_that_the_relay_is_not_answering(
    outages: dict[str, Outage], mode: str
) -> None:
    outage = outages[mode]
    assert outage.seen_after is not None
    assert outage.seen_after <= SEEN_WITHIN
    assert NOT_ANSWERING in outage.said
