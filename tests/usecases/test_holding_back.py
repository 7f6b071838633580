"""E-05: a flood of sign-ups for one domain, or by one form, is held; nobody is mailed until it is over."""

import json
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import func, select, text, update

from service.domain.addresses import parse_address
from service.domain.surges import Ceilings
from service.domain.words import Lane, MailKind, SignupState, SuppressionReason
from service.errors import ServiceError
from service.ports import Hint
from service.store import audit, suppressions, surges
from service.store.schema import Delivery, Signup
from service.store.transaction import Transaction
from service.usecases import holding_back, subscribing
from service.usecases.subscribing import ConfirmationExpired
from tests.conftest import FrozenClock
from tests.usecases.builders import (
    BUTTON_EVIDENCE,
    FORM_EVIDENCE,
    KEYS,
    THREE_DAYS,
    a_request,
    confirm_token,
    mails,
    sign_up,
)

HELD, ASKED, LIMITED, EXPIRED = SignupState.HELD, SignupState.ASKED, SignupState.LIMITED, SignupState.EXPIRED
CEILINGS = Ceilings()

pytestmark = pytest.mark.requirement("E-05")


def later(tx: Transaction, clock: FrozenClock, **delta: float) -> None:
    clock.advance(**delta)
    tx.now = clock.now()


def decide_all(tx: Transaction, ceilings: Ceilings = CEILINGS) -> None:
    while subscribing.process_signups(tx, KEYS.ledger, THREE_DAYS, ceilings=ceilings):
        pass
    tx.session.expire_all()


def flood(tx: Transaction, number: int, domain: str = "victim.no", *, start: int = 0) -> list[int]:
    """That many mailboxes of one domain, one sign-up each."""
    asked = a_request(tx)
    requests = [replace(asked, address=parse_address(f"reader{start + n}@{domain}")) for n in range(number)]
    return [subscribing.receive_signup(tx, KEYS, request, FORM_EVIDENCE) for request in requests]


def states(tx: Transaction, ids: list[int]) -> list[SignupState]:
    rows = tx.session.execute(select(Signup.id, Signup.state).where(Signup.id.in_(ids)))
    found = {row.id: row.state for row in rows}
    return [found[signup_id] for signup_id in ids]


def usual(tx: Transaction, domain: str, an_hour: int, *, hours: int = 7 * 24) -> None:
    """The week that the domain has behind it: so many sign-ups in each hour, all mailed."""
    like = sign_up(tx, f"like@{domain}")
    decide_all(tx)
    tx.session.execute(
        text(
            """
            INSERT INTO signups (abuse_hmac, domain_hmac, language, list_id, purposes, topic_ids, form_id,
                                 statement_ids, notice_id, state, mailed, created_at, decided_at)
            SELECT sha256((h || ' ' || n)::bytea), domain_hmac, language, list_id, purposes, topic_ids, form_id,
                   statement_ids, notice_id, 'confirmed', true, at, at
            FROM signups, generate_series(1, :hours) h, generate_series(1, :an_hour) n,
                 LATERAL (SELECT :now - make_interval(hours => h, mins => 30) AS at) a
            WHERE signups.id = :id
            """
        ),
        {"hours": hours, "an_hour": an_hour, "now": tx.now, "id": like},
    )
    tx.session.execute(update(Signup).where(Signup.id == like).values(created_at=tx.now.replace(year=2020)))
    tx.session.execute(text("DELETE FROM deliveries"))
    tx.session.expire_all()


class TestHolding:
    def test_thirty_mailboxes_of_a_domain_are_mailed_in_an_hour_and_further_ones_held(self, tx):
        ids = flood(tx, 40)
        other = sign_up(tx, "anna@fjell.no")
        decide_all(tx)
        assert states(tx, ids) == [ASKED] * 30 + [HELD] * 10
        assert states(tx, [other]) == [ASKED]
        assert mails(tx) == [MailKind.CONFIRMATION] * 31

    def test_the_thirty_are_those_of_any_hour(self, tx, clock):
        first = flood(tx, 20)
        later(tx, clock, minutes=50)
        second = flood(tx, 20, start=100)
        decide_all(tx)
        assert states(tx, first + second) == [ASKED] * 30 + [HELD] * 10
        later(tx, clock, minutes=11)
        third = flood(tx, 11, start=200)
        decide_all(tx)
        assert states(tx, third) == [ASKED] * 10 + [HELD]

    def test_what_is_usual_for_a_domain_is_no_surge(self, tx):
        usual(tx, "large.no", 4)
        ids = flood(tx, 45, "large.no")
        decide_all(tx)
        assert states(tx, ids) == [ASKED] * 39 + [HELD] * 6

    def test_a_busy_night_does_not_make_a_flood_usual(self, tx):
        """The median: 80 hours of an attack in a week of 168 change nothing."""
        usual(tx, "large.no", 30, hours=80)
        ids = flood(tx, 32, "large.no")
        decide_all(tx)
        assert states(tx, ids) == [ASKED] * 30 + [HELD] * 2

    def test_a_thousand_forms_for_one_victim_hold_nobody_elses(self, tx):
        """Mailboxes are counted, so that one attacker of one mailbox cannot have a whole provider held."""
        ids = [sign_up(tx, f"v.ictim+{n}@gmail.com") for n in range(35)]
        bystander = sign_up(tx, "bystander@gmail.com")
        decide_all(tx)
        assert states(tx, [*ids, bystander]) == [ASKED] + [LIMITED] * 34 + [ASKED]

    def test_a_form_has_a_ceiling_whatever_the_domains(self, tx):
        ids = [sign_up(tx, f"reader@domain{n}.no") for n in range(12)]
        elsewhere = sign_up(tx, "reader@domain99.no", form="hub-one-box", topics=())
        decide_all(tx, Ceilings(30, 10))
        assert states(tx, ids) == [ASKED] * 10 + [HELD] * 2
        assert states(tx, [elsewhere]) == [ASKED]

    def test_who_would_not_be_mailed_is_not_held(self, tx):
        suppressions.add_suppression(
            tx,
            address_hmac=KEYS.address_hmac("gone@victim.no"),
            reason=SuppressionReason.COMPLAINT,
            source="test",
        )
        flood(tx, 31)
        ids = [sign_up(tx, "gone@victim.no"), sign_up(tx, "reader0@victim.no")]
        decide_all(tx)
        assert states(tx, ids) == [SignupState.SUPPRESSED, LIMITED]

    def test_a_held_sign_up_leaves_no_reader_no_event_and_no_working_link(self, tx):
        ids = flood(tx, 31)
        decide_all(tx)
        signup = tx.session.get(Signup, ids[-1])
        assert (signup.state, signup.subscriber_id, signup.mailed) == (HELD, None, False)
        assert tx.session.scalar(text("SELECT count(*) FROM consent_events")) == 30
        confirmed = subscribing.confirm_subscription(tx, KEYS, confirm_token(ids[-1]), BUTTON_EVIDENCE)
        assert isinstance(confirmed, ConfirmationExpired)

    def test_the_log_says_so_and_names_nobody(self, tx, capsys, caplog):
        flood(tx, 33)
        decide_all(tx)
        said = capsys.readouterr().out + caplog.text
        assert "signups_held" in said
        assert KEYS.domain_hmac("victim.no").hex()[:12] in said
        assert "victim.no" not in said
        assert "reader" not in said


class TestLettingGo:
    def test_when_it_is_over_the_oldest_go_first_thirty_an_hour(self, tx, clock):
        ids = flood(tx, 100)
        decide_all(tx)
        assert states(tx, ids) == [ASKED] * 30 + [HELD] * 70
        later(tx, clock, minutes=59)
        assert holding_back.release_calmed(tx, CEILINGS) == 0, "it is not over"
        later(tx, clock, minutes=2)
        tx.hints.clear()
        assert holding_back.release_calmed(tx, CEILINGS) == 30
        assert tx.hints == [(Hint.PROCESS_SIGNUPS, Lane.INTERACTIVE, ())]
        assert holding_back.release_calmed(tx, CEILINGS) == 0, "no more within this hour"
        decide_all(tx)
        assert holding_back.release_calmed(tx, CEILINGS) == 0
        assert states(tx, ids) == [ASKED] * 60 + [HELD] * 40
        for _ in range(2):
            later(tx, clock, minutes=61)
            holding_back.release_calmed(tx, CEILINGS)
            decide_all(tx)
        assert states(tx, ids) == [ASKED] * 100
        assert tx.session.scalar(select(func.count()).select_from(Delivery)) == 100

    def test_it_is_not_over_while_more_keep_coming(self, tx, clock):
        ids = flood(tx, 40)
        for turn in range(1, 4):
            later(tx, clock, minutes=50)
            flood(tx, 40, start=turn * 1000)
            decide_all(tx)
            assert holding_back.release_calmed(tx, CEILINGS) == 0
        assert states(tx, ids)[30:] == [HELD] * 10

    def test_another_domain_need_not_wait(self, tx, clock):
        calm = flood(tx, 32, "calm.no")
        decide_all(tx)
        later(tx, clock, minutes=61)
        flood(tx, 60)
        decide_all(tx)
        assert holding_back.release_calmed(tx, CEILINGS) == 2
        decide_all(tx)
        assert states(tx, calm) == [ASKED] * 32

    def test_a_form_lets_go_within_its_ceiling(self, tx, clock):
        ceilings = Ceilings(30, 10)
        ids = [sign_up(tx, f"reader@domain{n}.no") for n in range(25)]
        decide_all(tx, ceilings)
        assert states(tx, ids) == [ASKED] * 10 + [HELD] * 15
        assert holding_back.release_calmed(tx, ceilings) == 0
        later(tx, clock, minutes=61)
        assert holding_back.release_calmed(tx, ceilings) == 10
        decide_all(tx, ceilings)
        assert states(tx, ids) == [ASKED] * 20 + [HELD] * 5

    def test_after_a_day_nobody_waits_for_a_mail_any_more(self, tx, clock):
        ids = flood(tx, 31)
        decide_all(tx)
        later(tx, clock, hours=24)
        assert holding_back.release_calmed(tx, CEILINGS) == 0
        tx.session.expire_all()
        assert states(tx, ids)[-1] is EXPIRED
        assert len(mails(tx)) == 30

    def test_the_limit_per_address_holds_for_them_too(self, tx, clock):
        flood(tx, 30)
        ids = [sign_up(tx, "late@victim.no") for _ in range(3)]
        decide_all(tx)
        assert states(tx, ids) == [HELD] * 3
        later(tx, clock, minutes=61)
        assert holding_back.release_calmed(tx, CEILINGS) == 3
        decide_all(tx)
        assert states(tx, ids) == [ASKED, LIMITED, LIMITED]

    def test_two_sweeps_at_once_let_go_no_more(self, tx, clock, shared_engine):
        flood(tx, 40)
        decide_all(tx)
        later(tx, clock, minutes=61)
        with shared_engine.connect() as other, other.begin():
            other.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": surges.LOCK})
            assert holding_back.release_calmed(tx, CEILINGS) == 0
        assert holding_back.release_calmed(tx, CEILINGS) == 10


class TestOperators:
    @pytest.fixture
    def held(self, tx) -> list[int]:
        ids = flood(tx, 33) + flood(tx, 31, "xn--exmple-cua.no")
        decide_all(tx)
        return ids[30:33] + ids[63:]

    def test_they_see_domains_as_mailed_to(self, tx, held):
        found = holding_back.list_surges(tx)
        assert [(s.domain, s.form, s.held, s.last_hour, s.usual_hour) for s in found] == [
            ("victim.no", "hub", 3, 33, 0.0),
            ("xn--exmple-cua.no", "hub", 1, 31, 0.0),
        ]
        assert isinstance(found[0].oldest_at, datetime)

    def test_they_let_a_domain_go_though_the_surge_goes_on(self, tx, held):
        chosen = holding_back.choose_held(tx, [], domain="Victim.no", form=None)
        assert chosen == set(held[:3])
        assert holding_back.release(tx, chosen, by="ada", reason="our own campaign") == 3
        flood(tx, 5, start=500)
        decide_all(tx)
        assert states(tx, held) == [ASKED] * 3 + [HELD]
        [entry] = audit.list_entries(tx)
        assert (entry.actor, entry.act, entry.reason) == ("ada", "signups_released", "our own campaign")
        assert entry.details == {"signup_ids": held[:3]}
        assert "victim" not in json.dumps(entry.details)

    def test_they_drop_some_and_nobody_is_mailed(self, tx, held, clock):
        before = len(mails(tx))
        assert holding_back.drop(tx, held[1:3], by="ada", reason="list bombing") == 2
        later(tx, clock, hours=2)
        holding_back.release_calmed(tx, CEILINGS)
        decide_all(tx)
        assert states(tx, held) == [ASKED, EXPIRED, EXPIRED, ASKED]
        assert len(mails(tx)) == before + 2
        assert audit.list_entries(tx)[0].act == "signups_dropped"

    @pytest.mark.parametrize("act", [holding_back.release, holding_back.drop])
    def test_what_is_not_held_is_refused_whole(self, tx, held, act):
        with pytest.raises(ServiceError, match="nothing was done") as refused:
            act(tx, [held[0], 987_654], by="ada", reason="because")
        assert refused.value.code == "signups_not_held"
        assert states(tx, held) == [HELD] * 4

    @pytest.mark.parametrize(
        ("ids", "domain", "form", "code"),
        [
            ([], None, None, "signups_unclear"),
            ([1], "victim.no", None, "signups_unclear"),
            ([], "fjell.no", None, "signups_not_held"),
            ([], None, "hub-one-box", "signups_not_held"),
        ],
    )
    def test_they_have_to_say_which(self, tx, held, ids, domain, form, code):
        with pytest.raises(ServiceError) as refused:
            holding_back.choose_held(tx, ids, domain=domain, form=form)
        assert refused.value.code == code

    def test_it_needs_a_reason(self, tx, held):
        with pytest.raises(ServiceError, match="needs a reason"):
            holding_back.release(tx, held, by="ada", reason="")
        assert states(tx, held) == [HELD] * 4
