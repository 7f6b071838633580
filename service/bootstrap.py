"""The composition root: builds what a process needs, once, from its settings. Nothing is created at import."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from service import egress, telemetry
from service import settings as settings_module
from service.content.fetch import Fetcher
from service.domain.activities import Activities, parse_activities
from service.domain.addresses import parse_address
from service.domain.breaker import Limits
from service.domain.contexts import Circumstances
from service.domain.deliveries import Retries
from service.domain.letters import Publisher
from service.domain.oddities import read_domains
from service.domain.processors import Processor, check_keepers, check_relay, parse_register
from service.domain.retention import Retention, parse_retention
from service.domain.surges import Ceilings
from service.domain.tokens import Keys
from service.egress import Allowed
from service.errors import ConfigurationError, DatabaseAwayError, ServiceError
from service.mail.dkim_keys import KeyDirectory
from service.mail.smtp_opening import Relay
from service.mail.writer import Writer
from service.ports import Clock, TaskQueue
from service.settings import Settings
from service.store import engine as store_engine
from service.store.append_only import AppendOnlyFile
from service.store.transaction import TransactionFactory, factory
from service.taskqueue import CeleryTaskQueue
from service.texts import templates_dir
from service.usecases import starting
from service.usecases.watching import Operators

DNS_PORT = 53
REDIS_PORT = 6379


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True)
class Container:
    """Everything an edge hands to use cases."""

    settings: Settings
    clock: Clock
    queue: TaskQueue
    engine: Engine
    transaction: TransactionFactory
    keys: Keys
    publisher: Publisher
    circumstances: Circumstances
    processors: tuple[Processor, ...]
    writer: Writer
    fetcher: Fetcher
    ceilings: Ceilings
    operators: Operators
    limits: Limits
    """Above which a campaign pauses itself."""
    retries: Retries
    disposable_domains: frozenset[str]
    """A-labels for which nobody can sign up, by the operator's own list (E-10)."""
    checkpoint_file: AppendOnlyFile
    erasure_log: AppendOnlyFile
    retention: Retention
    activities: Activities


def build_container(settings: Settings | None = None, *, process: str = "milepost") -> Container:
    """Wire up one process. `process` names its connections in PostgreSQL. Raises ConfigurationError."""
    settings = settings or settings_module.load()
    telemetry.configure(settings.log_level, settings.log_format)
    guard_egress(settings)
    clock = SystemClock()
    queue = CeleryTaskQueue(settings.redis_url)
    keys = Keys(settings.secret_key, settings.address_keys)
    publisher = _publisher(settings)
    processors = _processors(settings)
    engine = store_engine.create(settings.database_url, f"milepost {process}")
    ledger_dir = settings.ledger_dir or settings.state_dir / "ledger"
    privacy = templates_dir() / "privacy"
    return Container(
        settings=settings,
        clock=clock,
        queue=queue,
        engine=engine,
        transaction=factory(engine, clock, queue),
        keys=keys,
        publisher=publisher,
        circumstances=_circumstances(settings, processors),
        processors=processors,
        writer=Writer(publisher, keys, signer=dkim_keys(settings).signer()),
        fetcher=Fetcher(settings.content_hosts, settings.content_private_hosts, clock),
        operators=_operators(settings),
        limits=Limits(
            settings.breaker_dead_percent, settings.breaker_failed_percent, settings.breaker_uncertain_percent
        ),
        retries=Retries(
            timedelta(minutes=settings.retry_first_minutes),
            timedelta(minutes=settings.retry_longest_minutes),
            timedelta(hours=settings.retry_give_up_hours),
            settings.retry_jitter_percent / 100,
        ),
        ceilings=Ceilings(settings.signup_domain_per_hour, settings.signup_form_per_hour),
        disposable_domains=_disposable_domains(settings.disposable_domains_file),
        checkpoint_file=AppendOnlyFile(ledger_dir / "checkpoints.jsonl"),
        erasure_log=AppendOnlyFile(ledger_dir / "erasures.jsonl"),
        retention=parse_retention((privacy / "retention.toml").read_text(encoding="utf-8")),
        activities=parse_activities((privacy / "activities.toml").read_text(encoding="utf-8")),
    )


def _operators(settings: Settings) -> Operators:
    try:
        addresses = tuple(parse_address(each, reserved=True).address for each in settings.operators_mail)
    except ServiceError as error:
        raise ConfigurationError(f"MILEPOST_OPERATORS_MAIL: {error.message} Nothing was started.") from None
    return Operators(addresses, settings.operators_language)


def _disposable_domains(file: Path | None) -> frozenset[str]:
    if file is None:
        return frozenset()
    try:
        return read_domains(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"MILEPOST_DISPOSABLE_DOMAINS_FILE names {file}, which cannot be used: {error}. Nothing was started."
        ) from None


def check_may_serve(container: Container) -> None:
    """For processes that serve, before they do. Raises ConfigurationError; DatabaseAwayError when nobody can know."""
    try:
        with container.transaction() as tx:
            starting.check_may_serve(
                tx,
                container.keys,
                erasure_file=container.erasure_log,
                checkpoint_file=container.checkpoint_file,
            )
    except ConfigurationError:
        container.engine.dispose()  # this process ends now
        raise
    except OperationalError as error:
        raise DatabaseAwayError(
            f"PostgreSQL cannot be used ({type(error.orig).__name__}), so nobody knows whether this installation may "
            "serve; nothing was started. `milepost doctor` looks at everything."
        ) from None


def dkim_keys(settings: Settings) -> KeyDirectory:
    """Those that sign for the From domain."""
    return KeyDirectory(settings.state_dir, settings.sender_address.rpartition("@")[2].lower())


def _publisher(settings: Settings) -> Publisher:
    return Publisher(
        name=settings.controller_name,
        postal_address=settings.controller_address,
        contact=settings.controller_contact,
        site_url=settings.site_url,
        public_url=settings.public_url,
        sender_name=settings.sender_name,
        sender_address=settings.sender_address,
        reply_to=settings.reply_to,
        bounce_domain=settings.bounce_domain or settings.sender_address.rpartition("@")[2],
        own_hosts=frozenset({settings.public_host, *settings.own_hosts}),
    )


def get_relays(settings: Settings) -> tuple[Relay, Relay | None]:
    """The relay that carries our mail, and the one that does while the first cannot."""
    first = Relay(
        host=settings.relay_host,
        port=settings.relay_port,
        tls=settings.relay_tls,
        user=settings.relay_user,
        password=settings.relay_password,
        helo_name=settings.helo_name,
    )
    if settings.relay2_host is None:
        return first, None
    second = Relay(
        host=settings.relay2_host,
        port=settings.relay2_port,
        tls=settings.relay2_tls,
        user=settings.relay2_user,
        password=settings.relay2_password,
        helo_name=settings.helo_name,
    )
    return first, second


def guard_egress(settings: Settings) -> None:
    """From now on this process connects to nobody whom the settings do not name (D-31)."""
    places = [
        *_keepers(settings),
        Allowed(settings.relay_host, settings.relay_port),
        *([Allowed(settings.relay2_host, settings.relay2_port)] if settings.relay2_host else []),
        Allowed(settings.web_host, settings.web_port),
        *(Allowed(host) for host in settings.content_hosts),
    ]
    if settings.signup_check_dns:  # a domain's mail servers are looked up there, and never connected to (E-03)
        places += [Allowed(server, DNS_PORT) for server in _name_servers()]
    egress.install(places, loopback=settings.is_demo)


def _keepers(settings: Settings) -> list[Allowed]:
    """Where what is known about readers is kept: the hosts of PostgreSQL and Redis."""
    database_urls = [url for url in (settings.database_url, settings.owner_database_url) if url]
    redis = urlsplit(settings.redis_url)
    return [
        *(Allowed(host, port) for url in database_urls for host, port in store_engine.list_places(url)),
        Allowed(redis.hostname or "localhost", redis.port or REDIS_PORT),
    ]


def _name_servers() -> list[str]:
    """Those of this machine. Raises ConfigurationError where it has none."""
    from dns.resolver import NoResolverConfiguration, get_default_resolver  # two megabytes that workers do without

    try:
        return [str(server) for server in get_default_resolver().nameservers]
    except NoResolverConfiguration:
        raise ConfigurationError(
            "MILEPOST_SIGNUP_CHECK_DNS is on, and this machine names no name server to ask: /etc/resolv.conf is "
            "missing or empty. Nothing was started. Put a line `nameserver ADDRESS` there."
        ) from None


def _processors(settings: Settings) -> tuple[Processor, ...]:
    """The register, with the relay in it and whoever keeps our data elsewhere. Raises ConfigurationError."""
    file = settings.processors_file
    try:
        register = parse_register(file.read_text(encoding="utf-8")) if file else ()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"MILEPOST_PROCESSORS_FILE names {file}, which cannot be read: {error}. Nothing was started."
        ) from None
    for relay_host in filter(None, (settings.relay_host, settings.relay2_host)):
        check_relay(register, relay_host)
    check_keepers(register, (place.host for place in _keepers(settings)))
    return register


def _circumstances(settings: Settings, processors: tuple[Processor, ...]) -> Circumstances:
    return Circumstances(
        jurisdiction=settings.jurisdiction,
        supervisory_authority=settings.supervisory_authority,
        storage_location=settings.storage_location,
        data_protection_officer=settings.controller_officer,
        processors=processors,
        third_country=any(processor.third_country for processor in processors),
    )
