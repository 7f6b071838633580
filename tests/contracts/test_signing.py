"""Mails that are signed in other threads before a real connection takes them: all of them, in order, none without."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from service.domain.outcomes import Message, Outcome, Phase
from service.domain.smtp_replies import Scope, decide_fate
from service.domain.words import RelayTls
from service.mail.signing import SIGNED_AHEAD, SigningTransport
from service.mail.smtp import Relay, SmtpTransport
from tests.contracts.relay import ScriptedRelay
from tests.usecases.sending import MemoryJournal

SIGNATURE = b"DKIM-Signature: v=1\r\n"
SCRIPT = {
    "gone@x.example": (Phase.RCPT, 550, "5.1.1", "no such user"),
    "closing@x.example": (Phase.RCPT, 421, "4.3.2", "shutting down"),
}


@pytest.fixture
def relay() -> Iterator[ScriptedRelay]:
    with ScriptedRelay(SCRIPT) as relay:
        yield relay


def sign(message: Message) -> Message:
    assert threading.current_thread() is not threading.main_thread()
    if message.rcpt_to == "unsignable@x.example":
        raise ValueError("a field without a name")
    return replace(message, data=SIGNATURE + message.data)


@pytest.fixture
def transport(relay: ScriptedRelay) -> Iterator[SigningTransport]:
    place = Relay("127.0.0.1", relay.port, RelayTls.NONE, None, None, "client.example")
    transport = SigningTransport(SmtpTransport(place, MemoryJournal()), sign)
    yield transport
    transport.close()


def a_message(number: int, to: str = "ok@x.example") -> Message:
    return Message(number, "b@bounce.example", to, b"Subject: %d\r\n\r\nHello.\r\n" % number)


def sent(transport: SigningTransport, messages: Iterator[Message | None]) -> list[Outcome]:
    return [outcome for outcome in transport.send(messages) if outcome is not None]


@pytest.mark.parametrize("number", [0, 1, 7, 8, 9, 200])
def test_all_are_signed_and_each_has_one_outcome(
    transport: SigningTransport, relay: ScriptedRelay, number: int
) -> None:
    outcomes = sent(transport, (a_message(n) for n in range(number)))
    assert sorted(outcome.delivery_id for outcome in outcomes) == list(range(number))
    assert all(outcome.code == 250 for outcome in outcomes)
    assert [taken.data.startswith(SIGNATURE) for taken in relay.taken] == [True] * number


def test_moments_with_nothing_to_send_lose_nothing(transport: SigningTransport, relay: ScriptedRelay) -> None:
    def now_and_then() -> Iterator[Message | None]:
        for number in range(30):
            yield None
            yield a_message(number)
            yield None

    assert len(sent(transport, now_and_then())) == len(relay.taken) == 30


def test_refused_and_unsignable_mails_fail_alone(transport: SigningTransport, relay: ScriptedRelay) -> None:
    people = ["ok@x.example", "gone@x.example", "unsignable@x.example", "ok@x.example"]
    outcomes = sent(transport, (a_message(n, to) for n, to in enumerate(people)))
    found = {outcome.delivery_id: (outcome.code, outcome.phase) for outcome in outcomes}
    assert found == {0: (250, Phase.EOM), 1: (550, Phase.RCPT), 2: (554, Phase.DATA), 3: (250, Phase.EOM)}
    assert len(relay.taken) == 2


def test_no_more_are_taken_than_are_signed_ahead(transport: SigningTransport) -> None:
    taken: list[int] = []

    def messages() -> Iterator[Message]:
        for number in range(1000):
            taken.append(number)
            yield a_message(number)

    answers = transport.send(messages())
    assert taken == []
    done, most = 0, 0
    while done < 100:
        done += next(answers) is not None
        most = max(most, len(taken) - done)
    answers.close()  # type: ignore[attr-defined]
    assert most <= SIGNED_AHEAD + 2, "with one or two on the wire"


def test_what_a_lost_relay_was_not_given_comes_back_untried(transport: SigningTransport, relay: ScriptedRelay) -> None:
    """As a turn does: no more is asked for once the relay cannot be used."""
    lost = False

    def messages() -> Iterator[Message]:
        for number in range(500):
            if lost:
                return
            yield a_message(number, "closing@x.example" if number == 3 else "ok@x.example")

    given: list[Outcome] = []
    for outcome in transport.send(messages()):
        if outcome is not None:
            given.append(outcome)
            lost = lost or decide_fate(outcome).scope is Scope.RELAY
    assert len({outcome.delivery_id for outcome in given}) == len(given)
    accepted = [outcome for outcome in given if outcome.code == 250]
    assert len(accepted) == len(relay.taken)
    back = [outcome for outcome in given if outcome.code != 250]
    assert len(back) > 1
    assert {decide_fate(outcome).scope for outcome in back} == {Scope.RELAY}
