"""The check in DNS, against a name server of our own that speaks real DNS on loopback."""

import time
from collections.abc import Iterator
from importlib.metadata import version

import pytest

from service.web.mail_domains import SECONDS, DnsMailDomains, find_domain_problem
from tests.web.name_server import NameServer


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def domains(server: NameServer) -> DnsMailDomains:
    return DnsMailDomains(server.resolver(), 1)


@pytest.mark.parametrize(
    ("domain", "accepts"),
    [
        ("fjell.no", True),
        ("nullmx.no", False),  # RFC 7505
        ("gone.no", False),
        ("textonly.no", False),
        # Without MX: an address that can be reached from everywhere (RFC 5321 §5.1).
        ("addressonly.no", True),
        ("newaddressonly.no", True),
        ("privateandpublic.no", True),
        ("private.no", False),
        ("loopback.no", False),
        ("linklocal.no", False),
        # Without MX, and says that it sends nothing: no domain for mail (RFC 7208).
        ("sendsnomail.no", False),
        ("sendsnothing.no", False),
        ("softfail.no", True),
        ("receivesonly.no", True),
        # No answer is no "no".
        ("silent.no", True),
        ("broken.no", True),
    ],
)
@pytest.mark.requirement("E-01")
def test_accepts_mail(domains, domain, accepts):
    assert domains.accepts_mail(domain) is accepts


@pytest.mark.requirement("E-01")
def test_a_reader_waits_a_second_not_fifteen_for_a_silent_directory(domains):
    """The library's own default is 15 s; ours in production is 5."""
    start = time.monotonic()
    assert domains.accepts_mail("silent.no")
    assert time.monotonic() - start < 3
    assert SECONDS == 5


@pytest.mark.requirement("E-01")
def test_the_library_is_recent_enough():
    """2.2.0 checks again after normalising; 2.3 refuses what is not assigned."""
    assert tuple(map(int, version("email-validator").split(".")[:2])) >= (2, 3)


def test_answers_are_remembered(domains, server):
    assert domains.accepts_mail("fjell.no")
    assert domains.accepts_mail("fjell.no")
    assert server.asked == [("fjell.no.", "MX")]


@pytest.mark.requirement("E-10")
@pytest.mark.parametrize(
    ("domain", "code", "asked"),
    [
        ("fjell.no", None, True),
        ("nullmx.no", "address_domain", True),
        ("gmial.com", "address_domain_meant", True),
        ("wegwerf.no", "address_disposable", False),
        ("box7.wegwerf.no", "address_disposable", False),
    ],
)
def test_what_is_wrong_with_a_domain(domains, server, domain, code, asked):
    problem = find_domain_problem(domain, {"wegwerf.no"}, domains)
    assert (problem.code if problem else None) == code
    assert bool(server.asked) == asked, "what the operator's list refuses is asked of nobody"


def test_without_a_directory_only_the_list_counts():
    assert find_domain_problem("nullmx.no", {"wegwerf.no"}, None) is None
    assert find_domain_problem("wegwerf.no", {"wegwerf.no"}, None) is not None
