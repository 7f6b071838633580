"""`tests.faults.relay` as a sink for benchmarks: it answers after a delay, and notes each message that it takes."""

from collections import Counter
from pathlib import Path

from service.domain.words import DeliveryStatus
from tests.faults.house import FaultHouse, Taken


class NotingRelay:
    """Started in a house, at the port that its workers know. Only one at a time."""

    def __init__(self, house: FaultHouse, delay: float) -> None:
        self._house = house
        self._file: Path = house.taken_file
        self._read, self._counted = 0, 0
        self._file.unlink(missing_ok=True)
        house.start("relay", sink=["--delay", str(delay)])
        house.wait_until("the relay listens", self._file.exists)

    @property
    def port(self) -> int:
        return self._house.sink_port

    def count(self) -> int:
        """Messages since it began."""
        with self._file.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        self._counted += new.count(b"\n")
        return self._counted

    def messages(self, first: int = 0) -> list[Taken]:
        """From the `first`-th on."""
        return self._house.messages()[first:]

    def stop(self) -> None:
        self._house.kill("relay")


def compare(house: FaultHouse, campaign_id: int, messages: list[Taken]) -> tuple[int, int, int]:
    """How many of a campaign's readers are lost, have it more than once, and are uncertain: sink beside table."""
    counts = Counter(each.recipient for each in messages)
    people = house.by_status(campaign_id)
    uncertain = people[DeliveryStatus.UNCERTAIN]
    everybody = set().union(*people.values())
    lost = len(everybody - counts.keys() - uncertain)
    return lost, sum(1 for number in counts.values() if number > 1), len(uncertain)
