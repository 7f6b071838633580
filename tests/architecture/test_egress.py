"""The egress guard, in processes of its own: an audit hook cannot be taken out again."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from dns.resolver import NoResolverConfiguration

from service.bootstrap import guard_egress
from service.egress import EgressRefusedError
from service.errors import ConfigurationError
from tests.conftest import SettingsMaker

PREAMBLE = """
import asyncio, http.client, json, smtplib, socket, sys, urllib.request
from service import egress
from service.egress import Allowed, EgressRefusedError

def tried(act):
    try:
        act()
    except EgressRefusedError as error:
        return "refused"
    except OSError as error:
        return type(error).__name__
    return "reached"
"""


def run(program: str) -> object:
    done = subprocess.run([sys.executable, "-c", PREAMBLE + program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def port() -> Iterator[int]:
    """A port of loopback that takes connections; nobody has to accept them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.requirement("D-31")
def test_only_configured_places_are_reached(port: int) -> None:
    """By address and port, by name; loopback is no exception."""
    said = run(
        f"""
egress.install([Allowed("127.0.0.1", {port}), Allowed("localhost", {port})])
print(json.dumps([
    tried(lambda: socket.create_connection(("127.0.0.1", {port}), 1)),
    tried(lambda: socket.create_connection(("localhost", {port}), 1)),
    tried(lambda: socket.create_connection(("127.0.0.1", {port} - 1), 1)),
    tried(lambda: socket.create_connection(("127.0.0.2", {port}), 1)),
    tried(lambda: socket.create_connection(("::1", {port} - 1), 1)),
]))
"""
    )
    assert said == ["reached", "reached", "refused", "refused", "refused"]


ACTS = (
    "socket.create_connection(('192.0.2.1', 443), 1)",
    "socket.create_connection(('2001:db8::1', 443), 1)",
    "socket.getaddrinfo('telemetry.example.org', 443)",
    "socket.gethostbyname('telemetry.example.org')",
    "socket.gethostbyname_ex('telemetry.example.org')",
    "socket.gethostbyaddr('192.0.2.1')",
    "socket.getnameinfo(('192.0.2.1', 443), 0)",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('192.0.2.1', 53))",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 53))",
    "socket.socket().connect(('telemetry.example.org', 443))",
    "socket.socket().connect_ex(('telemetry.example.org', 443))",
    "socket.socket().bind(('telemetry.example.org', 443))",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('telemetry.example.org', 53))",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', 0, ('telemetry.example.org', 53))",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('telemetry.example.org', 53))",
    "multiprocessing.connection.Client(('telemetry.example.org', 443))",
    "socket.socket(socket.AF_UNIX).connect('/run/some.sock')",
    "urllib.request.urlopen('http://updates.example.org/')",
    "http.client.HTTPSConnection('192.0.2.1', timeout=1).connect()",
    "smtplib.SMTP('mx.example.org')",
    "asyncio.run(asyncio.open_connection('192.0.2.1', 443))",
    "asyncio.run(asyncio.open_connection('telemetry.example.org', 443))",
    "httpx.get('http://192.0.2.1/')",
    "redis.Redis('192.0.2.1', socket_connect_timeout=1).ping()",
    "dns.query.udp(dns.message.make_query('x.example', 'MX'), '192.0.2.1')",
    "egress.check('192.0.2.1', 5432)",
    "egress.check('db.example.org', 5432)",
)


@pytest.mark.requirement("D-31")
def test_nobody_else_is_by_whatever_library() -> None:
    """Nothing leaves: the refusal comes before the look-up and before the first packet."""
    said = run(
        f"""
import dns.message, dns.query, httpx, multiprocessing.connection, redis
egress.install([Allowed("relay.example.org", 587)])
said = {{}}
for act in {ACTS!r}:
    try:
        eval(act)
        said[act] = "reached"
    except Exception as error:
        chain, link = [], error
        while isinstance(link, BaseException):
            chain.append(str(link))
            link = link.__cause__ or link.__context__ or next(iter(link.args), None)
        said[act] = " ".join(chain)
print(json.dumps(said))
"""
    )
    assert isinstance(said, dict)
    assert len(said) == len(ACTS)
    assert [act for act, answer in said.items() if "connects to configured hosts only" not in answer] == []


def test_the_answer_of_a_configured_name_is_reached_and_no_other_name_with_it(port: int) -> None:
    said = run(
        f"""
egress.install([Allowed("localhost", {port})])
before = tried(lambda: socket.create_connection(("127.0.0.1", {port}), 1))
socket.getaddrinfo("localhost", {port})
print(json.dumps([before, tried(lambda: socket.create_connection(("127.0.0.1", {port}), 1)),
                  tried(lambda: socket.getaddrinfo("localhost.example.org", 80))]))
"""
    )
    assert said == ["refused", "reached", "refused"]


def test_the_demo_reaches_this_machine_only(port: int) -> None:
    said = run(
        f"""
egress.install([], loopback=True)
print(json.dumps([tried(lambda: socket.create_connection(("127.0.0.1", {port}), 1)),
                  tried(lambda: socket.create_connection(("192.0.2.1", {port}), 1))]))
"""
    )
    assert said == ["reached", "refused"]


@pytest.mark.requirement("D-31")
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@db.example.org:5433/milepost",
        "postgresql://app@/milepost?host=db.example.org&port=5433",
        "postgresql://app@/milepost?host=db.example.org,other.example.org&port=5433",
        "postgresql://app@db.example.org:5433/milepost?hostaddr=192.0.2.7",
    ],
)
def test_the_list_is_made_from_the_settings(url: str, tmp_path) -> None:
    """Wiring a process guards it: its database, Redis, relay and content hosts, its name servers, and that is all."""
    said = run(
        f"""
from service import settings
from service.bootstrap import guard_egress
values = dict(environment="production", database_url={url!r}, redis_url="redis://redis.example.org/0",
    secret_key="b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu", state_dir={str(tmp_path)!r}, public_url="https://news.example.org",
    site_url="https://www.example.org", controller_name="Fjellsko Sport AS", controller_address="Fjellby",
    controller_contact="privacy@example.org", sender_name="Fjellsko", sender_address="training@example.org",
    relay_host="relay.example.org", content_hosts="feeds.example.org")
guard_egress(settings.load({{"MILEPOST_" + name.upper(): value for name, value in values.items()}}))
from service.egress import _guard
may = [host for host in ("db.example.org", "redis.example.org", "relay.example.org", "feeds.example.org",
                         "www.example.org", "telemetry.example.org", "news.example.org") if _guard.may_look_up(host)]
refused = tried(lambda: socket.create_connection(("192.0.2.1", 443), 1))
print(json.dumps([may, refused]))
"""
    )
    assert said == [["db.example.org", "redis.example.org", "relay.example.org", "feeds.example.org"], "refused"]


STARTS = (
    "subprocess.run(['true'])",
    "subprocess.run('true', shell=True)",
    "os.system('true')",
    "os.popen('true')",
    "os.posix_spawn('/bin/true', ['true'], {})",
    "pty.spawn('true')",
    "asyncio.run(asyncio.create_subprocess_exec('true'))",
    "os.execv('/bin/true', ['true'])",
)


@pytest.mark.requirement("D-31")
def test_a_process_that_serves_starts_no_program() -> None:
    """The guard could not see what one sends. Forks are guarded as well; becoming oneself anew is allowed."""
    said = run(
        f"""
import os, pty, subprocess
egress.install(())
os.system("true")
subprocess.run(["true"], check=True)
egress.start_no_programs()
said = []
for act in {STARTS!r}:
    try:
        eval(act)
    except egress.ProgramRefusedError:
        said.append(act)
child = os.fork()
if not child:
    os._exit(7 if tried(lambda: socket.create_connection(("192.0.2.1", 443), 1)) == "refused" else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.stdout.flush()
os.execv(sys.executable, [sys.executable, "-c", f"import json; print(json.dumps([{{said!r}}, {{code}}]))"])
"""
    )
    assert said == [list(STARTS), 7]


def test_a_machine_without_name_servers_is_told_so(make_settings: SettingsMaker, monkeypatch) -> None:
    def resolver() -> None:
        raise NoResolverConfiguration

    monkeypatch.setattr("dns.resolver.get_default_resolver", resolver)
    with pytest.raises(ConfigurationError, match=r"/etc/resolv\.conf .* Nothing was started"):
        guard_egress(make_settings(signup_check_dns="true"))


@pytest.mark.parametrize("url", ["unix:///run/valkey.sock", "redis+socket:///run/valkey.sock"])
def test_a_local_socket_of_redis_is_refused_at_the_start(url: str, make_settings: SettingsMaker) -> None:
    """And not by the guard, once it is running."""
    with pytest.raises(ConfigurationError, match=r"a local socket \(unix://\) is not used"):
        make_settings(redis_url=url)


@pytest.mark.requirement("D-31")
def test_the_suite_itself_runs_under_the_guard() -> None:
    for reach in (lambda: socket.create_connection(("192.0.2.1", 443), 1), lambda: socket.gethostbyname("example.org")):
        with pytest.raises(EgressRefusedError):
            reach()
