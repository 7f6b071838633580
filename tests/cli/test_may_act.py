"""Commands that act for or on readers refuse where nothing may be served: after a backup was put back, above all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from service.bootstrap import Container, build_container
from service.domain.imports import AFFIRMATION
from service.settings import Settings
from service.store.schema import Base
from tests.cli.conftest import Milepost
from tests.cli.test_audit import all_commands
from tests.cli.test_privacy import a_reader

EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/readers.csv"
REASON = ("--reason", "letter of 2 March")
FILE = (
    *(EXAMPLE, "--list", "hub", "--purpose", "digest", "--map", "address=Email", "--map", "status=State"),
    *("--map", "consent_at=Joined", "--map", "consent_source=Where", "--map", "confirmed_at=Confirmed"),
)
ACT: dict[tuple[str, ...], tuple[object, ...]] = {
    ("privacy", "erase"): ("anna@fjell.no", *REASON, "--yes"),
    ("privacy", "export"): ("anna@fjell.no", *REASON),
    ("privacy", "retention"): ("--enforce",),
    ("import", "check"): FILE,
    ("import", "run"): (*FILE, "--source-system", "Old Letters", "--attest", AFFIRMATION, *REASON),
    ("import", "admit"): (1, *REASON),
    ("import", "ask"): (1, *REASON),
    ("import", "undo"): (1, *REASON),
    ("signups", "release"): (1, *REASON),
    ("signups", "drop"): (1, *REASON),
    ("consent", "prove"): ("anna@fjell.no", *REASON),
    ("digest", "send"): ("hub", "--no-wait"),
    ("campaign", "create"): ("--list", "hub", "--purpose", "offers", "--subject", "Shoes", "--body", "Warm feet."),
    ("campaign", "test"): (1, "--to", "anna@fjell.no"),
    ("campaign", "send"): (1, "--no-wait"),
    ("campaign", "resume"): (1,),
    ("campaign", "resolve"): (1, "--resend"),
}
MENDS = {("privacy", "forget-again"), ("consent", "restored"), ("privacy", "rotate-address-key")}
ONLY_STOPS = {("campaign", "pause"), ("campaign", "cancel"), ("worker", "lost"), ("token", "revoke")}
OF_NO_READER = {("token", "create"), ("content", "add"), ("content", "pull"), ("digest", "add")}
OF_NO_READER |= {("settings",), ("commands",), ("probe", "send"), ("probe", "compare")}
OF_NO_READER |= {("dkim", "new"), ("dkim", "rotate")}
ONLY_SHOWS = {("doctor",), ("status",), ("audit",), ("worker", "alive"), ("form", "snippet"), ("token", "list")}
ONLY_SHOWS |= {("dkim", "show")}
ONLY_SHOWS |= {("campaign", name) for name in ("list", "show", "status")}
ONLY_SHOWS |= {("digest", "list"), ("digest", "runs"), ("content", "sources"), ("import", "list"), ("import", "show")}
ONLY_SHOWS |= {
    ("signups", "list"),
    ("signups", "held"),
    ("consent", "verify"),
    ("consent", "check"),
    ("consent", "key"),
}
ONLY_SHOWS |= {("privacy", name) for name in ("requests", "records", "affected", "report")}


def rows(container: Container) -> dict[str, int]:
    with container.transaction() as tx:
        return {t: tx.session.scalar(text(f"SELECT count(*) FROM {t}")) or 0 for t in Base.metadata.tables}


@pytest.fixture
def restored(milepost: Milepost, house: Settings) -> Iterator[Container]:
    """A database that does not know of an erasure that is in the log, with a reader, a campaign and an import."""
    container = build_container(house)
    a_reader(container, "anna@fjell.no")
    a_reader(container, "ben@fjell.no")
    for name in (("campaign", "create"), ("import", "run")):
        assert milepost(*name, *ACT[name]).code == 0
    assert milepost("privacy", "erase", "ben@fjell.no", *REASON, "--yes").code == 0
    with container.transaction() as tx:
        tx.session.execute(text("DELETE FROM erasures"))
    yield container
    container.engine.dispose()


def test_each_command_is_decided_on() -> None:
    """A new one that writes of readers opens by `opened_to_act`, and stands here."""
    decided = (set(ACT), MENDS, ONLY_STOPS, OF_NO_READER, ONLY_SHOWS)
    assert sum(map(len, decided)) == len(set().union(*decided))
    assert set().union(*decided) == set(all_commands())


@pytest.mark.requirement("D-15")
def test_what_acts_is_refused_until_the_log_is_carried_out_again(milepost: Milepost, restored: Container) -> None:
    before = rows(restored)
    for name, arguments in ACT.items():
        refused = milepost(*name, *arguments)
        assert refused.code == 3, (name, refused)
        assert "milepost privacy forget-again" in refused.err, name
        assert "Nothing was done" in refused.err, name
    assert rows(restored) == before
    assert milepost("campaign", "pause", 1).code == 1, "a draft, which cannot be paused; not refused for the backup"
    assert milepost("campaign", "cancel", 1).code == 0
    assert milepost("privacy", "retention").code == 0, "it only counts"
    assert milepost("privacy", "forget-again", *REASON).code == 0
    assert milepost("privacy", "erase", "anna@fjell.no", *REASON, "--yes").code == 0
