"""The engine: pool sizes, time-outs and names, so that a stuck query is seen and ended."""

from collections.abc import Iterator, Sequence

from psycopg import pq
from sqlalchemy import Engine, create_engine, make_url

from service import egress
from service.errors import ConfigurationError

PORT = 5432


def create(url: str, application_name: str) -> Engine:
    """An engine for `url` (postgresql+psycopg://…). Connections are made on first use, not here.

    Raises EgressRefusedError for a host that the settings do not name: libpq's sockets are its own, so what it is told
    to reach is checked here; ConfigurationError if it would listen to somebody else as well. Parameters of failing
    statements are hidden: addresses never reach a log (house rule).
    """
    _refuse_detours(url)
    for host, port in list_places(url):
        egress.check(host, port)
    return create_engine(
        url,
        pool_size=5,
        max_overflow=15,  # FastAPI's thread pool has 40 threads; more connections would only queue inside PostgreSQL
        pool_use_lifo=True,  # the one that has just been used knows its statements, and the others may rest
        pool_pre_ping=True,  # a restarted PostgreSQL costs one round trip, not one failed request per connection
        hide_parameters=True,
        connect_args={
            "application_name": application_name,
            "connect_timeout": 5,
            "options": "-c timezone=UTC -c statement_timeout=60s -c lock_timeout=10s"
            " -c idle_in_transaction_session_timeout=60s",
        },
    )


def list_places(url: str) -> Iterator[tuple[str, int]]:
    """Every host and port that libpq could connect to for this URL; one on a local socket has none."""
    parts = make_url(url)
    hosts = [parts.host, *_several(parts.query.get("host")), *_several(parts.query.get("hostaddr"))]
    given = [parts.port, *(int(port) for port in _several(parts.query.get("port")) if port.isdigit())]
    ports = {port for port in given if port} or {PORT}
    for host in hosts:
        if host and not host.startswith("/"):
            for port in ports:
                yield host, port


def _refuse_detours(url: str) -> None:
    """The environment and service files can lead libpq elsewhere than the URL says."""
    parts = make_url(url)
    told = {option.keyword.decode(): option.val for option in pq.Conninfo.get_defaults()}
    detours = [name for name in ("service", "hostaddr") if told.get(name) and name not in parts.query]
    if told.get("host") and not (parts.host or "host" in parts.query):
        detours.append("host")
    if "service" in parts.query or detours:
        what = ", ".join(f"PG{name.upper()}" for name in detours) or "`service` in the URL"
        raise ConfigurationError(
            f"{what} would lead the connection to PostgreSQL elsewhere than the database URL says; nothing was "
            "connected to. Remove it, and name the host in the URL."
        )


def _several(value: str | Sequence[str] | None) -> list[str]:
    values = [value] if isinstance(value, str) else list(value or ())
    return [part for several in values for part in several.split(",")]
