"""Every setting, typed, with its reason. The only module that reads the environment (MILEPOST_*).

A secret may stand in a file instead: MILEPOST_SECRET_KEY_FILE names a file that holds MILEPOST_SECRET_KEY.
Unknown or unsafe values stop the start. docs/settings.md is generated from here (`milepost settings --markdown`).
"""

import ipaddress
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from service.domain.words import Language, RelayTls
from service.errors import ConfigurationError
from service.sending_settings import SendingSettings

PREFIX = "MILEPOST_"
SECRETS = (
    *("database_url", "owner_database_url", "redis_url", "secret_key", "address_keys"),
    *("relay_password", "relay2_password"),
)
"""May be given as <NAME>_FILE."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class Environment(StrEnum):
    PRODUCTION = "production"
    DEMO = "demo"
    """Mail goes to the catcher on this machine only; plain http on loopback and reserved domains are accepted."""


Several = tuple[str, ...]
"""Comma-separated in the environment."""
KEY_LENGTH = 32
DISTINCT_CHARACTERS = 12
"""Fewer in a secret key: it was typed, not drawn."""


class Settings(SendingSettings):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    environment: Environment = Field(
        Environment.PRODUCTION, description="production, or demo (mail can only reach the catcher on this machine)."
    )
    database_url: str = Field(
        description="PostgreSQL 15 or later, login role `milepost_app`: postgresql://milepost_app:…@host/milepost"
    )
    owner_database_url: str | None = Field(
        None,
        description="The same database, login role `milepost_owner`; needed by `milepost migrate` only, never by a "
        "server.",
    )
    redis_url: str = Field(
        description="A Redis-protocol server (Valkey, Redis 6.2 or later) for hints and network limits."
    )
    secret_key: str = Field(
        min_length=KEY_LENGTH,
        description="At least 32 characters of randomness; keys for links, forms and suppressions are derived from it. "
        "Losing it breaks every link in mails already sent. Make one: `milepost secrets`.",
    )
    address_keys: Several = Field(
        (),
        description="Later keys for the fingerprints of addresses, comma-separated, oldest first; each at least 32 "
        "characters of randomness. The first key comes from secret_key. Add one at the end, then run `milepost privacy "
        "rotate-address-key` (docs/privacy.md); never take one away.",
    )
    state_dir: Path = Field(
        Path("var"), description="Where workers keep their journals and beat its timetable; must survive restarts."
    )
    ledger_dir: Path | None = Field(
        None,
        description="Where the checkpoints of the consent ledger and the log of erasures are kept, outside the "
        "database; every process reads it, workers append. Best on another disk than the database, with a backup of "
        "its own (docs/consent.md). Default: `ledger` in state_dir.",
    )

    public_url: str = Field(description="Where readers reach Milepost: https://news.example.org, without a path.")
    own_hosts: Several = Field(
        (),
        description="Further hosts that are the publisher's own (images, site), comma-separated; public_url's is one.",
    )
    cors_origins: Several = Field(
        (), description="Origins of the publisher's own sites whose pages may POST sign-ups as JSON, comma-separated."
    )
    trusted_proxies: Several = Field(
        (), description="Networks whose X-Forwarded-For is believed, comma-separated CIDR; empty: nobody's."
    )
    web_host: str = Field("127.0.0.1", description="The address that `milepost web` listens on.")
    web_port: int = Field(8025, ge=1, le=65535, description="The port that `milepost web` listens on.")

    controller_name: str = Field(description="Legal name of the publisher; stands in every statement, notice and mail.")
    controller_address: str = Field(description="Postal address; stands in every list mail (A-45).")
    controller_contact: str = Field(description="E-mail address for questions about privacy.")
    controller_officer: str = Field(
        "", description="Data protection officer or representative, with contact; stands in every consent record."
    )
    jurisdiction: str = Field(
        "", description="Whose law governs the consent, as in `Norway (EEA)`; stands in every consent record."
    )
    supervisory_authority: str = Field(
        "", description="The data protection authority in charge; stands in every consent record and receipt."
    )
    storage_location: str = Field(
        "", description="Where the database stands: country, and who runs the machine; stands in every consent record."
    )
    site_url: str = Field(description="The publisher's site; readers are led back there.")
    sender_name: str = Field(description="Display name in From; who writes, nothing else (A-08).")
    sender_address: str = Field(description="Mailbox in From; must accept mail.")
    reply_to: str | None = Field(None, description="Mailbox for replies, if not sender_address.")
    bounce_domain: str | None = Field(
        None, description="Domain of envelope senders; default: the domain of sender_address."
    )
    default_language: Language = Field(
        Language.EN, description="Language of pages when a browser asks for none of ours."
    )

    relay_host: str = Field(description="The SMTP relay that takes the mail (smart host).")
    relay_port: int = Field(587, ge=1, le=65535, description="Its port.")
    relay_tls: RelayTls = Field(
        RelayTls.REQUIRED,
        description="required (STARTTLS, verified), implicit (port 465), opportunistic, none (loopback only).",
    )
    relay_user: str | None = Field(None, description="User name for SMTP AUTH.")
    relay_password: str | None = Field(None, description="Password for SMTP AUTH.")
    relay_connections: int = Field(
        20, ge=1, le=500, description="Connections of one bulk worker to the relay, at most."
    )
    relay_messages_per_connection: int = Field(
        1000, ge=1, le=1_000_000, description="After so many mails a connection is replaced by a new one (F-06)."
    )
    relay2_host: str | None = Field(
        None, description="A second relay, for while the first cannot be used; as D-21 says."
    )
    relay2_port: int = Field(587, ge=1, le=65535, description="Its port.")
    relay2_tls: RelayTls = Field(RelayTls.REQUIRED, description="As relay_tls.")
    relay2_user: str | None = Field(None, description="User name for SMTP AUTH with the second relay.")
    relay2_password: str | None = Field(None, description="Password for SMTP AUTH with the second relay.")
    operators_mail: Several = Field(
        (),
        description="Who is mailed when the relay cannot be used or a campaign was paused by itself, comma-separated; "
        "nobody by default, and `milepost doctor` says so.",
    )
    operators_language: Language = Field(Language.EN, description="The language of these mails.")
    processors_file: Path | None = Field(
        None,
        description="The register of processors (TOML): who handles readers' data for you, the relay above all. A "
        "relay that is not in it is not used (D-21). Readers see it at /processors.",
    )
    helo_name: str | None = Field(None, description="Name said in EHLO; default: this host's full name.")

    signup_check_dns: bool = Field(
        True, description="Whether a sign-up's domain must accept mail according to DNS; the demo switches it off."
    )
    signup_min_seconds: float = Field(
        3.0, ge=0, le=60, description="A form sent faster than this was not sent by a person."
    )
    signup_token_minutes: int = Field(60, ge=5, le=1440, description="How long a form stays fresh (E-06).")
    signup_network_per_hour: int = Field(
        5,
        ge=1,
        description="Sign-ups an hour from one IPv4 address or IPv6 /64; 4 times as many a day, 10 times as many "
        "an hour from its /24 or /48 (E-05).",
    )
    signup_domain_per_hour: int = Field(
        30,
        ge=1,
        description="Mailboxes of one domain for which sign-ups in an hour are let through without a question; more, "
        "and 10 times the usual, are held (`milepost signups held`, E-05).",
    )
    signup_form_per_hour: int = Field(
        1000, ge=1, description="Sign-ups an hour by one form, from anywhere; more are held (E-05)."
    )
    disposable_domains_file: Path | None = Field(
        None,
        description="A list of domains, one a line, for which nobody can sign up: throw-away mailboxes, if you want "
        "none. Default: none is refused (E-10).",
    )
    api_per_minute: int = Field(600, ge=1, description="Requests a minute that one token may send to the API (D-22).")
    test_mails_per_day: int = Field(
        50,
        ge=1,
        description="Test mails of campaigns within 24 hours, by whomever; each order is for one address (D-22).",
    )
    confirmation_hours: int = Field(72, ge=1, le=168, description="How long a confirmation link works (E-07).")

    content_hosts: Several = Field(
        (), description="Hosts that feeds may be read from, comma-separated; nothing else is fetched."
    )
    content_private_hosts: Several = Field(
        (), description="Those of content_hosts that may resolve to private or loopback addresses."
    )
    content_pull_minutes: int = Field(15, ge=1, le=1440, description="How often the timetable reads every source.")

    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error.")
    log_format: str = Field("json", pattern="^(json|console)$", description="json, or console for people.")

    @field_validator(
        "address_keys",
        "own_hosts",
        "cors_origins",
        "trusted_proxies",
        "content_hosts",
        "content_private_hosts",
        "operators_mail",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("database_url", "owner_database_url")
    @classmethod
    def _postgresql_only(cls, url: str | None) -> str | None:
        if url is None:
            return None
        scheme, _, rest = url.partition("://")
        if scheme not in ("postgresql", "postgres", "postgresql+psycopg") or not rest:
            raise ValueError("must be a PostgreSQL URL: postgresql://role:password@host/database")
        return f"postgresql+psycopg://{rest}"

    @field_validator("redis_url")
    @classmethod
    def _redis_only(cls, url: str) -> str:
        if urlsplit(url).scheme not in ("redis", "rediss"):
            # Celery, redis-py and limits each spell a local socket in a way of their own.
            raise ValueError("must be a Redis URL: redis://:password@host:6379/0; a local socket (unix://) is not used")
        return url

    @field_validator("secret_key")
    @classmethod
    def _random(cls, key: str) -> str:
        if len(set(key)) < DISTINCT_CHARACTERS or any(
            bad in key.lower() for bad in ("secret", "changeme", "example", "password")
        ):
            raise ValueError("is not random enough; make one with `milepost secrets`")
        return key

    @field_validator("address_keys")
    @classmethod
    def _random_too(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(key) < KEY_LENGTH or len(set(key)) < DISTINCT_CHARACTERS for key in keys):
            raise ValueError("a key is shorter than 32 characters or not random; make one with `milepost secrets`")
        if len(set(keys)) < len(keys):
            raise ValueError("the same key stands there twice")
        return keys

    @field_validator("public_url", "site_url")
    @classmethod
    def _origin(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be a URL like https://news.example.org")
        return url.rstrip("/")

    @field_validator("public_url")
    @classmethod
    def _no_path(cls, url: str) -> str:
        if urlsplit(url).path:
            raise ValueError("must not have a path: Milepost is served at the root of its host")
        return url

    @field_validator("cors_origins")
    @classmethod
    def _exact_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or not parts.hostname
                or f"{parts.scheme}://{parts.netloc}" != origin
            ):
                raise ValueError(f"{origin} is not an origin like https://www.example.org (no path, no wildcard)")
        return origins

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            if ipaddress.ip_network(network).prefixlen == 0:
                raise ValueError("a network of every address would believe anybody's X-Forwarded-For")
        return networks

    @field_validator("sender_name", "controller_name", "controller_address", "controller_contact", "sender_address")
    @classmethod
    def _printable(cls, text: str) -> str:
        if not text.strip() or not text.replace(" ", "").isprintable():
            raise ValueError("must be one line of printable text")
        return text.strip()

    @model_validator(mode="after")
    def _safe_together(self) -> Self:
        loopback = self.public_host in LOOPBACK_NAMES
        if self.environment is Environment.PRODUCTION:
            if not self.public_url.startswith("https://"):
                raise ValueError("public_url must be https in production: links in mails act for the reader")
            if not self.signup_check_dns:
                raise ValueError("signup_check_dns may be off in the demo only")
        elif self.relay_host not in LOOPBACK_NAMES:
            raise ValueError("the demo sends to a catcher on this machine only: relay_host must be 127.0.0.1")
        elif not loopback and not self.public_url.startswith("https://"):
            raise ValueError("public_url must be https, or http on localhost in the demo")
        self._check_relay("relay", self.relay_host, self.relay_tls, self.relay_user, self.relay_password)
        if self.relay2_host is not None:
            if self.is_demo and self.relay2_host not in LOOPBACK_NAMES:
                raise ValueError("the demo sends to a catcher on this machine only: relay2_host must be 127.0.0.1")
            self._check_relay("relay2", self.relay2_host, self.relay2_tls, self.relay2_user, self.relay2_password)
        if set(self.content_private_hosts) - set(self.content_hosts):
            raise ValueError("content_private_hosts must be among content_hosts")
        return self

    @staticmethod
    def _check_relay(name: str, host: str, tls: RelayTls, user: str | None, password: str | None) -> None:
        if tls is RelayTls.NONE and host not in LOOPBACK_NAMES:
            raise ValueError(f"{name}_tls=none would send mail and passwords in clear text across a network")
        if (user is None) != (password is None):
            raise ValueError(f"{name}_user and {name}_password go together")

    @property
    def public_host(self) -> str:
        return urlsplit(self.public_url).hostname or ""

    @property
    def is_demo(self) -> bool:
        return self.environment is Environment.DEMO


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process.

    Raises `ConfigurationError`, which names every setting at fault and never repeats a value that may be a secret.
    """
    given = {k: v for k, v in (os.environ if environ is None else environ).items() if k.startswith(PREFIX)}
    values: dict[str, str] = {}
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    unknown = []
    for variable, value in given.items():
        if variable in known:
            values[known[variable]] = value
        elif variable.endswith("_FILE") and known.get(variable.removesuffix("_FILE")) in SECRETS:
            values[known[variable.removesuffix("_FILE")]] = _secret_from(variable, value)
        else:
            unknown.append(variable)
    if unknown:
        raise ConfigurationError(
            f"Unknown setting {', '.join(sorted(unknown))}; nothing was started. `milepost settings` lists them all."
        )
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None


def _secret_from(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"{variable} names {path}, which cannot be read: {error.strerror}.") from None


def _explain(error: ValidationError) -> str:
    lines = ["The settings cannot be used; nothing was started."]
    for problem in error.errors(include_input=False, include_url=False):
        name = PREFIX + str(problem["loc"][0]).upper() if problem["loc"] else "together"
        what = "is missing" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
        lines.append(f"  {name}: {what}")
    lines.append("`milepost settings` explains each one.")
    return "\n".join(lines)
