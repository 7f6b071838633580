"""`milepost token`: shown once, listed by name, revoked for good."""

from service.settings import Settings
from tests.cli.conftest import Milepost


def test_a_token_from_making_to_revoking(milepost: Milepost, installation: Settings) -> None:
    assert "no token yet" in milepost("token", "list").err
    made = milepost("token", "create", "timetable")
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
    made = milepost("token", "create", "hub", "--json").document
    assert made["name"] == "hub"
    assert len(made["token"]) > 50


def test_roles_are_shown(milepost: Milepost, installation: Settings) -> None:
    milepost("token", "create", "timetable")
    milepost("token", "create", "office", "--role", "export", "--role", "see_addresses")
    assert "export, see_addresses" in milepost("token", "list").out
    listed = {token["name"]: token["roles"] for token in milepost("token", "list", "--json").document}
    assert listed == {"timetable": [], "office": ["export", "see_addresses"]}
    assert milepost("token", "create", "more", "--role", "everything").code == 2
