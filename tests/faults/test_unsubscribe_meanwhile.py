"""Readers press the button while the campaign is on its way to them (invariant 2)."""

import random
import time
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from service.domain.tokens import Keys, Token, TokenKind, purpose_flag
from service.domain.words import DeliveryStatus, Purpose, SkipReason
from tests.faults.house import FaultHouse, fault_house

pytestmark = [pytest.mark.faults, pytest.mark.timeout(480)]

READERS, RATE = 1500, 100
LEAVING = 60
PROMISE = 5.0


def links(house: FaultHouse, campaign_id: int) -> dict[str, str]:
    """What stands in List-Unsubscribe of each reader's mail, by address."""
    keys = Keys(house.environment["MILEPOST_SECRET_KEY"])
    with house.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT s.address, s.id, d.id, c.list_id, c.purpose FROM deliveries d "
                "JOIN subscribers s ON s.id = d.subscriber_id JOIN campaigns c ON c.id = d.campaign_id "
                "WHERE c.id = :id"
            ),
            {"id": campaign_id},
        ).all()
    url = house.environment["MILEPOST_PUBLIC_URL"]
    return {
        address: f"{url}/u/"
        + keys.seal(Token(TokenKind.UNSUBSCRIBE, reader, delivery, small=list_id, flag=purpose_flag(Purpose(purpose))))
        for address, reader, delivery, list_id, purpose in rows
    }


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.HTTPError:
        return False


def test_nothing_is_started_for_a_reader_5_seconds_after_the_button(tmp_path: Path) -> None:
    with fault_house(tmp_path, {"rate_per_second": str(RATE)}) as house:
        house.start("relay", "bulk-1", "bulk-2", "inbound", "beat", "web")
        house.wait_until("the web serves", lambda: is_up(house.environment["MILEPOST_PUBLIC_URL"]))
        campaign_id = house.a_campaign_to(READERS)
        house.wait_until("the campaign is under way", lambda: len(house.taken()) >= READERS / 10)
        waiting = sorted(links(house, campaign_id).items() - dict.fromkeys(house.taken()).keys())
        pressed: dict[str, float] = {}
        with httpx.Client() as client:
            for address, link in random.sample(waiting, LEAVING):
                answer = client.post(link, data={"List-Unsubscribe": "One-Click"})
                pressed[address] = time.time()
                assert answer.status_code == 200, answer.text
        assert len(house.taken()) < READERS / 2, "too late to show anything"
        report = house.wait_until_sent(campaign_id)
        begun = {message.recipient: message.began_at for message in house.messages()}
        late = {address: begun[address] - at for address, at in pressed.items() if begun.get(address, 0) > at + PROMISE}
        assert late == {}
        withheld = pressed.keys() - begun.keys()
        assert report.skipped == {SkipReason.NO_CONSENT: len(withheld)}
        assert len(withheld) >= LEAVING / 3, "they left too late to show anything"
        assert report.buckets[DeliveryStatus.ACCEPTED] == READERS - len(withheld)
        assert len(begun) == len(house.messages()), "nobody twice"
