"""Whether a domain takes mail, according to DNS (E-01), and whether we want it. Never asks a mail server (E-03)."""

from collections.abc import Collection
from typing import Protocol

from dns.resolver import Resolver
from email_validator import EmailUndeliverableError, caching_resolver
from email_validator.deliverability import validate_email_deliverability

from service.domain.forms import Problem
from service.domain.oddities import is_listed, suggest_domain

SECONDS = 5


class MailDomains(Protocol):
    def accepts_mail(self, domain: str) -> bool:
        """False only if DNS says so for certain; a time-out is no answer and counts as yes."""


class DnsMailDomains:
    def __init__(self, resolver: Resolver | None = None, seconds: int = SECONDS) -> None:
        self._resolver = caching_resolver(timeout=seconds, dns_resolver=resolver)

    def accepts_mail(self, domain: str) -> bool:
        try:
            validate_email_deliverability(domain, domain, dns_resolver=self._resolver)
        except EmailUndeliverableError:
            return False
        return True


def find_domain_problem(domain: str, unwanted: Collection[str], directory: MailDomains | None) -> Problem | None:
    """Why nobody can sign up with this domain, or None. Says nothing about any address, so it may be said (E-04)."""
    if is_listed(domain, unwanted):
        return Problem("address", "address_disposable")
    if directory is None or directory.accepts_mail(domain):
        return None
    meant = suggest_domain(domain)
    if meant:
        return Problem("address", "address_domain_meant", {"meant": meant})
    return Problem("address", "address_domain")
