"""What every Transport promises (service/ports.py), asked of the relay in memory and of the wire to a real server."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import uvloop

from service.domain.outcomes import Message, Outcome, Phase
from service.domain.words import RelayTls
from service.mail.memory import MemoryTransport
from service.mail.smtp import Relay, SmtpTransport
from service.ports import Transport
from tests.contracts.relay import ScriptedRelay
from tests.usecases.sending import MemoryJournal


@dataclass
class Subject:
    transport: Transport
    journal: MemoryJournal
    taken: Callable[[], list[str]]
    """Recipients that the relay has taken."""

    def send(self, messages: Iterable[Message]) -> Iterator[Outcome]:
        """Without the moments in which nothing was heard."""
        return filter(None, self.transport.send(messages))


SCRIPT = {
    "gone@x.example": (Phase.RCPT, 550, "5.1.1", "no such user"),
    "busy@x.example": (Phase.RCPT, 451, "4.7.1", "come back later"),
    "spam@x.example": (Phase.EOM, 554, "5.7.1", "we do not want this"),
    "full@x.example": (Phase.DATA, 452, "4.3.1", "no room"),
    "lost@x.example": (Phase.EOM, None, None, ""),
    "closing@x.example": (Phase.RCPT, 421, "4.3.2", "shutting down"),
}


@pytest.fixture(params=["memory", "wire", "wire over asyncio"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    journal = MemoryJournal()
    if request.param == "memory":
        memory = MemoryTransport(journal, SCRIPT)
        yield Subject(memory, journal, lambda: [message.rcpt_to for message in memory.accepted])
        return
    with ScriptedRelay(SCRIPT) as relay:
        place = Relay("127.0.0.1", relay.port, RelayTls.NONE, None, None, "client.example")
        new_loop = uvloop.new_event_loop if request.param == "wire" else asyncio.new_event_loop
        wire = SmtpTransport(place, journal, new_loop=new_loop)
        yield Subject(wire, journal, lambda: [taken.rcpt_to for taken in relay.taken])
        wire.close()


def a_message(number: int, to: str = "ok@x.example") -> Message:
    return Message(number, "b+token@bounce.example", to, b"Subject: x\r\n\r\nHello.\r\n")


def test_each_message_has_one_outcome_and_one_refusal_spoils_nothing(subject: Subject) -> None:
    to = ["a@x.example", "gone@x.example", "busy@x.example", "spam@x.example", "full@x.example", "z@x.example"]
    outcomes = list(subject.send(a_message(n, address) for n, address in enumerate(to)))
    assert [o.delivery_id for o in outcomes] == list(range(6))
    assert [(o.phase, o.code, o.enhanced) for o in outcomes] == [
        (Phase.EOM, 250, "2.0.0"),
        (Phase.RCPT, 550, "5.1.1"),
        (Phase.RCPT, 451, "4.7.1"),
        (Phase.EOM, 554, "5.7.1"),
        (Phase.DATA, 452, "4.3.1"),
        (Phase.EOM, 250, "2.0.0"),
    ]
    assert outcomes[1].text == "no such user", "the enhanced code is kept apart from the text (C-06)"
    assert subject.taken() == ["a@x.example", "z@x.example"]


def test_messages_are_taken_one_by_one_as_they_can_start(subject: Subject) -> None:
    taken: list[int] = []

    def messages() -> Iterator[Message]:
        for number in range(5):
            taken.append(number)
            yield a_message(number)

    answers = subject.send(messages())
    assert taken == []
    next(answers)
    assert taken == [0]
    next(answers)
    assert taken == [0, 1]


def test_ending_the_iterable_ends_the_sending(subject: Subject) -> None:
    assert len(list(subject.send(a_message(n) for n in range(2)))) == 2
    assert len(subject.taken()) == 2
    assert list(subject.send([])) == []


def test_the_journal_hears_of_it_before_the_relay_and_before_anybody_else(subject: Subject) -> None:
    def messages() -> Iterator[Message]:
        yield a_message(1)
        assert subject.journal.events == [("started", 1), ("answered", 1)]
        yield a_message(2, "gone@x.example")

    seen: list[Outcome] = []
    for outcome in subject.send(messages()):
        assert subject.journal.events[-1] == ("answered", outcome.delivery_id)
        assert subject.journal.noted_outcomes[outcome.delivery_id] == outcome
        seen.append(outcome)
    assert ("started", 2) not in subject.journal.events, "refused before its data: it was never on the wire"


def test_a_journal_that_cannot_be_written_keeps_the_message_off_the_wire(subject: Subject) -> None:
    def full(delivery_id: int) -> None:
        raise OSError(28, "No space left on device")

    subject.journal.started = full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space"):
        list(subject.send([a_message(1)]))
    assert subject.taken() == []
    del subject.journal.started
    assert [o.code for o in subject.send([a_message(2, "after@x.example")])] == [250]
    assert subject.taken() == ["after@x.example"]


def test_a_lost_answer_to_the_final_dot_is_told_as_it_is_and_the_next_message_goes_on(subject: Subject) -> None:
    lost, after = subject.send([a_message(1, "lost@x.example"), a_message(2, "after@x.example")])
    assert (lost.phase, lost.code) == (Phase.EOM, None)
    assert ("started", 1) in subject.journal.events
    assert (after.phase, after.code) == (Phase.EOM, 250)
    assert "after@x.example" in subject.taken()


def test_a_relay_that_closes_is_called_again_for_the_next_message(subject: Subject) -> None:
    closing, after = subject.send([a_message(1, "closing@x.example"), a_message(2)])
    assert (closing.phase, closing.code) == (Phase.RCPT, 421)
    assert after.code == 250


def test_sending_again_after_close_opens_anew(subject: Subject) -> None:
    list(subject.send([a_message(1)]))
    subject.transport.close()
    subject.transport.close()
    assert [o.code for o in subject.send([a_message(2)])] == [250]


@contextmanager
def a_slow_greeter(greeting: bytes) -> Iterator[tuple[int, threading.Event]]:
    """A relay that greets one caller late, and an event that is set just before it does."""
    greeted = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk() -> None:
            connection, _ = listening.accept()
            with connection:
                time.sleep(0.3)
                greeted.set()
                connection.sendall(greeting)
                while connection.recv(65536):
                    connection.sendall(b"250 ok\r\n")

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield listening.getsockname()[1], greeted
        thread.join(10)


@pytest.mark.parametrize(("greeting", "refused"), [(b"220 welcome\r\n", False), (b"554 go away\r\n", True)])
def test_no_message_is_asked_for_before_the_relay_has_let_us_in(greeting: bytes, refused: bool) -> None:  # invariant 2
    asked: list[bool] = []
    with a_slow_greeter(greeting) as (port, greeted):
        relay = Relay("127.0.0.1", port, RelayTls.NONE, None, None, "client.example")
        wire = SmtpTransport(relay, MemoryJournal())

        def too_late() -> Iterator[Message]:
            asked.append(greeted.is_set())
            yield from ()

        assert list(filter(None, wire.send(too_late()))) == []
        assert asked == [True]
        if refused:
            (outcome,) = filter(None, wire.send([a_message(1)]))
            assert (outcome.phase, outcome.code) == (Phase.CONNECT, 554), "told of the next message, without calling"
        wire.close()
