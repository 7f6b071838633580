"""Planning a campaign: one row per recipient, in parts, each a statement and a transaction of its own.

    python -m benchmarks.plan --json --recipients 1000000

The reference, alternating in the same run, is a bare INSERT … SELECT of as many rows of the same columns into a table
without indexes or checks. PostgreSQL has its default durability. The last line is one JSON object.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from service.bootstrap import SystemClock
from service.demo.servers import Postgres
from service.store import engine as store_engine
from service.store import migrate
from service.store.transaction import TransactionFactory, factory
from service.usecases import campaigning
from service.usecases.steps.planning import plan_more
from tests.builders import a_campaign, a_list, many_readers
from tests.conftest import HintList


def bare(owner: Engine, recipients: int) -> float:
    """Seconds of writing the rows and nothing else."""
    with owner.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS bare"))
        connection.execute(text("CREATE TABLE bare AS SELECT * FROM deliveries WHERE false"))
    began = time.perf_counter()
    with owner.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO bare (id, lane, kind, subscriber_id, list_id, purpose, campaign_id, status, due_at, "
                "attempts, created_at) SELECT n, 'bulk', 'campaign', n, 1, 'offers', 1, 'queued', now(), 0, now() "
                "FROM generate_series(1, :number) n"
            ),
            {"number": recipients},
        )
    return time.perf_counter() - began


def plan(transaction: TransactionFactory, campaign_id: int) -> None:
    """As workers do, but for the mails that they send between one part of the audience and the next."""
    with transaction() as tx:
        campaigning.plan_campaign(tx, campaign_id)
    more = True
    while more:
        with transaction() as tx:
            more = plan_more(tx, campaign_id)


_PLANNED = text("SELECT count(*) FROM deliveries WHERE campaign_id = :id AND status = 'queued'")


def measure(directory: Path, recipients: int, runs: int) -> dict[str, Any]:
    server = Postgres(directory / "postgres")
    server.start()
    try:
        owner_url, app = migrate.create_roles(server.url(), "milepost", "owner-pass", "app-pass")
        migrate.upgrade(owner_url)
        owner = store_engine.create(owner_url, "benchmark owner")
        engine = store_engine.create(app, "benchmark")
        transaction = factory(engine, SystemClock(), HintList())
        with transaction() as tx:
            list_id = a_list(tx)
            many_readers(tx, recipients, list_id=list_id)
        with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        seconds, references = [], []
        for _ in range(runs):
            references.append(bare(owner, recipients))
            with transaction() as tx:
                campaign_id = a_campaign(tx, list_id=list_id)
                campaigning.order_campaign(tx, campaign_id, by="ada")
            began = time.perf_counter()
            plan(transaction, campaign_id)
            seconds.append(time.perf_counter() - began)
            with transaction() as tx:
                planned = tx.session.scalar(_PLANNED, {"id": campaign_id})
            if planned != recipients:
                raise RuntimeError(f"{planned} of {recipients} were planned")
        engine.dispose()
        owner.dispose()
    finally:
        server.stop()
    return {
        "benchmark": "plan",
        "recipients": recipients,
        "runs": runs,
        "seconds": round(statistics.median(seconds), 2),
        "seconds_of_each": [round(each, 2) for each in seconds],
        "reference_seconds": round(statistics.median(references), 2),
        "ratio": round(statistics.median(a / b for a, b in zip(seconds, references, strict=True)), 2),
        "us_per_recipient": round(statistics.median(seconds) / recipients * 1e6, 1),
        "python_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipients", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="milepost-plan-") as name:
        result = measure(Path(name), asked.recipients, asked.runs)
    if not asked.json:
        for key, value in result.items():
            print(f"{key:>20}  {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
