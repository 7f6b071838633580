"""Whether what the settings name can be used: one question per server, an answer in a few seconds, advice in words."""

import os
import socket
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service.cli.refusals import first_line
from service.errors import ConfigurationError

if TYPE_CHECKING:
    from service.settings import Settings

PATIENCE_SECONDS = 3.0


def need_writable(directory: Path) -> None:
    """Raises ConfigurationError unless files can be made in `directory`, which is created if need be."""
    probe = directory / f".probe-{uuid.uuid4().hex}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"MILEPOST_STATE_DIR is {directory}, where nothing can be written: {error.strerror}. Nothing was started. "
            f"Make the directory writable for {_who()}: workers keep their journals there."
        ) from None


def need_free(host: str, port: int) -> None:
    """Raises ConfigurationError unless `host`:`port` can be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise ConfigurationError(
            f"{host}:{port} cannot be listened on: {reason}. Nothing was started. Stop what listens there, or "
            "choose another with MILEPOST_WEB_HOST and MILEPOST_WEB_PORT."
        ) from None


def _who() -> str:
    return f"user {os.geteuid()}"


def need_database(settings: "Settings") -> None:
    """Raises ConfigurationError unless the database answers and has this version's tables."""
    from sqlalchemy.exc import DBAPIError

    from service.store import engine as store_engine
    from service.store import migrate

    engine = store_engine.create(settings.database_url, "milepost start")
    try:
        with engine.connect() as connection:
            migrate.check_version(connection)
        pending = migrate.pending(engine)
    except DBAPIError as error:
        raise ConfigurationError(
            f"PostgreSQL at {database_place(settings.database_url)} cannot be used: {first_line(error.orig)}. "
            "Nothing was started. Start the server or correct MILEPOST_DATABASE_URL; `milepost doctor` looks again."
        ) from None
    finally:
        engine.dispose()
    if pending:
        raise ConfigurationError(
            f"The database lacks {len(pending)} migration(s) of this version ({', '.join(pending)}); nothing was "
            "started. Run `milepost migrate`."
        )


def need_fit(settings: "Settings", process: str) -> None:
    """Raises ConfigurationError unless the database may be served from: see `usecases/starting.py`."""
    from service.bootstrap import build_container, check_may_serve

    container = build_container(settings, process=process)
    try:
        check_may_serve(container)
    finally:
        container.engine.dispose()


def database_place(url: str) -> str:
    """Host, port and database of a URL, without the password."""
    from sqlalchemy import make_url

    parts = make_url(url)
    host = parts.host or parts.query.get("host") or "the local socket"
    return f"{host}{f':{parts.port}' if parts.port else ''}, database {parts.database}"


def redis_trouble(url: str) -> str | None:
    """One sentence on why Redis cannot be used, or None."""
    import redis

    place = urlsplit(url)
    try:
        with redis.Redis.from_url(
            url, socket_connect_timeout=PATIENCE_SECONDS, socket_timeout=PATIENCE_SECONDS
        ) as client:
            client.ping()
    except redis.RedisError as error:
        return (
            f"Redis at {place.hostname}:{place.port or 6379} cannot be used: {first_line(error)}. "
            "Start the server or correct MILEPOST_REDIS_URL."
        )
    return None


def relay_troubles(settings: "Settings") -> dict[str, str | None]:
    """For each relay that the settings name, one sentence on why it cannot be used, or None. Sends no mail."""
    from service.bootstrap import get_relays
    from service.mail import probe

    first, second = get_relays(settings)
    return {
        relay.name: probe.relay_trouble(
            relay.host,
            relay.port,
            relay.tls.value,
            credentials=(relay.user, relay.password) if relay.user and relay.password else None,
            helo_name=relay.helo_name,
            timeout=PATIENCE_SECONDS,
            settings="MILEPOST_RELAY" if relay is first else "MILEPOST_RELAY2",
        )
        for relay in (first, second)
        if relay is not None
    }
