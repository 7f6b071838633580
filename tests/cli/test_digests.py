"""`milepost digest add`: how an installation gets its first digest."""

import pytest

from service.settings import Settings
from tests.cli.conftest import Milepost

NAMED = {"en": "Training digest", "de": "Trainingsübersicht", "fr": "Le récap", "es": "Resumen"}
NAMES = tuple(word for code, name in NAMED.items() for word in ("--name", f"{code}={name}"))


def test_a_digest_from_adding_to_listing(milepost: Milepost, house: Settings) -> None:
    assert "digest add" in milepost("digest", "list").err
    added = milepost("digest", "add", "weekly", "--list", "hub", *NAMES, "--max-items", "7")
    assert added.code == 0, added.err
    (listed,) = milepost("digest", "list", "--json").document
    assert (listed["slug"], listed["min_items"], listed["max_items"], listed["max_age_days"]) == ("weekly", 1, 7, 30)
    assert listed["names"] == NAMED


def test_adding_it_again_changes_it(milepost: Milepost, house: Settings) -> None:
    for most in ("7", "3"):
        added = milepost("digest", "add", "weekly", "--list", "hub", *NAMES, "--max-items", most, "--json")
        assert added.document["slug"] == "weekly"
    (listed,) = milepost("digest", "list", "--json").document
    assert listed["max_items"] == 3


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--list", "nowhere", *NAMES), 1, "nowhere"),
        (("--list", "hub", "--name", "en=Digest"), 2, "--name 'de=…'"),
        (("--list", "hub", *NAMES, "--name", "it=Lettera"), 2, "one name per language"),
        (("--list", "hub", *NAMES, "--min-items", "6"), 1, "nothing was saved"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: tuple[str, ...], code: int, says: str, milepost: Milepost, house: Settings
) -> None:
    ran = milepost("digest", "add", "weekly", *arguments)
    assert ran.code == code
    assert says in ran.err
    assert milepost("digest", "list", "--json").document == []
