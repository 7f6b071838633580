"""One reader from sign-up to unsubscribe, every process at its most talkative, and much going wrong on the way: no log
holds the address, in any spelling."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, text

from service.bootstrap import build_container
from service.demo.servers import free_port
from service.demo.visitor import Form
from service.domain.redaction import IN_PLACE
from service.domain.words import Purpose
from service.settings import load
from service.usecases import campaigning, wording
from tests.faults.house import FaultHouse
from tests.traces import find_in_files

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

ADDRESS = "Zoe.Quillfeather+Trail@Hike.Example"
LANES = ("interactive", "bulk", "inbound")


class TalkativeHouse(FaultHouse):
    """With the demo's mail catcher as its relay, and everything logged that can be."""

    def prepare(self) -> None:
        super().prepare()
        self.catcher_port = free_port()
        self.environment |= {
            "MILEPOST_LOG_LEVEL": "debug",
            "MILEPOST_LOG_FORMAT": "json",
            "MILEPOST_SIGNUP_MIN_SECONDS": "0",
        }
        container = build_container(load(self.environment))
        with container.transaction() as tx:
            wording.publish(tx, container.publisher, container.circumstances)
        container.engine.dispose()

    def command(self, name: str, sink: Sequence[str] = ()) -> list[str]:
        if name != "catcher":
            return super().command(name, sink)
        place = [f"--smtp-port={self.sink_port}", f"--http-port={self.catcher_port}"]
        database = f"--database={self.directory / 'catcher.sqlite3'}"
        return [sys.executable, "-m", "service", "catcher", *place, database]

    @property
    def web_url(self) -> str:
        return f"http://localhost:{self.web_port}"

    def as_owner(self, statement: str) -> None:
        owner = create_engine(self.postgres.url("milepost"), isolation_level="AUTOCOMMIT")
        with owner.connect() as connection:
            connection.execute(text(statement))
        owner.dispose()

    def has_tried(self) -> bool:
        with self.engine.connect() as connection:
            return bool(connection.scalar(text("SELECT count(*) > 0 FROM attempts")))

    def sign_up(self) -> httpx.Response:
        page = httpx.get(f"{self.web_url}/subscribe?language=en")
        form = Form(str(page.url), page.text)
        sent = {"address": ADDRESS, "first_name": "Zoe", "purposes": ["digest", "offers"]}
        return httpx.post(form.action, data=form.hidden | sent)

    def mail(self, number: int) -> dict[str, object]:
        """The reader's mail of this number, once it is there."""
        base = f"http://localhost:{self.catcher_port}/api/mails"
        found: list[dict[str, object]] = []

        def arrived() -> bool:
            found[:] = httpx.get(base, params={"to": ADDRESS}).json()
            return len(found) >= number

        self.wait_until(f"mail {number} has come", arrived)
        newest = sorted(found, key=lambda mail: int(str(mail["id"])))[number - 1]
        opened: dict[str, object] = httpx.get(f"{base}/{newest['id']}").json()
        return opened


@pytest.fixture
def house(tmp_path: Path) -> Iterator[TalkativeHouse]:
    house = TalkativeHouse(tmp_path)
    try:
        house.prepare()
        yield house
    finally:
        if "catcher" in house.processes:
            house.processes["catcher"].terminate()
        house.stop_all()


def up(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.requirement("D-22")
def test_no_log_holds_the_address_of_a_reader(house: TalkativeHouse) -> None:
    house.start("web", "interactive", "bulk")
    house.wait_until("the web serves", lambda: up(f"{house.web_url}/health/ready"))

    # The database refuses the sign-up, and quotes the row: the web answers 500 and logs why.
    house.as_owner("ALTER TABLE signups ADD CONSTRAINT planted CHECK (address NOT ILIKE '%quillfeather%') NOT VALID")
    assert house.sign_up().status_code == 500
    house.wait_until("the web says so", lambda: "violates check constraint" in house.log("web"))
    house.as_owner("ALTER TABLE signups DROP CONSTRAINT planted")

    # Nothing that a person mistypes stands in an answer's log either.
    assert httpx.post(f"{house.web_url}/subscribe", json={"address": ADDRESS, "purposes": "x"}).status_code == 422
    assert httpx.get(f"{house.web_url}/r/{ADDRESS}", params={"address": ADDRESS}).status_code == 404

    # Then the worker's row is refused, and after that the relay is away.
    house.as_owner("ALTER TABLE deliveries ADD CONSTRAINT planted CHECK (kind <> 'confirmation') NOT VALID")
    assert house.sign_up().status_code == 303
    house.wait_until("the worker says so", lambda: "signup_not_decided" in house.log("interactive"))
    house.as_owner("ALTER TABLE deliveries DROP CONSTRAINT planted")
    house.start("beat")
    house.wait_until("the relay is missed", house.has_tried)
    house.start("catcher")
    house.wait_until("the catcher serves", lambda: up(f"http://localhost:{house.catcher_port}/health/live"))

    confirmation = house.mail(1)
    link = next(str(link) for link in confirmation["links"] if "/confirm/" in str(link))  # type: ignore[attr-defined]
    assert httpx.post(link).status_code == 200
    welcome = house.mail(2)
    send_a_campaign(house)
    sent = house.mail(3)
    assert sent["id"] != welcome["id"]
    one_click = re.search(r"<(http[^>]+)>", dict(sent["headers"])["List-Unsubscribe"])  # type: ignore[call-overload]
    assert one_click
    assert httpx.post(one_click[1], data={"List-Unsubscribe": "One-Click"}).status_code == 200
    house.kill("bulk")
    house.start("bulk", "inbound")
    send_a_campaign(house)

    logs = sorted(house.directory.rglob("*.log"))
    assert {"web.log", "interactive.log", "bulk.log", "beat.log", "postgres.log"} <= {path.name for path in logs}
    assert find_in_files(logs, ADDRESS) == {}
    assert IN_PLACE in house.log("web"), "the refused row was quoted, and redacted"
    assert '"level": "debug"' in house.log("interactive"), "they were talkative"


def send_a_campaign(house: TalkativeHouse) -> None:
    with house.transaction() as tx:
        campaign_id = campaigning.create_campaign(
            tx, list_slug="hub", purpose=Purpose.OFFERS, name="x", subject="Shoes", body="Warm.", by="ada"
        )
        campaigning.order_campaign(tx, campaign_id, by="ada")
    house.wait_until_sent(campaign_id)
