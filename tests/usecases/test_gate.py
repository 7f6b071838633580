"""The gate: whatever happens in whatever order, mail leaves exactly while the law lets it (D-03, invariant 2)."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Connection

from service.domain.words import Channel, Purpose, SuppressionReason
from service.store import claims
from tests.usecases.gate.machine import Gate

STEPS = 40


def run_histories(connection: Connection, directory: Path, number: int) -> int:
    """Returns how many mails there were that might leave, over all histories. Raises AssertionError for a breach."""
    allowed = 0

    class Watched(Gate):
        def teardown(self) -> None:
            nonlocal allowed
            super().teardown()
            allowed += self.allowed

    Watched.connection, Watched.directory = connection, directory
    run_state_machine_as_test(
        Watched,
        settings=settings(
            max_examples=number,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.reuse, Phase.generate],  # a breach is told as it was found: to shorten it takes minutes
        ),
    )
    return allowed


@pytest.mark.requirement("D-03")
@pytest.mark.parametrize("histories", [10, pytest.param(40, marks=pytest.mark.long)])
def test_no_sending_path_mails_without_consent_in_force(connection: Connection, tmp_path: Path, histories: int) -> None:
    """Campaigns, digests, welcomes, confirmations, questions, links and tests, over random histories; and whoever may
    be mailed is, so that a gate which lets nothing through does not pass."""
    assert run_histories(connection, tmp_path, histories) > histories, "the histories must contain mail that may leave"


LIST_AND_PURPOSE = "b.subscriber_id = d.subscriber_id AND b.list_id = d.list_id AND b.purpose = d.purpose"
ON_ITS_LIST = "AND (x.list_id IS NULL OR x.list_id = d.list_id)"
ASKS = "d.kind IN ('confirmation', 'repermission')"
ANNA, BEN, ANNAS_OTHER = "anna@fjell.no", "ben@fjell.no", "anna@dal.no"


def campaign_to_anna(gate: Gate) -> None:
    gate.campaign_is_ordered(on=0, purpose=Purpose.OFFERS, planned=True)


def anna_leaves(gate: Gate, *, everything: bool = False) -> None:
    gate.unsubscribes(index=0, on=0, purpose=Purpose.OFFERS, everything=everything, channel=Channel.PAGE)


def tried_out(gate: Gate, address: str) -> None:
    gate.campaign_is_tried_out(on=0, purpose=Purpose.OFFERS, address=address)


def barred(gate: Gate, address: str, reason: SuppressionReason, on: int | None = None) -> None:
    gate.is_suppressed(address=address, reason=reason, on=on)


def asked(gate: Gate, address: str = BEN) -> None:
    gate.signs_up(address=address, ticked={Purpose.OFFERS})


def answered(gate: Gate) -> None:
    gate.presses_the_button(index=len(gate.law.signups) - 1)


# What is wrong → (words of the claim, what stands there instead, what happens before mail goes out).
WEAKER: dict[str, tuple[str, str, Callable[[Gate], object]]] = {
    "any list": (
        LIST_AND_PURPOSE,
        LIST_AND_PURPOSE.replace("AND b.list_id = d.list_id ", ""),
        lambda g: (g.agrees_on_the_other_list(index=0, purpose=Purpose.OFFERS), campaign_to_anna(g), anna_leaves(g)),
    ),
    "any purpose": (
        LIST_AND_PURPOSE,
        LIST_AND_PURPOSE.replace(" AND b.purpose = d.purpose", ""),
        lambda g: (campaign_to_anna(g), anna_leaves(g)),
    ),
    "any state": ("AND b.state = 'active')", ")", lambda g: (campaign_to_anna(g), anna_leaves(g, everything=True))),
    "a question never closes": (ASKS, "false", lambda g: (asked(g), answered(g))),
    "re-permission never closes": (
        ASKS,
        "d.kind = 'confirmation'",
        lambda g: (g.is_imported(address=BEN, has_evidence=False), answered(g)),
    ),
    "a question is too old": ("AND g.expires_at > :now", "", lambda g: (asked(g), g.clock.advance(hours=80))),
    "the old address decides about a change": (
        "coalesce(h.address_hmac, s.address_hmac,",
        "coalesce(s.address_hmac, h.address_hmac,",
        lambda g: (
            g.wants_another_address(index=0, address=ANNAS_OTHER),
            barred(g, ANNAS_OTHER, SuppressionReason.COMPLAINT),
        ),
    ),
    "an order for one list is nothing": (
        ON_ITS_LIST,
        "AND x.list_id IS NULL",
        lambda g: (campaign_to_anna(g), barred(g, ANNA, SuppressionReason.MANUAL, on=0)),
    ),
    "an order for another list counts": (
        ON_ITS_LIST,
        "",
        lambda g: (campaign_to_anna(g), barred(g, ANNA, SuppressionReason.MANUAL, on=1)),
    ),
    "a lifted order goes on": (
        "AND x.lifted_at IS NULL",
        "",
        lambda g: (
            barred(g, ANNA, SuppressionReason.MANUAL),
            g.orders_are_lifted(address=ANNA),
            campaign_to_anna(g),
        ),
    ),
    "every order yields to a confirmation": (
        "AND x.reason = ANY(:liftable)",
        "",
        lambda g: (asked(g), barred(g, BEN, SuppressionReason.COMPLAINT)),
    ),
    "no order yields to a confirmation": (
        "AND x.reason = ANY(:liftable)",
        "AND false",
        lambda g: (asked(g), barred(g, BEN, SuppressionReason.PERMANENT_BOUNCE)),
    ),
    "whoever unsubscribed sees nothing": (
        "x.reason = 'unsubscribe_all'",
        "false",
        lambda g: (barred(g, ANNA, SuppressionReason.UNSUBSCRIBE_ALL), g.asks_for_the_private_link(index=0)),
    ),
    "a pause is nothing": (
        "s.paused_until > :now",
        "false",
        lambda g: (campaign_to_anna(g), g.pauses_or_goes_on(index=0, days=30)),
    ),
    "a test goes to anybody": (
        "s.address_hmac, t.hmac)",
        "s.address_hmac)",
        lambda g: (tried_out(g, BEN), barred(g, BEN, SuppressionReason.MANUAL)),
    ),
    "a test goes to who left": (
        "AND b.state = 'unsubscribed')",
        "AND false)",
        lambda g: (tried_out(g, ANNA), anna_leaves(g)),
    ),
}


@pytest.mark.requirement("D-03")
@pytest.mark.parametrize("wrong", WEAKER)
def test_a_gate_without_one_of_its_conditions_breaks_the_law(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """For each condition of the claim a history that the gate gets right, and without the condition wrong."""
    said, instead, happens = WEAKER[wrong]
    Gate.connection, Gate.directory = connection, tmp_path

    def live() -> None:
        gate = Gate()
        try:
            gate.some_have_joined(members={ANNA})
            gate.mail_goes_out()
            gate.clock.advance(days=2)
            happens(gate)
            gate.mail_goes_out()
            assert gate.allowed, "the history must contain mail that may leave"
        finally:
            gate.undone.rollback()

    live()
    for name in ("_CLAIM_CAMPAIGN", "_CLAIM_INTERACTIVE"):
        claim = getattr(claims, name)
        assert claim.count(said) == 1, said
        monkeypatch.setattr(claims, name, claim.replace(said, instead))
    with pytest.raises(AssertionError, match=r"left for|was not skipped|may leave, but"):
        live()
