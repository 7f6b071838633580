"""`milepost token`: shown once, listed by name, revoked for good."""

import pytest

from service.settings import Settings
from tests.cli.conftest import Milepost


def test_a_token_from_making_to_revoking(milepost: Milepost, installation: Settings) -> None:
    assert "no token yet" in milepost("token", "list").err
    made = milepost("token", "create", "timetable", "--role", "campaign")
    token = made.out.strip()
    assert token.startswith("milepost_")
    assert "not shown again" in made.err
    assert token not in milepost("token", "list").out
    assert "timetable" in milepost("token", "list").out
    assert milepost("token", "revoke", "timetable", "--json").document == {"name": "timetable", "revoked": True}
    (listed,) = milepost("token", "list", "--json").document
    assert listed["name"] == "timetable"
    assert listed["revoked_at"] is not None
    assert listed["last_used_at"] is None


def test_a_token_as_json(milepost: Milepost, installation: Settings) -> None:
    made = milepost("token", "create", "hub", "--role", "sign_up", "--json").document
    assert (made["name"], made["roles"]) == ("hub", ["sign_up"])
    assert len(made["token"]) > 50


def test_roles_are_shown(milepost: Milepost, installation: Settings) -> None:
    milepost("token", "create", "timetable", "--role", "campaign")
    milepost("token", "create", "office", "--role", "export", "--role", "sign_up")
    assert "sign_up, export" in milepost("token", "list").out
    listed = {token["name"]: token["roles"] for token in milepost("token", "list", "--json").document}
    assert listed == {"timetable": ["campaign"], "office": ["sign_up", "export"]}


@pytest.mark.parametrize("roles", [(), ("--role", "everything"), ("--role", "see_addresses")])
def test_a_token_has_roles_that_there_are(milepost: Milepost, installation: Settings, roles: tuple[str, ...]) -> None:
    refused = milepost("token", "create", "more", *roles)
    assert refused.code == 2
    assert "--role" in refused.err
    assert milepost("token", "list", "--json").document == []
