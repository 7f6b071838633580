"""`milepost signups`: what operators see of held and odd sign-ups, and what they decide about them."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from service.bootstrap import SystemClock
from service.domain.addresses import parse_address
from service.domain.surges import Ceilings
from service.domain.tokens import Keys
from service.settings import Settings
from service.store import engine as store_engine
from service.store.transaction import TransactionFactory, factory
from service.usecases import subscribing
from tests.cli.conftest import Milepost
from tests.conftest import HintList
from tests.usecases.builders import FORM_EVIDENCE, THREE_DAYS, a_request

SignUps = Callable[..., None]


@pytest.fixture
def transaction(house: Settings) -> Iterator[TransactionFactory]:
    engine = store_engine.create(house.database_url, "test")
    yield factory(engine, SystemClock(), HintList())
    engine.dispose()


@pytest.fixture
def sign_ups(house: Settings, transaction: TransactionFactory) -> SignUps:
    """Sign these up and let the worker decide, with a ceiling of two an hour for a domain."""
    keys = Keys(house.secret_key)

    def sign_up(*addresses: str) -> None:
        with transaction() as tx:
            asked = a_request(tx)
            for address in addresses:
                request = replace(asked, address=parse_address(address))
                subscribing.receive_signup(tx, keys, request, FORM_EVIDENCE)
        with transaction() as tx:
            subscribing.process_signups(tx, keys.ledger, THREE_DAYS, ceilings=Ceilings(2, 1000))

    return sign_up


FLOOD = tuple(f"reader{number}@victim.no" for number in range(5))


@pytest.mark.requirement("E-05")
def test_held_sign_ups_alert_in_status_and_doctor(milepost: Milepost, sign_ups: SignUps) -> None:
    assert "held" not in milepost("status").err
    sign_ups(*FLOOD)
    status = milepost("status")
    assert "3 held" in status.out
    assert "3 sign-ups are held" in status.err
    assert milepost("status", "--json").document["signups"]["held"] == 3
    [finding] = [f for f in milepost("doctor", "--json").document["findings"] if f["check"] == "held sign-ups"]
    assert (finding["verdict"], finding["remedy"]) == ("warning", "milepost signups held")
    assert finding["message"].startswith("3, since ")


@pytest.mark.requirement("E-05")
def test_an_operator_sees_which_domain_and_lets_it_go(milepost: Milepost, sign_ups: SignUps) -> None:
    sign_ups(*FLOOD)
    [surge] = milepost("signups", "held", "--json").document
    assert (surge["domain"], surge["form"], surge["held"], surge["last_hour"]) == ("victim.no", "hub", 3, 5)
    table = milepost("signups", "held")
    assert "victim.no" in table.out
    rows = milepost("signups", "held", "--domain", "VICTIM.no", "--json").document
    assert [(row["address"], row["state"]) for row in rows] == [("r•••@v•••.no", "held")] * 3
    assert milepost("signups", "drop", rows[0]["id"], "--reason", "list bombing", "--json").document == {"dropped": 1}
    ran = milepost("signups", "release", "--domain", "victim.no", "--reason", "our own campaign")
    assert (ran.code, ran.out) == (0, "2 sign-ups released.\n")
    assert milepost("signups", "held").err == "No sign-up is held.\n"
    after = milepost("signups", "list", "--json").document
    assert [row["state"] for row in after] == ["received", "received", "expired", "asked", "asked"]


def test_refusals_say_that_nothing_was_done(milepost: Milepost, sign_ups: SignUps) -> None:
    sign_ups(*FLOOD)
    for arguments, code in [
        (("release", "987654", "--reason", "because"), "signups_not_held"),
        (("release", "--reason", "because"), "signups_unclear"),
        (("drop", "--domain", "fjell.no", "--reason", "because"), "signups_not_held"),
        (("drop", "--domain", "victim.no", "--reason", "x"), "reason_missing"),
    ]:
        ran = milepost("signups", *arguments, "--json")
        assert (ran.code, ran.document["error"]["code"]) == (1, code)
        assert "othing was done" in ran.document["error"]["message"]
    assert milepost("signups", "drop", "--domain", "victim.no").code == 2
    assert milepost("status", "--json").document["signups"]["held"] == 3


@pytest.mark.requirement("E-10")
def test_look_alikes_are_accepted_and_shown_as_what_they_are(milepost: Milepost, sign_ups: SignUps) -> None:
    """An operator never sees the letters that imitate others, only the A-label."""
    sign_ups("ada@\u0430pple.no", "info@fjell.no", "ada@gmial.com", "ada@fjell.no", "ada@exämple.no")
    rows = milepost("signups", "list", "--json").document
    assert {row["state"] for row in rows} == {"asked"}
    assert [(row["domain"], row["odd"]) for row in reversed(rows)] == [
        ("xn--pple-43d.no", ["lookalike", "mixed_scripts"]),
        ("fjell.no", ["role_account"]),
        ("gmial.com", ["likely_typo"]),
        ("fjell.no", []),
        ("xn--exmple-cua.no", []),
    ]
    table = milepost("signups", "list", "--odd")
    assert "mixed scripts" in table.out
    assert "role account" in table.out
    assert "likely typo" in table.out
    assert "exämple" not in table.out
    assert "\u0430" not in milepost("signups", "list").out
