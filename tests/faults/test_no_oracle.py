"""E-04 against the real web process, with a real worker deciding behind it: how long an answer takes tells nothing."""

import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from service.domain.addresses import parse_address
from service.domain.surges import Ceilings
from service.domain.tokens import Keys, Token, TokenKind
from service.domain.words import Channel, Language, Purpose, SignupState, SuppressionReason
from service.store import suppressions
from service.store.schema import Signup
from service.store.transaction import Transaction
from service.usecases import subscribing, unsubscribing, wording
from tests.faults.house import FaultHouse, fault_house
from tests.usecases.builders import BUTTON_EVIDENCE, FORM_EVIDENCE, THREE_DAYS, a_request, purpose_flag

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

TIMES = 200
APART_AT_MOST = 0.050
NO_CEILING = Ceilings(10**6, 10**6)

OUTCOMES = {
    "new": SignupState.ASKED,
    "pending": SignupState.ASKED,
    "active": SignupState.ALREADY_ACTIVE,
    "unsubscribed": SignupState.ASKED,
    "suppressed": SignupState.SUPPRESSED,
    "rate-limited": SignupState.LIMITED,
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FaultHouse]:
    with fault_house(tmp_path) as house:
        house.environment |= {
            "MILEPOST_TRUSTED_PROXIES": "127.0.0.0/8",
            "MILEPOST_SIGNUP_DOMAIN_PER_HOUR": "100000",
            "MILEPOST_SIGNUP_FORM_PER_HOUR": "100000",
        }
        yield house


def addresses(state: str) -> list[str]:
    """TIMES of them, all equally long: nothing in the request differs from state to state."""
    number = list(OUTCOMES).index(state)
    return [f"reader-{number}-{n:03d}@domain-{number}-{n:03d}.no" for n in range(TIMES)]


class Past:
    """Brings addresses into their states the way readers get there, some days ago."""

    def __init__(self, house: FaultHouse) -> None:
        self.house = house
        self.keys = Keys(house.environment["MILEPOST_SECRET_KEY"])

    def prepare(self) -> None:
        for state, days_ago in (("pending", 3), ("active", 3), ("unsubscribed", 3), ("rate-limited", 0)):
            with self.house.transaction() as tx:
                past = Transaction(tx.session, tx.now - timedelta(days=days_ago))
                ids = self._sign_up(past, addresses(state))
                if state in ("active", "unsubscribed"):
                    self._confirm(past, ids)
                if state == "unsubscribed":
                    self._unsubscribe(past, ids)
        with self.house.transaction() as tx:
            for address in addresses("suppressed"):
                fingerprint = self.keys.address_hmac(address)
                reason = SuppressionReason.COMPLAINT
                suppressions.add_suppression(tx, address_hmac=fingerprint, reason=reason, source="test")

    def _sign_up(self, tx: Transaction, typed: list[str]) -> list[int]:
        asked = a_request(tx)
        ids = [
            subscribing.receive_signup(tx, self.keys, replace(asked, address=parse_address(text)), FORM_EVIDENCE)
            for text in typed
        ]
        while subscribing.process_signups(tx, self.keys.ledger, THREE_DAYS, ceilings=NO_CEILING):
            pass
        return ids

    def _confirm(self, tx: Transaction, ids: list[int]) -> None:
        for signup_id in ids:
            token = self.keys.seal(Token(TokenKind.CONFIRM, signup_id))
            done = subscribing.confirm_subscription(tx, self.keys, token, BUTTON_EVIDENCE)
            assert isinstance(done, subscribing.Confirmed)

    def _unsubscribe(self, tx: Transaction, ids: list[int]) -> None:
        for signup in tx.session.scalars(select(Signup).where(Signup.id.in_(ids))).all():
            flag = purpose_flag(Purpose.DIGEST)
            token = self.keys.seal(Token(TokenKind.UNSUBSCRIBE, signup.subscriber_id or 0, 0, signup.list_id, flag))
            unsubscribing.unsubscribe(tx, self.keys, token, Channel.PAGE, BUTTON_EVIDENCE)


def form_token(house: FaultHouse, keys: Keys) -> str:
    """Of a form that was opened a minute ago."""
    with house.transaction() as tx:
        form = wording.get_form(tx, "hub", Language.EN)
        opened = int((tx.now.timestamp() - 60) * 1000)
    return keys.seal(Token(TokenKind.FORM, form.id, opened, list(Language).index(Language.EN)))


@pytest.mark.requirement("E-04")
def test_status_headers_body_and_time_are_the_same_for_every_address(house: FaultHouse) -> None:
    house.start("sink", "web", "interactive")
    url = house.environment["MILEPOST_PUBLIC_URL"].replace("localhost", "127.0.0.1")
    house.wait_until("the web answers", lambda: _answers(url))
    past = Past(house)
    past.prepare()
    token = form_token(house, past.keys)
    order = [(state, address) for state in OUTCOMES for address in addresses(state)]
    random.Random(4).shuffle(order)
    warm_up = [("warm-up", f"reader-w-{n:03d}@domain-w-{n:03d}.no") for n in range(30)]
    times: dict[str, list[float]] = {state: [] for state in (*OUTCOMES, "warm-up")}
    answers: dict[str, set[str]] = {state: set() for state in times}
    with house.transaction() as tx:
        before = tx.session.scalar(select(func.max(Signup.id))) or 0
    with httpx.Client(base_url=url) as client:
        for n, (state, address) in enumerate(warm_up + order):
            body = {
                "form": "hub",
                "language": "en",
                "address": address,
                "purposes": "digest",
                "topics": "running",
                "token": token,
            }
            network = {"X-Forwarded-For": f"{20 + n // 250}.{n % 250}.9.9"}
            start = time.perf_counter()
            answer = client.post("/subscribe", data=body, headers=network)
            times[state].append(time.perf_counter() - start)
            headers = sorted((k, v) for k, v in answer.headers.items() if k != "date")
            answers[state].add(str((answer.status_code, headers, answer.content)))
    everything = set().union(*answers.values())
    assert len(everything) == 1, "one answer, whoever asks about whom"
    assert "303" in next(iter(everything))
    medians = {state: statistics.median(times[state]) for state in OUTCOMES}
    assert [len(times[state]) for state in OUTCOMES] == [TIMES] * len(OUTCOMES)
    assert max(medians.values()) - min(medians.values()) < APART_AT_MOST, medians
    everybody = len(order) + len(warm_up)
    house.wait_until("the worker has decided", lambda: _decided_since(house, before) == everybody, seconds=300)
    assert _outcomes_since(house, before) == {state: {outcome} for state, outcome in OUTCOMES.items()}


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def _decided_since(house: FaultHouse, before: int) -> int:
    with house.transaction() as tx:
        decided = select(func.count()).where(Signup.id > before, Signup.state != SignupState.RECEIVED)
        return tx.session.scalar(decided) or 0


def _outcomes_since(house: FaultHouse, before: int) -> dict[str, set[SignupState]]:
    """That the addresses really were in six different states."""
    found: dict[str, set[SignupState]] = {state: set() for state in OUTCOMES}
    with house.transaction() as tx:
        for signup in tx.session.scalars(select(Signup).where(Signup.id > before)):
            number = (signup.address or "").split("-")[1]
            if number.isdecimal():
                found[list(OUTCOMES)[int(number)]].add(signup.state)
    return found
