"""E-mail addresses: what may be mailed, and the three keys by which one is known (E-01, E-02)."""

from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from service.errors import Kind, ServiceError

LONGEST = 254
"""RFC 5321 §4.5.3.1.3, less the angle brackets."""

RESERVED = ("test", "example", "example.com", "example.net", "example.org")
"""RFC 2606: nobody is there. Accepted only where mail cannot leave this machine (the demo)."""

DOTLESS_PROVIDERS = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}
"""Providers that ignore dots in local parts, and their one name."""


@dataclass(frozen=True, slots=True)
class Address:
    """One address and its keys. Two addresses are the same reader's exactly when their dedupe keys are equal."""

    address: str
    """As to be mailed: normalised, the case of the local part as typed, the domain in ASCII."""
    dedupe_key: str
    """Local part case-folded; by this a reader is found again."""
    abuse_key: str
    """Without +tag, and without dots where the provider ignores them. For limits only, never for mailing (E-02)."""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def parse_address(text: str, *, reserved: bool = False) -> Address:
    """The address in `text`; raises ServiceError (INVALID, field `address`) that says why it cannot be used.

    `reserved` accepts the domains that RFC 2606 keeps for tests. Whether the domain accepts mail is another question
    (DNS), asked elsewhere.
    """
    text = text.strip()
    if not text:
        raise _refusal("address_missing", "No e-mail address was given.")
    if len(text) > LONGEST:
        raise _refusal("address_too_long", f"An e-mail address has at most {LONGEST} characters.")
    local, at, domain = text.rpartition("@")
    if not at:
        raise _refusal("address_incomplete", "The e-mail address has no @.")
    if local and domain and not local.isascii():
        # The relay would have to speak SMTPUTF8 (RFC 6531) all the way to the mailbox.
        raise _refusal("address_not_ascii", "Letters outside a to z before the @ cannot be mailed yet.")
    try:
        valid = validate_email(
            text,
            check_deliverability=False,
            allow_smtputf8=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            test_environment=reserved,
            strict=True,  # at most 64 before the @ (RFC 5321 §4.5.3.1.1)
        )
    except EmailNotValidError as error:
        raise _refusal("address_malformed", "The e-mail address is not valid.") from error
    if not reserved and _is_reserved(valid.ascii_domain):
        raise _refusal("address_reserved", "The domain of the e-mail address is reserved for examples.")
    key = valid.local_part.casefold()
    return Address(
        address=f"{valid.local_part}@{valid.ascii_domain}",
        dedupe_key=f"{key}@{valid.ascii_domain}",
        abuse_key=_abuse_key(key, valid.ascii_domain),
    )


def mask_address(address: str) -> str:
    """Enough for its owner to know it again, too little for whom the mail was forwarded to: a•••@e•••.org."""
    local, _, domain = address.rpartition("@")
    name, dot, ending = domain.rpartition(".")
    return f"{local[:1]}•••@{name[:1]}•••{dot}{ending}"


def _abuse_key(local: str, domain: str) -> str:
    local = local.split("+", 1)[0] or local
    if domain in DOTLESS_PROVIDERS:
        domain = DOTLESS_PROVIDERS[domain]
        local = local.replace(".", "") or local
    return f"{local}@{domain}"


def _is_reserved(domain: str) -> bool:
    return any(domain == name or domain.endswith(f".{name}") for name in RESERVED)


def _refusal(code: str, message: str) -> ServiceError:
    return ServiceError(Kind.INVALID, code, f"{message} Nothing was stored; correct it and try again.", field="address")
