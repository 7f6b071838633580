"""Milepost's wire against real mail servers: every extension on and off, every refusal, every byte."""

import smtplib
import socket
import time
from collections.abc import Iterable

import pytest

from service.domain.outcomes import Message, Outcome, Phase
from service.domain.smtp_replies import Fate, Scope, decide_fate
from service.ports import Transport
from tests.mtas.conftest import GetServer, transport_to
from tests.mtas.mails import a_mail, find_spoilt, mails, of_marker
from tests.mtas.servers import (
    ALL,
    CLOSING,
    EXTENSIONS,
    FEW,
    GONE,
    LIMIT,
    MEMBERS,
    OFFERS,
    REFUSED_SENDER,
    REFUSES,
    RIGHT,
    SMALL,
    STARTS,
    Server,
)

pytestmark = [pytest.mark.ops, pytest.mark.timeout(120)]

PATIENCE = 20.0

all_servers = pytest.mark.parametrize("name", STARTS)


def send(transport: Transport, messages: Iterable[Message]) -> list[Outcome]:
    return [outcome for outcome in transport.send(messages) if outcome is not None]


def arrived(server: Server, marker: str, number: int) -> list[bytes]:
    """What it has delivered of these, once it is `number` or patience is at an end."""
    end = time.monotonic() + PATIENCE
    while len(found := of_marker(server.mailbox(), marker)) < number and time.monotonic() < end:
        time.sleep(0.1)
    return found


def says_ehlo(port: int) -> set[str]:
    with smtplib.SMTP("127.0.0.1", port, "client.example", timeout=10) as client:
        client.ehlo()
        return {name.upper() for name in client.esmtp_features}


@all_servers
def test_the_servers_offer_what_these_tests_are_about(name: str, get_server: GetServer) -> None:
    server = get_server(name)
    for offer, hidden in OFFERS.items():
        found = says_ehlo(server.port(offer)) & set(EXTENSIONS)
        assert found == server.offers - set(hidden), offer


@pytest.mark.parametrize("offer", OFFERS)
@all_servers
def test_every_mail_arrives_once_and_as_it_was_sent(name: str, offer: str, get_server: GetServer) -> None:
    server = get_server(name)
    marker = f"{name}-{offer}".replace(" ", "-")
    sent = mails(marker)
    with transport_to(server.port(offer)) as transport:
        outcomes = send(transport, sent)
    assert sorted(outcome.delivery_id for outcome in outcomes) == [message.delivery_id for message in sent]
    assert {(outcome.phase, outcome.code) for outcome in outcomes} == {(Phase.EOM, 250)}
    stored = arrived(server, marker, len(sent))
    assert find_spoilt(sent, stored) == {}
    assert len(stored) == len(sent), "nobody twice"


@all_servers
def test_connections_live_across_batches(name: str, get_server: GetServer) -> None:
    server = get_server(name)
    sent = [a_mail(number, f"{name}-batches") for number in range(60)]
    with transport_to(server.port(ALL)) as transport:
        for start in range(0, 60, 20):
            outcomes = send(transport, sent[start : start + 20])
            assert [outcome.code for outcome in outcomes] == [250] * 20
    assert find_spoilt(sent, arrived(server, f"{name}-batches", 60)) == {}


with_tls = pytest.mark.parametrize("name", ["postfix", "exim", "aiosmtpd"])
has_starttls = pytest.mark.parametrize("name", ["postfix", "exim", "aiosmtpd", "opensmtpd"])


@with_tls
@pytest.mark.parametrize("password", [None, RIGHT])
def test_mails_arrive_over_verified_tls(name: str, password: str | None, get_server: GetServer) -> None:
    server = get_server(name)
    marker = f"{name}-tls-{'member' if password else 'stranger'}"
    sent = mails(marker)
    with transport_to(server.port(ALL), tls=True, password=password) as transport:
        assert {outcome.code for outcome in send(transport, sent)} == {250}
    assert find_spoilt(sent, arrived(server, marker, len(sent))) == {}


def test_a_relay_whose_tls_is_broken_costs_nobody_anything(get_server: GetServer) -> None:  # C-11
    """OpenSMTPD 6.8 with OpenSSL 3, as Debian 12 has them: it says STARTTLS, and fails."""
    with transport_to(get_server("opensmtpd").port(ALL), tls=True) as transport:
        outcomes = send(transport, [a_mail(1, "opensmtpd-tls")])
    assert [(outcome.phase, outcome.code) for outcome in outcomes] == [(Phase.TLS, None)]
    assert decide_fate(outcomes[0]).fate is Fate.GIVE_BACK


@has_starttls
def test_without_starttls_nothing_is_sent_where_it_is_required(name: str, get_server: GetServer) -> None:
    server = get_server(name)
    with transport_to(server.port("no STARTTLS"), tls=True) as transport:
        (outcome,) = send(transport, [a_mail(1, f"{name}-strict")])
    assert (outcome.phase, outcome.code) == (Phase.TLS, None)
    assert decide_fate(outcome).fate is Fate.GIVE_BACK
    assert of_marker(server.mailbox(), f"{name}-strict") == []


# Refusals: none of them is an exception, and each is known for what it is


def refusing(what: str) -> pytest.MarkDecorator:
    """Every server that refuses this."""
    return pytest.mark.parametrize("name", [name for name, refused in REFUSES.items() if what in refused])


def port_for(server: Server, name: str, what: str) -> int:
    return server.port(what if name == "smtp-sink" else ALL)


@refusing(GONE)
def test_an_unknown_reader_is_refused_alone(name: str, get_server: GetServer) -> None:
    server = get_server(name)
    marker = f"{name}-gone"
    people = [a_mail(1, marker), a_mail(2, marker, to=GONE), a_mail(3, marker)]
    with transport_to(port_for(server, name, GONE)) as transport:
        outcomes = {outcome.delivery_id: outcome for outcome in send(transport, people)}
    refused = outcomes[2]
    assert (refused.phase, (refused.code or 0) // 100) == (Phase.RCPT, 5)
    assert decide_fate(refused).fate is Fate.GIVE_UP
    assert GONE not in refused.text
    # OpenSMTPD speaks of an expansion that failed; smtp-sink refuses everybody there, and gives no reason.
    assert decide_fate(refused).suppress == (name not in ("opensmtpd", "smtp-sink"))
    if name != "smtp-sink":
        assert outcomes[1].code == outcomes[3].code == 250
        assert find_spoilt([people[0], people[2]], arrived(server, marker, 2)) == {}


@pytest.mark.parametrize("name", ["postfix", "exim"])
def test_a_relay_that_does_not_know_us_costs_nobody_anything(name: str, get_server: GetServer) -> None:  # C-11
    with transport_to(get_server(name).port(ALL)) as transport:
        (refused,) = send(transport, [a_mail(1, f"{name}-relaying", to="somebody@elsewhere.example")])
    assert refused.phase is Phase.RCPT
    verdict = decide_fate(refused)
    assert (verdict.fate, verdict.scope, verdict.suppress) == (Fate.GIVE_BACK, Scope.RELAY, False)


@refusing(REFUSED_SENDER)
def test_a_refused_sender_suppresses_nobody(name: str, get_server: GetServer) -> None:
    server = get_server(name)
    with transport_to(port_for(server, name, REFUSED_SENDER)) as transport:
        refused, after = send(
            transport, [a_mail(1, f"{name}-sender", sender=REFUSED_SENDER), a_mail(2, f"{name}-sender")]
        )
    assert (refused.phase, (refused.code or 0) // 100) == (Phase.MAIL, 5)
    verdict = decide_fate(refused)
    assert (verdict.fate, verdict.suppress) == (Fate.GIVE_UP, False)
    assert name == "smtp-sink" or after.code == 250


@refusing(SMALL)
def test_a_mail_that_is_too_large_is_given_up_alone(name: str, get_server: GetServer) -> None:
    server = get_server(name)
    marker = f"{name}-large"
    large = a_mail(1, marker, (b"x" * 76 + b"\r\n") * (2 * LIMIT // 78))
    with transport_to(server.port(SMALL)) as transport:
        outcomes = {outcome.delivery_id: outcome for outcome in send(transport, [large, a_mail(2, marker)])}
    assert outcomes[1].code == 552
    assert outcomes[1].phase in (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.EOM)
    assert not decide_fate(outcomes[1]).suppress
    assert decide_fate(outcomes[1]).scope is not Scope.RELAY
    assert outcomes[2].code == 250
    assert find_spoilt([a_mail(2, marker)], arrived(server, marker, 1)) == {}


@refusing(FEW)
def test_421_to_one_connection_too_many_uses_up_nobodys_attempt(name: str, get_server: GetServer) -> None:  # C-11
    server = get_server(name)
    marker = f"{name}-few"
    with (
        socket.create_connection(("127.0.0.1", server.port(FEW)), timeout=10) as somebody_else,
        transport_to(server.port(FEW)) as transport,
    ):
        assert somebody_else.recv(3) == b"220"
        outcomes = send(transport, [a_mail(1, marker)])
        assert [(outcome.phase, outcome.code) for outcome in outcomes] == [(Phase.CONNECT, 421)]
        verdict = decide_fate(outcomes[0])
        assert (verdict.fate, verdict.scope) == (Fate.GIVE_BACK, Scope.RELAY)
        somebody_else.close()
        sent = [a_mail(number, marker) for number in range(2, 12)]
        waiting = list(sent)
        end = time.monotonic() + PATIENCE
        while waiting and time.monotonic() < end:  # until the server has noticed that somebody else is gone
            done = {o.delivery_id for o in send(transport, waiting) if decide_fate(o).fate is Fate.ACCEPTED}
            waiting = [message for message in waiting if message.delivery_id not in done]
    assert waiting == []
    stored = arrived(server, marker, len(sent))
    assert find_spoilt(sent, stored) == {}
    assert len(stored) == len(sent)


@refusing(CLOSING)
def test_421_in_the_middle_uses_up_nobodys_attempt(name: str, get_server: GetServer) -> None:  # C-11
    with transport_to(get_server(name).port(CLOSING)) as transport:
        outcomes = send(transport, [a_mail(number, f"{name}-closing") for number in range(3)])
    assert len(outcomes) == 3
    assert {outcome.code for outcome in outcomes} <= {421, None}
    assert {(decide_fate(o).fate, decide_fate(o).scope) for o in outcomes} == {(Fate.GIVE_BACK, Scope.RELAY)}


@refusing(MEMBERS)
def test_a_relay_that_wants_a_password_takes_the_right_one_only(name: str, get_server: GetServer) -> None:
    server = get_server(name)
    marker = f"{name}-members"
    for password in (None, "wrong"):
        with transport_to(server.port(MEMBERS), tls=True, password=password) as stranger:
            (outcome,) = send(stranger, [a_mail(1, marker)])
        assert outcome.code is None or outcome.code // 100 in (4, 5)
        if password:
            assert (outcome.phase, outcome.code) == (Phase.AUTH, 535)
            assert decide_fate(outcome).fate is Fate.GIVE_BACK
        assert not decide_fate(outcome).suppress
    sent = [a_mail(number, marker) for number in range(2, 6)]
    with transport_to(server.port(MEMBERS), tls=True, password=RIGHT) as member:
        assert {outcome.code for outcome in send(member, sent)} == {250}
    stored = arrived(server, marker, len(sent))
    assert find_spoilt(sent, stored) == {}
    assert len(stored) == len(sent)
