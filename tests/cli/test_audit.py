"""`milepost audit`, and that no command lists whom it has: exports are of one person, with a reason, and noted."""

from collections.abc import Iterator

import pytest
import typer
from sqlalchemy import create_engine, text
from typer.core import TyperCommand, TyperGroup

from service.bootstrap import build_container
from service.cli.app import app
from service.domain.words import Purpose, SubscriptionState
from service.settings import Settings
from service.store import audit
from tests.builders import a_list, a_reader
from tests.cli.conftest import Milepost

PROCESSES = {"demo", "demo-reset", "catcher", "hub", "web", "worker", "beat", "migrate", "secrets"}
"""They stay, or make an installation; none of them prints what is in the database."""
ADDRESSES = ("ada@readers.example", "left@readers.example")


def commands(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))
        elif (path or (name,))[0] not in PROCESSES or path == ("worker",):
            yield (*path, name), command


def all_commands() -> dict[tuple[str, ...], TyperCommand]:
    tree = typer.main.get_command(app)
    assert isinstance(tree, TyperGroup)
    return dict(commands(tree))


@pytest.fixture
def two_readers(installation: Settings) -> Iterator[Settings]:
    container = build_container(installation)
    with container.transaction() as tx:
        list_id = a_list(tx, "hub")
        a_reader(tx, ADDRESSES[0], list_id=list_id, purpose=Purpose.OFFERS)
        a_reader(tx, ADDRESSES[1], list_id=list_id, state=SubscriptionState.UNSUBSCRIBED)
        audit.note(tx, actor="ada", act="looked", reason="because of a test", subscriber_id=1)
        audit.note(tx, actor="bea", act="left", reason="because of another")
    yield installation
    container.engine.dispose()


@pytest.mark.requirement("D-22")
def test_the_audit_log_is_shown_newest_first(milepost: Milepost, two_readers: Settings) -> None:
    newest, oldest = milepost("audit", "--json").document
    assert (oldest["actor"], oldest["act"], oldest["reason"]) == ("ada", "looked", "because of a test")
    assert oldest["details"] == {"subscriber_id": 1}
    assert newest["act"] == "left"
    assert [entry["act"] for entry in milepost("audit", "--limit", 1, "--json").document] == ["left"]
    assert [e["act"] for e in milepost("audit", "--before", newest["id"], "--json").document] == ["looked"]
    assert "subscriber_id=1" in milepost("audit").out


@pytest.mark.requirement("D-22")
def test_who_serves_cannot_change_the_audit_log(two_readers: Settings) -> None:
    engine = create_engine(two_readers.database_url)
    for act in ("UPDATE audit_entries SET reason = 'none'", "DELETE FROM audit_entries", "TRUNCATE audit_entries"):
        with engine.connect() as connection, pytest.raises(Exception, match=r"permission denied|append"):
            connection.execute(text(act))
    engine.dispose()


@pytest.mark.requirement("D-22", "D-32")
def test_whatever_takes_personal_data_out_asks_for_a_reason() -> None:
    """Commands that are given an address, or name a person, cannot be called without saying why."""
    asks = {
        name: {parameter.name for parameter in command.params}
        for name, command in all_commands().items()
        if any(parameter.name == "address" for parameter in command.params)
    }
    assert ("consent", "prove") in asks
    for name, parameters in asks.items():
        assert "reason" in parameters or name == ("campaign", "test"), name


@pytest.mark.requirement("D-32", "D-33")
def test_no_command_lists_addresses(milepost: Milepost, two_readers: Settings) -> None:
    """Everything that can be called without naming somebody, run: no address is shown, least of all of one who left."""
    ran = []
    for name, command in all_commands().items():
        if any(parameter.required for parameter in command.params):
            continue
        said = milepost(*name)
        assert not any(address in said.out + said.err for address in ADDRESSES), name
        ran.append(name)
    assert {("status",), ("audit",), ("doctor",), ("signups", "list"), ("campaign", "list"), ("token", "list")} <= set(
        ran
    )
