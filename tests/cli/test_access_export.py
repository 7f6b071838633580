"""`milepost privacy export`, as an operator runs it (D-13)."""

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from service.bootstrap import Container, build_container
from service.domain.words import PrivacyRequestKind
from service.settings import Settings
from service.store import audit, privacy_requests
from service.store.schema import PrivacyRequest
from service.usecases import subscribing
from tests.cli.conftest import Milepost
from tests.usecases.builders import BUTTON_EVIDENCE, FORM_EVIDENCE, KEYS, a_request, confirm_token

REASON = "letter of 2 March"
pytestmark = pytest.mark.requirement("D-13", "D-22")


@pytest.fixture
def container(house: Settings) -> Iterator[Container]:
    built = build_container(house)
    yield built
    built.engine.dispose()


@pytest.fixture
def reader(container: Container) -> int:
    with container.transaction() as tx:
        signup_id = subscribing.receive_signup(tx, KEYS, a_request(tx), FORM_EVIDENCE)
    with container.transaction() as tx:
        subscribing.process_signups(tx, KEYS.ledger, timedelta(hours=72))
    with container.transaction() as tx:
        confirmed = subscribing.confirm_subscription(tx, KEYS, confirm_token(signup_id), BUTTON_EVIDENCE)
        assert isinstance(confirmed, subscribing.Confirmed)
        return tx.session.scalars(select(subscribing.signups.Signup.subscriber_id)).one()


def test_two_files_that_only_their_owner_reads(milepost: Milepost, reader: int, tmp_path: Path) -> None:
    ran = milepost("privacy", "export", "ANNA@fjell.no", "--reason", REASON, "--out", tmp_path / "answer")
    assert ran.code == 0, ran.err
    paths = [Path(line) for line in ran.out.splitlines()]
    assert [path.suffix for path in paths] == [".json", ".zip"]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    held = json.loads(paths[0].read_text())
    assert held["profile"]["address"] == "anna@fjell.no"
    requested, given = (event["personal"] for event in held["consent_events"])
    assert "ip" not in requested
    assert (given["request"]["ip"], given["ip"]) == ("203.0.113.7", "203.0.113.8")
    names = zipfile.ZipFile(io.BytesIO(paths[1].read_bytes())).namelist()
    assert {"profile.csv", "consent_events.csv", "mails.csv"} <= set(names)


def test_it_is_noted_and_answers_what_was_asked(milepost: Milepost, container: Container, reader: int) -> None:
    with container.transaction() as tx:
        privacy_requests.add_request(tx, PrivacyRequestKind.ACCESS, reader, asked_by="letter")
        assert len(privacy_requests.list_open(tx)) == 1
    ran = milepost("privacy", "export", "anna@fjell.no", "--reason", REASON, "--operator", "grace", "--json")
    assert ran.document["looks"][0]["reason"] == REASON, "the person sees who looked when"
    with container.transaction() as tx:
        [entry] = audit.list_entries(tx)
        assert (entry.actor, entry.act, entry.reason) == ("grace", "access_export", REASON)
        assert entry.details == {"subscriber_id": reader}
        [request] = tx.session.scalars(select(PrivacyRequest)).all()
        assert request.due_at - request.asked_at >= timedelta(days=28), "a month"
        assert request.done_at is not None
        assert privacy_requests.list_open(tx) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody@fjell.no", "--reason", REASON), "Nothing is held under this address"),
        (("anna@fjell.no", "--reason", "x"), "needs a reason"),
        (("anna@fjell.no", "--reason", "anna@fjell.no wrote"), "without addresses"),
        (("anna", "--reason", REASON), "has no @"),
    ],
)
def test_refusals_write_and_note_nothing(
    milepost: Milepost, container: Container, reader: int, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    ran = milepost("privacy", "export", *arguments, "--out", tmp_path / "answer")
    assert (ran.code, words in ran.err) == (1, True)
    assert not (tmp_path / "answer").exists()
    with container.transaction() as tx:
        assert audit.list_entries(tx) == []
        assert tx.session.scalars(select(PrivacyRequest)).all() == []
