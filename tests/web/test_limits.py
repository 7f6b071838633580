"""E-05: how many sign-ups a network may send, and whose address counts."""

import pytest
import redis

from service.demo.servers import Valkey
from service.domain.tokens import Keys
from service.web.app import create_app
from service.web.limits import NetworkLimit
from tests.web.conftest import Reader, make_client, make_container


@pytest.fixture
def limit(valkey: Valkey, request: pytest.FixtureRequest) -> NetworkLimit:
    """With keys of its own, so that no other test counts with it."""
    return NetworkLimit(valkey.url, 5, Keys(request.node.name))


@pytest.mark.requirement("E-05")
def test_five_an_hour_from_one_address(limit):
    assert [limit.take("203.0.113.7") for _ in range(7)] == [True] * 5 + [False] * 2
    assert limit.take("203.0.113.8")


def pass_by(valkey: Valkey, minutes: float) -> None:
    """What was counted was counted so much earlier: time has passed."""
    with redis.Redis.from_url(valkey.url) as client:
        for key in client.scan_iter("*limits*"):
            times = [float(entry) - minutes * 60 for entry in client.lrange(key, 0, -1)]
            client.delete(key)
            client.rpush(key, *times)


@pytest.mark.requirement("E-05")
@pytest.mark.parametrize("ip", ["203.0.113.7", "2001:db8:1:1::1"])
def test_twenty_a_day_from_one_address(limit, valkey, ip):
    taken = []
    for _ in range(5):
        taken += [limit.take(ip) for _ in range(5)]
        pass_by(valkey, minutes=61)
    assert taken == [True] * 20 + [False] * 5
    pass_by(valkey, minutes=24 * 60)
    assert limit.take(ip)


@pytest.mark.requirement("E-05")
def test_the_hour_is_any_hour(limit, valkey):
    """Five just before a full hour and five just after it would be ten within minutes."""
    assert limit.take("203.0.113.50")
    pass_by(valkey, minutes=55)
    assert [limit.take("203.0.113.50") for _ in range(5)] == [True] * 4 + [False]
    pass_by(valkey, minutes=6)
    assert [limit.take("203.0.113.50") for _ in range(2)] == [True, False]


@pytest.mark.requirement("E-05")
def test_an_ipv6_site_is_one_network(limit):
    """/64 is what one subscriber has; another /64 is another subscriber."""
    taken = [limit.take(f"2001:db8:1:1::{number:x}") for number in range(6)]
    assert taken == [True] * 5 + [False]
    assert limit.take("2001:db8:1:2::1")


@pytest.mark.parametrize(
    "addresses",
    [
        [f"198.51.100.{number}" for number in range(60)],
        [f"2001:db8:2:{number:x}::1" for number in range(60)],
    ],
    ids=["/24", "/48"],
)
@pytest.mark.requirement("E-05")
def test_fifty_an_hour_from_its_neighbours(limit, addresses):
    assert [limit.take(address) for address in addresses] == [True] * 50 + [False] * 10


def test_who_is_refused_uses_up_nothing_of_its_neighbours(limit):
    for _ in range(100):
        limit.take("198.51.100.1")
    assert limit.take("198.51.100.2")


def test_an_unknown_network_is_not_limited(limit):
    assert all(limit.take(None) for _ in range(10))


@pytest.mark.requirement("E-05")
def test_redis_holds_no_addresses(limit, valkey):
    limit.take("203.0.113.99")
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        keys = list(client.scan_iter("*limits*"))
    assert keys
    assert not any("203.0.113" in key for key in keys)


def test_without_redis_nothing_is_limited_and_it_is_said(caplog, capsys):
    """The limit per address stands in PostgreSQL; readers are not turned away because Redis is."""
    limit = NetworkLimit("redis://127.0.0.1:1/0", 1, Keys("x" * 32))
    assert [limit.take("203.0.113.7") for _ in range(3)] == [True] * 3
    said = capsys.readouterr().out + caplog.text
    assert "network_limit_off" in said
    assert "203.0.113" not in said


@pytest.fixture
def behind_proxy(make_settings, valkey, shared_engine, transaction, clock, queue, request):
    """The application behind a proxy in 10.0.0.0/8, with a key of its own and two sign-ups an hour."""
    settings = make_settings(
        redis_url=valkey.url,
        trusted_proxies="10.0.0.0/8, fd00::/8",
        signup_network_per_hour="2",
        secret_key=(request.node.name * 8)[:64] + "b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu",
    )
    container = make_container(settings, shared_engine, transaction, clock, queue)
    return create_app(container), container


def sign_ups(behind_proxy, clock, peer: str, forwarded: list[str]) -> list[int]:
    app, container = behind_proxy
    statuses = []
    with make_client(app, peer) as client:
        for number, header in enumerate(forwarded):
            client.headers["X-Forwarded-For"] = header
            statuses.append(Reader(client, container, clock).sign_up(address=f"reader{number}@fjell.no").status_code)
    return statuses


def test_forwarded_addresses_count_behind_our_proxy(behind_proxy, clock):
    forwarded = ["203.0.113.1", "203.0.113.1:4711", "203.0.113.1", "198.51.100.1"]
    assert sign_ups(behind_proxy, clock, "10.1.2.3", forwarded) == [303, 303, 429, 303]


def test_what_a_client_writes_itself_does_not_count(behind_proxy, clock):
    """Only the part that our own proxies wrote is believed: from the right, up to the first stranger."""
    forwarded = [f"{number}.{number}.{number}.{number}, 203.0.113.1, 10.9.9.9" for number in range(1, 4)]
    assert sign_ups(behind_proxy, clock, "10.1.2.3", forwarded) == [303, 303, 429]


def test_strangers_are_not_believed(behind_proxy, clock):
    assert sign_ups(behind_proxy, clock, "203.0.113.9", ["1.1.1.1", "2.2.2.2", "3.3.3.3"]) == [303, 303, 429]


def test_nonsense_in_the_header_counts_as_the_proxy(behind_proxy, clock):
    forwarded = ["unknown", "", "_hidden, junk"]
    assert sign_ups(behind_proxy, clock, "10.1.2.4", forwarded) == [303, 303, 429]


def test_ipv4_in_ipv6_clothes_is_ipv4(behind_proxy, clock):
    forwarded = ["::ffff:203.0.113.77", "203.0.113.77", "[::ffff:203.0.113.77]:99"]
    assert sign_ups(behind_proxy, clock, "10.1.2.5", forwarded) == [303, 303, 429]


def test_refused_in_the_readers_language_and_nothing_stored(behind_proxy, clock, queue):
    app, container = behind_proxy
    with make_client(app, "203.0.113.200") as client:
        reader = Reader(client, container, clock)
        assert [reader.sign_up(address=f"r{n}@fjell.no").status_code for n in range(2)] == [303, 303]
        queue.hints.clear()
        page = client.post("/subscribe", data={**_fields(reader)})
        assert (page.status_code, "Zu viele Anmeldungen" in page.text) == (429, True)
        answer = client.post("/subscribe", json=_fields(reader))
        assert (answer.status_code, answer.json()["code"]) == (429, "network_limit")
        assert "nichts gespeichert" in answer.json()["detail"]
    assert queue.hints == []


def _fields(reader: Reader) -> dict[str, object]:
    return {
        "form": "hub",
        "language": "de",
        "address": "anna@fjell.no",
        "purposes": ["digest"],
        "token": reader.token(language="de"),
    }
