"""The wire with PIPELINING and over many connections: groups half answered, losses on the way, limits, two relays."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from service.demo.servers import free_port
from service.domain.outcomes import Message, Outcome, Phase
from service.domain.relay_watch import TroubleKind
from service.domain.words import RelayTls
from service.mail import smtp_limits as limits
from service.mail.smtp import Relay, SmtpTransport
from tests.mail.pipelining import CLOSE, SILENCE, PipeliningRelay
from tests.usecases.sending import MemoryJournal

NOT_FOUND = b"550 5.1.1 no such user\r\n"
OUT_OF_ORDER = b"503 5.5.1 out of order\r\n"


def a_relay(port: int, tls: RelayTls = RelayTls.NONE, password: str | None = None) -> Relay:
    return Relay("127.0.0.1", port, tls, "milepost" if password else None, password, "client.example")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    return request.param  # type: ignore[no-any-return]


@contextmanager
def transport_to(port: int, **options: Any) -> Iterator[SmtpTransport]:
    transport = SmtpTransport(a_relay(port), MemoryJournal(), **{"connections": 2, **options})
    yield transport
    transport.close()


def messages(number: int, data: bytes = b"Subject: x\r\n\r\nHello.\r\n") -> list[Message]:
    return [Message(n, f"b+t{n}@bounce.example", f"r{n}@x.example", data) for n in range(1, number + 1)]


def send(transport: SmtpTransport, what: list[Message]) -> dict[int, Outcome]:
    told = [outcome for outcome in transport.send(what) if outcome is not None]
    outcomes = {outcome.delivery_id: outcome for outcome in told}
    assert len(told) == len(outcomes) == len(what), "one outcome for each message"
    return outcomes


def phases(outcomes: dict[int, Outcome]) -> list[tuple[Phase, int | None]]:
    return [(outcome.phase, outcome.code) for _, outcome in sorted(outcomes.items())]


GOOD = (Phase.EOM, 250)


def test_an_envelope_is_one_group_and_the_next_one_follows_the_final_dot() -> None:  # RFC 2920 §3.1
    with PipeliningRelay() as relay, transport_to(relay.port, connections=1) as transport:
        transport.eager = True
        assert phases(send(transport, messages(3))) == [GOOD] * 3
        assert relay.packets[1] == b"MAIL FROM:<b+t1@bounce.example>\r\nRCPT TO:<r1@x.example>\r\nDATA\r\n"
        assert relay.packets[2].endswith(
            b"Hello.\r\n.\r\nMAIL FROM:<b+t2@bounce.example>\r\nRCPT TO:<r2@x.example>\r\nDATA\r\n"
        )
        assert relay.packets[4].endswith(b"Hello.\r\n.\r\n")
        assert len(relay.packets) == 5


def test_one_connection_alone_asks_for_the_next_message_when_the_last_is_told() -> None:
    with PipeliningRelay() as relay, transport_to(relay.port, connections=1) as transport:
        assert phases(send(transport, messages(2))) == [GOOD] * 2
        assert [packet[:4] for packet in relay.packets] == [b"EHLO", b"MAIL", b"Subj", b"MAIL", b"Subj"]


@pytest.mark.parametrize("offers", ["PIPELINING", "SIZE 100000"])
def test_replies_in_packets_of_one_octet_are_the_same_replies(
    offers: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    says = {"RCPT": [b"250-2.1.5 this\r\n250 2.1.5 and that\r\n", NOT_FOUND]}
    with PipeliningRelay(says, offers=offers, split=True) as relay:
        with transport_to(relay.port, new_loop=new_loop) as transport:
            outcomes = send(transport, messages(6))
        assert sorted(phases(outcomes)) == sorted([GOOD] * 5 + [(Phase.RCPT, 550)])
        assert len(relay.taken) == 5


def test_data_let_through_for_nobody_gets_a_lone_dot_and_nobody_gets_a_mail() -> None:  # RFC 2920 §3.1
    says = {"RCPT": [NOT_FOUND], "EOM": [b"554 5.5.1 no valid recipients\r\n"]}
    with PipeliningRelay(says) as relay, transport_to(relay.port) as transport:
        refused, taken = phases(send(transport, messages(2)))
        assert (refused, taken) == ((Phase.RCPT, 550), GOOD)
        assert relay.all_heard.count(".") == 1
        assert [to for to, _ in relay.taken] == ["r2@x.example"]
        assert ("started", 1) not in transport._journal.events  # type: ignore[attr-defined]


@pytest.mark.parametrize("data", [b"503 5.5.1 no recipients\r\n", b"554 5.5.1 no valid recipients\r\n"])
def test_a_group_refused_at_its_recipient_is_reset(data: bytes) -> None:
    with PipeliningRelay({"RCPT": [NOT_FOUND], "DATA": [data]}) as relay, transport_to(relay.port) as transport:
        assert phases(send(transport, messages(2))) == [(Phase.RCPT, 550), GOOD]
        assert relay.all_heard.count("RSET") == 1
        assert len(relay.heard) == 1


@pytest.mark.parametrize("data", [OUT_OF_ORDER, b"354 go on\r\n"])
def test_a_group_refused_at_its_sender_says_so_whatever_the_rest_is_answered_with(data: bytes) -> None:
    says = {"MAIL": [b"451 4.3.1 no room\r\n"], "RCPT": [OUT_OF_ORDER], "DATA": [data]}
    if data.startswith(b"354"):
        says["EOM"] = [OUT_OF_ORDER]
    with PipeliningRelay(says) as relay, transport_to(relay.port) as transport:
        first, second = phases(send(transport, messages(2)))
        assert (first, second) == ((Phase.MAIL, 451), GOOD)
        assert [to for to, _ in relay.taken] == ["r2@x.example"]


def test_a_refused_message_does_not_spoil_the_envelope_behind_it() -> None:
    says = {"EOM": [b"554 5.7.1 not this\r\n"]}
    with PipeliningRelay(says) as relay, transport_to(relay.port) as transport:
        assert sorted(phases(send(transport, messages(5)))) == sorted([(Phase.EOM, 554)] + [GOOD] * 4)


@pytest.mark.parametrize(
    ("said", "code"), [(b"421 4.3.2 closing\r\n" + CLOSE, 421), (CLOSE, None), (b"25x what\r\n", None)]
)
def test_a_connection_lost_at_the_final_dot_loses_one_answer_and_the_next_message_goes_elsewhere(
    said: bytes, code: int | None, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with (
        PipeliningRelay({"EOM": [said]}) as relay,
        transport_to(relay.port, connections=1, new_loop=new_loop) as transport,
    ):
        transport.eager = True
        outcomes = send(transport, messages(3))
        assert phases(outcomes) == [(Phase.EOM, code), GOOD, GOOD]
        assert [to for to, _ in relay.taken] == ["r1@x.example", "r2@x.example", "r3@x.example"]
        assert len(relay.heard) == 2


def test_an_answer_that_nobody_asked_for_ends_the_dialogue_before_anything_is_believed() -> None:
    says = {"DATA": [b"354 go\r\n250 2.0.0 taken already\r\n"]}
    with PipeliningRelay(says) as relay, transport_to(relay.port) as transport:
        outcomes = send(transport, messages(2))
        assert phases(outcomes) == [(Phase.DATA, None), GOOD]
        assert outcomes[1].text == limits.UNREADABLE


@pytest.mark.parametrize(
    "said", [b"250-one\r\n451 two\r\n", b"999 what\r\n", b"250" + b"-x" * 40_000, b"250-x\r\n" * 12_000, b"\r\n"]
)
def test_what_cannot_be_read_after_the_final_dot_is_no_answer(said: bytes) -> None:
    with PipeliningRelay({"EOM": [said]}) as relay, transport_to(relay.port, connections=1) as transport:
        outcomes = send(transport, messages(1))
        assert (outcomes[1].phase, outcomes[1].code, outcomes[1].text) == (Phase.EOM, None, limits.UNREADABLE)


@pytest.mark.parametrize("silent", ["MAIL", "RCPT", "DATA", "EOM"])
def test_silence_within_a_group_is_of_the_phase_that_was_not_answered(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OTHER_REPLY_SECONDS", 0.2)
    monkeypatch.setattr(limits, "REPLY_SECONDS", {Phase.DATA: 0.2, Phase.EOM: 0.2})
    after = {"MAIL": ["MAIL", "RCPT", "DATA"], "RCPT": ["RCPT", "DATA"]}.get(silent, [silent])
    with (
        PipeliningRelay({verb: [SILENCE] for verb in after}) as relay,
        transport_to(relay.port, connections=1) as transport,
    ):
        outcomes = send(transport, messages(2))
        assert phases(outcomes)[0] == (Phase[silent], None)
        assert outcomes[1].text == limits.NO_ANSWER
        assert phases(outcomes)[1] == GOOD


def test_what_was_said_in_clear_behind_the_answer_to_starttls_is_not_believed() -> None:  # RFC 3207 §6
    says = {"STARTTLS": [b"220 ready\r\n250-relay.example\r\n250 AUTH PLAIN\r\n"]}
    with PipeliningRelay(says, offers="PIPELINING|STARTTLS") as relay:
        transport = SmtpTransport(a_relay(relay.port, RelayTls.REQUIRED, "secret"), MemoryJournal())
        outcomes = send(transport, messages(1))
        transport.close()
        assert phases(outcomes) == [(Phase.TLS, None)]
        assert "in clear" in outcomes[1].text
        assert relay.packets == [b"EHLO client.example\r\n", b"STARTTLS\r\n"], "nothing was said ahead"


def test_size_is_declared_and_too_much_is_refused_here() -> None:  # RFC 1870 §6
    with PipeliningRelay(offers="PIPELINING|SIZE 100") as relay, transport_to(relay.port) as transport:
        (small,) = messages(1)
        large = Message(2, "b@bounce.example", "r2@x.example", b"x" * 99 + b"\r\n")
        outcomes = send(transport, [small, large])
        assert phases(outcomes) == [GOOD, (Phase.MAIL, 552)]
        assert (outcomes[2].enhanced, outcomes[2].relay) == ("5.3.4", "milepost")
        assert f"MAIL FROM:<b+t1@bounce.example> SIZE={len(small.data)}" in relay.all_heard
        assert len(relay.taken) == 1


@pytest.mark.requirement("C-02")
def test_reports_are_asked_for_where_the_relay_can_send_them() -> None:
    with PipeliningRelay(offers="PIPELINING|DSN") as relay, transport_to(relay.port) as transport:
        send(transport, [Message(1, "b+a=b@bounce.example", "o'r+x@x.example", b"\r\nx\r\n")])
        assert relay.heard[0][1:3] == [
            "MAIL FROM:<b+a=b@bounce.example> RET=HDRS ENVID=b+2Ba+3Db",
            "RCPT TO:<o'r+x@x.example> NOTIFY=FAILURE ORCPT=rfc822;o'r+2Bx@x.example",
        ]


@pytest.mark.parametrize(("offers", "sent"), [("8BITMIME|SMTPUTF8", True), ("8BITMIME", False), ("SMTPUTF8", False)])
def test_an_address_beyond_ascii_needs_a_relay_that_knows_such(offers: str, sent: bool) -> None:  # RFC 6531
    message = Message(1, "b@bounce.example", "zoë@x.example", "Subject: ö\r\n\r\nHej.\r\n".encode())
    with PipeliningRelay(offers=f"PIPELINING|{offers}") as relay, transport_to(relay.port) as transport:
        assert phases(send(transport, [message])) == [GOOD if sent else (Phase.RCPT, 550)]
        if sent:
            assert "MAIL FROM:<b@bounce.example> SMTPUTF8 BODY=8BITMIME" in relay.all_heard
            assert relay.taken == [("zoë@x.example", message.data)]
        else:
            assert relay.taken == []


@pytest.mark.parametrize("offers", ["AUTH LOGIN", "AUTH=LOGIN", "AUTH PLAIN LOGIN"])
def test_auth_plain_and_login(offers: str) -> None:
    login = [b"334 VXNlcm5hbWU6\r\n"]
    says = {"AUTH": [b"504 5.5.4 not PLAIN\r\n", *login] if "PLAIN" in offers else login}
    says |= {"bWlsZXBvc3Q=": [b"334 UGFzc3dvcmQ6\r\n"], "c2VjcmV0": [b"235 2.7.0 welcome\r\n"]}
    with PipeliningRelay(says, offers=offers) as relay:
        transport = SmtpTransport(a_relay(relay.port, password="secret"), MemoryJournal())
        assert phases(send(transport, messages(1))) == [GOOD]
        transport.close()
        assert "c2VjcmV0" in relay.all_heard


def test_connections_are_opened_as_there_is_work_and_live_on() -> None:
    with PipeliningRelay() as relay, transport_to(relay.port, connections=4) as transport:
        send(transport, messages(1))
        assert len(relay.heard) == 1
        assert phases(send(transport, messages(400))) == [GOOD] * 400
        assert len(relay.heard) == 4
        send(transport, messages(400))
        assert len(relay.heard) == 4
        assert len(relay.taken) == 801


def test_a_relay_that_lets_in_two_gets_two() -> None:
    full = b"421 4.7.0 too many connections\r\n" + CLOSE
    says = {"greeting": [b"220 one\r\n", b"220 two\r\n", *[full] * 50]}
    with PipeliningRelay(says) as relay, transport_to(relay.port, connections=10) as transport:
        assert phases(send(transport, messages(300))) == [GOOD] * 300
        assert transport._allowed == 2
        assert len(relay.heard) <= 12


def test_a_connection_is_replaced_after_so_many_messages() -> None:  # F-06
    with PipeliningRelay() as relay, transport_to(relay.port, messages_per_connection=10) as transport:
        assert phases(send(transport, messages(100))) == [GOOD] * 100
        assert max(commands.count("<mail>") for commands in relay.heard) == 10
        assert all(commands[-1] == "QUIT" for commands in relay.heard if commands.count("<mail>") == 10)


def test_idle_connections_say_quit(monkeypatch: pytest.MonkeyPatch) -> None:  # F-06
    with PipeliningRelay() as relay, transport_to(relay.port) as transport:
        send(transport, messages(1))
        transport.rest()
        assert "QUIT" not in relay.all_heard
        monkeypatch.setattr(limits, "IDLE_SECONDS", 0.0)
        time.sleep(0.01)
        heart = threading.Thread(target=transport.rest)  # as in a worker
        heart.start()
        heart.join()
        assert relay.all_heard[-1] == "QUIT"
        assert not transport._connections
        answers = transport.send(messages(1))
        next(answers)
        transport.rest()  # somebody sends: nothing happens
        assert list(filter(None, answers)) == []
        assert phases(send(transport, messages(1))) == [GOOD]


def test_none_means_ask_again_and_none_is_told_while_nothing_happens() -> None:
    begun = time.monotonic()

    def slowly() -> Iterator[Message | None]:
        for message in messages(2):
            while time.monotonic() < begun + 0.3 * message.delivery_id:
                yield None
            yield message

    with PipeliningRelay() as relay, transport_to(relay.port) as transport:
        told = list(transport.send(slowly()))
        assert [outcome.delivery_id for outcome in told if outcome] == [1, 2]
        assert None in told


def test_what_the_caller_raises_is_raised_again_when_what_is_under_way_is_told() -> None:
    def failing() -> Iterator[Message]:
        yield from messages(3)
        raise LookupError("the caller's own")

    told: list[int] = []
    with PipeliningRelay() as relay, transport_to(relay.port) as transport:
        with pytest.raises(LookupError, match="own"):
            told.extend(outcome.delivery_id for outcome in transport.send(failing()) if outcome)
        assert sorted(told) == [1, 2, 3]
        assert len(relay.taken) == 3


# Two relays


@contextmanager
def transport_to_two(first: int, second: int) -> Iterator[SmtpTransport]:
    transport = SmtpTransport(a_relay(first), MemoryJournal(), second=a_relay(second), connections=2)
    yield transport
    transport.close()


@pytest.mark.parametrize("greeting", [b"421 4.3.2 not now\r\n" + CLOSE, b"554 5.7.1 not you\r\n", CLOSE])
def test_the_second_relay_carries_the_mail_until_the_first_one_is_well(
    greeting: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        PipeliningRelay({"greeting": [greeting]}) as first,
        PipeliningRelay() as second,
        transport_to_two(first.port, second.port) as transport,
    ):
        outcomes = send(transport, messages(20))
        assert phases(outcomes) == [GOOD] * 20
        assert {outcome.relay for outcome in outcomes.values()} == {f"127.0.0.1:{second.port}"}
        assert len(second.taken) == 20
        replaced = transport.replaced()
        assert replaced is not None
        assert (replaced.kind, replaced.relay) == (TroubleKind.REPLACED, f"127.0.0.1:{first.port}")
        assert replaced.code == (554 if greeting.startswith(b"554") else replaced.code)
        assert 0 <= replaced.lasted.total_seconds() < 60
        monkeypatch.setattr(limits, "FIRST_AGAIN_SECONDS", 0.0)
        transport._first_again_at = 0.0
        until = time.monotonic() + 10
        while transport._active.port != first.port and time.monotonic() < until:
            send(transport, messages(20))
        outcomes = send(transport, messages(5))
        assert {outcome.relay for outcome in outcomes.values()} == {f"127.0.0.1:{first.port}"}
        assert transport._active.port == first.port
        assert transport.replaced() is None


def test_when_neither_works_the_first_ones_reason_is_told_once_for_each_message() -> None:
    gone = free_port()
    with PipeliningRelay({"greeting": [b"554 5.7.1 not you\r\n"] * 9}) as second:
        with transport_to_two(gone, second.port) as transport:
            outcomes = send(transport, messages(2))
        assert phases(outcomes) == [(Phase.CONNECT, None)] * 2
        assert transport.replaced() is None, "the outcomes say it"
        assert outcomes[1].relay == f"127.0.0.1:{gone}"


def test_a_silent_first_relay_is_not_waited_for_while_there_is_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_PATIENCE_SECONDS", 0.2)
    with (
        PipeliningRelay({"greeting": [SILENCE] * 9}) as first,
        PipeliningRelay() as second,
        transport_to_two(first.port, second.port) as transport,
    ):
        assert phases(send(transport, messages(3))) == [GOOD] * 3
        assert len(second.taken) == 3
        replaced = transport.replaced()
        assert replaced is not None
        assert (replaced.phase, replaced.code, replaced.text) == (Phase.CONNECT, None, limits.NO_ANSWER)
