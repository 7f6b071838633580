"""What the ledger costs: appending, sealing and verifying, each beside a reference measured in the same run.

    python -m benchmarks.ledger --json --events 1000000

Starts a PostgreSQL of its own in a temporary directory, with its default durability. The last line is one JSON object.
"""

import argparse
import gc
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import text

from service import demo
from service.bootstrap import SystemClock
from service.demo.servers import Postgres
from service.domain.evidence import Evidence
from service.domain.tokens import Keys
from service.domain.words import Channel, ConsentState, Language, Purpose
from service.store import consent, migrate, wordings
from service.store import engine as store_engine
from service.store.append_only import AppendOnlyFile
from service.store.consent import NewEvent
from service.store.schema import List
from service.store.transaction import TransactionFactory, factory
from service.usecases import sealing

EACH = 3
"""Events a reader: asked, given, taken back or given again."""
BATCH = 3_000
"""Events a transaction of append_many, as an import admits them."""
SINGLE = 2_000
"""Events appended one by one."""
EVIDENCE = Evidence("203.0.113.7", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101", "https://fjell.example/")


class NoQueue:
    def hint(self, *_: object) -> None:
        """Nobody is listening."""


class Bench:
    def __init__(self, directory: Path, url: str) -> None:
        self.url = url
        self.secret = secrets.token_urlsafe(32)
        self.keys = Keys(self.secret)
        self.engine = store_engine.create(url, "benchmark")
        self.transaction: TransactionFactory = factory(self.engine, SystemClock(), NoQueue())
        self.file = AppendOnlyFile(directory / "ledger" / "checkpoints.jsonl")
        with self.transaction() as tx:
            row = List(slug="training", names={}, list_id="training.news.example")
            tx.session.add(row)
            tx.session.flush()
            self.list_id = row.id
            self.statement_id = wordings.add_statement(tx, Purpose.DIGEST, Language.EN, "Yes, send me the digest.")
            self.notice_id = wordings.add_notice(tx, Language.EN, "We never share.")
            self.form_id = wordings.add_form(tx, "hub", self.list_id, {"notices": {"en": self.notice_id}})

    def readers(self, number: int) -> list[int]:
        with self.transaction() as tx:
            return list(
                tx.session.scalars(
                    text(
                        "INSERT INTO subscribers (address, dedupe_key, address_hmac, language) "
                        "SELECT a, a, sha256(a::bytea), 'en' FROM (SELECT 'reader-' || "
                        "(SELECT count(*) FROM subscribers) + n || '@many.example' AS a "
                        "FROM generate_series(1, :number) n) x RETURNING id"
                    ),
                    {"number": number},
                )
            )

    def event(self, reader: int, state: ConsentState) -> NewEvent:
        return NewEvent(
            subscriber_id=reader,
            list_id=self.list_id,
            purpose=Purpose.DIGEST,
            state=state,
            channel=Channel.CONFIRMATION,
            statement_id=self.statement_id,
            notice_id=self.notice_id,
            form_id=self.form_id,
            evidence=EVIDENCE,
        )

    def past_of(self, reader: int) -> Iterator[NewEvent]:
        last = ConsentState.WITHDRAWN if reader % 3 else ConsentState.REAFFIRMED
        for state in (ConsentState.REQUESTED, ConsentState.GIVEN, last)[:EACH]:
            yield self.event(reader, state)


def timed(act: Callable[[], object]) -> float:
    gc.collect()
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def append_in_bulk(bench: Bench, number: int) -> None:
    readers = bench.readers(number // EACH)
    for start in range(0, len(readers), BATCH // EACH):
        with bench.transaction() as tx:
            events = [event for reader in readers[start : start + BATCH // EACH] for event in bench.past_of(reader)]
            consent.append_many(tx, bench.keys.ledger, events)


def append_in_one(bench: Bench, readers: list[int]) -> None:
    with bench.transaction() as tx:
        for reader in readers:
            consent.append(tx, bench.keys.ledger, bench.event(reader, ConsentState.GIVEN))


def append_one_by_one(bench: Bench, readers: list[int]) -> None:
    for reader in readers:
        with bench.transaction() as tx:
            consent.append(tx, bench.keys.ledger, bench.event(reader, ConsentState.GIVEN))


def plain_rows(bench: Bench, number: int) -> list[dict[str, Any]]:
    """Rows of real events, for a table without chain, keys, seals or subscriptions."""
    with bench.transaction() as tx:
        rows = tx.session.execute(text("SELECT * FROM consent_events ORDER BY id LIMIT :number"), {"number": number})
        return [dict(row) for row in rows.mappings()]


def insert_plainly(owner_url: str, rows: list[dict[str, Any]]) -> tuple[float, float]:
    """The reference of appending: the same bytes, one INSERT each. (Seconds in one transaction, with a commit each.)"""
    engine = store_engine.create(owner_url, "benchmark reference")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE plain (LIKE consent_events, PRIMARY KEY (id))"))
    columns = list(rows[0])
    insert = text(f"INSERT INTO plain ({', '.join(columns)}) VALUES ({', '.join(f':{c}' for c in columns)})")

    def in_one() -> None:
        with engine.begin() as connection:
            for row in rows:
                connection.execute(insert, row)

    def each() -> None:
        for row in rows:
            with engine.begin() as connection:
                connection.execute(insert, row)

    seconds = timed(in_one)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE plain"))
    committed = timed(each)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE plain"))
    engine.dispose()
    return seconds, committed


def seal(bench: Bench) -> None:
    while sealing.seal_new(bench.transaction, bench.keys.ledger, bench.file):
        pass


def hash_everything(bench: Bench) -> float:
    """The reference of verifying: read every row in the same order and hash its bytes twice, and nothing else."""
    driver = bench.engine.raw_connection()

    def act() -> None:
        connection = driver.driver_connection
        assert connection is not None
        with connection.cursor("reference") as cursor:
            cursor.itersize = 2000
            cursor.execute("SELECT * FROM consent_events ORDER BY subscriber_id, seq", binary=True)
            for row in cursor:
                sha256(sha256(repr(row).encode()).digest()).digest()

    seconds = timed(act)
    driver.close()
    return seconds


def verify(directory: Path, url: str, secret: str) -> tuple[float, float, dict[str, Any]]:
    """As an operator does it, in a process of its own. (seconds, peak MB, report)."""
    settings = {
        "environment": "demo",
        "database_url": url,
        "redis_url": "redis://127.0.0.1:1/0",
        "secret_key": secret,
        "state_dir": str(directory),
        "public_url": "http://localhost:8025",
        "site_url": "http://localhost:8026",
        "controller_name": "Fjellsko Sport AS",
        "controller_address": "Løypa 1, 0000 Fjellby, Norway",
        "controller_contact": "privacy@fjellsko.example",
        "sender_name": "Fjellsko Training Hub",
        "sender_address": "training@fjellsko.example",
        "relay_host": "127.0.0.1",
        "relay_tls": "none",
        "signup_check_dns": "false",
        "processors_file": str(Path(demo.__file__).parent / "processors.toml"),
    }
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MILEPOST_")}
    with (directory / "report.json").open("w+") as out:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "consent", "verify", "--json"],
            env=ours | {f"MILEPOST_{name.upper()}": value for name, value in settings.items()},
            stdout=out,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        report = json.loads(out.read())
    assert process.returncode == 0, report
    return seconds, usage.ru_maxrss / 1024, report


def measure(directory: Path, number: int) -> dict[str, Any]:
    server = Postgres(directory / "postgres")
    server.start()
    try:
        owner, app = migrate.create_roles(server.url(), "milepost", "owner-pass", "app-pass")
        migrate.upgrade(owner)
        bench = Bench(directory, app)
        append_in_one(bench, bench.readers(100))  # everything is imported and prepared
        bulk = timed(lambda: append_in_bulk(bench, number))
        with bench.transaction() as tx:
            events = tx.session.scalar(text("SELECT count(*) FROM consent_events"))
        known, new = bench.readers(SINGLE), bench.readers(SINGLE)
        in_one = timed(lambda: append_in_one(bench, known)) / SINGLE
        again = timed(lambda: append_in_one(bench, known)) / SINGLE
        alone = timed(lambda: append_one_by_one(bench, new)) / SINGLE
        plain, committed = (seconds / SINGLE for seconds in insert_plainly(owner, plain_rows(bench, SINGLE)))
        total = events + 3 * SINGLE
        sealing_seconds = timed(lambda: seal(bench))
        hashed = hash_everything(bench)
        seconds, peak, report = verify(directory, app, bench.secret)
        assert report["intact"], report
        assert (report["events"], report["sealed"]) == (total, total)
        bench.engine.dispose()
    finally:
        server.stop()
    return {
        "benchmark": "ledger",
        "events": total,
        "append_many_ms": round(bulk / events * 1000, 3),
        "append_first_ms": round(in_one * 1000, 3),
        "append_next_ms": round(again * 1000, 3),
        "plain_insert_ms": round(plain * 1000, 3),
        "append_beyond_plain_ms": round((again - plain) * 1000, 3),
        "append_and_commit_ms": round(alone * 1000, 3),
        "plain_insert_and_commit_ms": round(committed * 1000, 3),
        "append_ratio": round(alone / committed, 2),
        "seal_ms": round(sealing_seconds / total * 1000, 4),
        "checkpoints": report["checkpoints"],
        "file_mb": round(bench.file.path.stat().st_size / 1e6, 1),
        "verify_seconds": round(seconds, 1),
        "verify_peak_mb": round(peak, 1),
        "read_and_hash_seconds": round(hashed, 1),
        "verify_ratio": round(seconds / hashed, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="Print the JSON line only.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="milepost-ledger-") as name:
        result = measure(Path(name), asked.events)
    if not asked.json:
        for key, value in result.items():
            print(f"{key:<28} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
