"""Whether a domain takes mail, according to DNS (E-01). Never asks a mail server (E-03)."""

from typing import Protocol

from dns.resolver import Resolver
from email_validator import EmailUndeliverableError, caching_resolver
from email_validator.deliverability import validate_email_deliverability

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
