"""The engine: pool sizes, time-outs and names, so that a stuck query is seen and ended."""

from sqlalchemy import Engine, create_engine


def create(url: str, application_name: str) -> Engine:
    """An engine for `url` (postgresql+psycopg://…). Connections are made on first use, not here.

    Parameters of failing statements are hidden: addresses never reach a log (house rule).
    """
    return create_engine(
        url,
        pool_size=5,
        max_overflow=15,  # FastAPI's thread pool has 40 threads; more connections would only queue inside PostgreSQL
        pool_pre_ping=True,  # a restarted PostgreSQL costs one round trip, not one failed request per connection
        hide_parameters=True,
        connect_args={
            "application_name": application_name,
            "connect_timeout": 5,
            "options": "-c timezone=UTC -c statement_timeout=60s -c lock_timeout=10s"
            " -c idle_in_transaction_session_timeout=60s",
        },
    )
