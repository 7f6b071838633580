"""What a whole house writes into the ledger is sealed by its workers and verifies, as an operator checks it."""

import json
import time
from pathlib import Path

import pytest

from service.domain.words import Lane
from service.ports import Hint
from service.taskqueue import CeleryTaskQueue
from tests.house import House

pytestmark = [pytest.mark.ops, pytest.mark.requirement("D-01")]
READERS = 500


def file_of(house: House) -> Path:
    return Path(house.environment["MILEPOST_STATE_DIR"]) / "ledger" / "checkpoints.jsonl"


def test_the_workers_seal_what_sign_ups_and_buttons_wrote(house: House) -> None:
    CeleryTaskQueue(house.environment["MILEPOST_REDIS_URL"]).hint(Hint.SEAL, Lane.INBOUND)  # the timetable: every 60 s
    end = time.monotonic() + 90
    while (report := house.milepost("consent", "verify"))["unsealed"]:
        assert time.monotonic() < end, report
        time.sleep(0.5)
    assert report["intact"], report
    assert report["subjects"] > READERS
    assert report["sealed"] == report["events"] > report["subjects"]
    line = json.loads(file_of(house).read_text(encoding="utf-8").splitlines()[-1])
    assert line["checkpoint"]["size"] == report["sealed"]
    assert file_of(house).stat().st_mode & 0o777 == 0o600


def test_the_file_tells_nobody_who_the_readers_are(house: House) -> None:
    assert "@" not in file_of(house).read_text(encoding="utf-8")
