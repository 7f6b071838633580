"""A ledger with real commits, its checkpoint file, and a database superuser who means no good."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, make_url, text

from service.domain.erasures import FIRST, Erased, Line, line_sha256, write_line
from service.domain.ledger import LedgerKeys
from service.domain.tokens import Keys
from service.domain.words import Channel, ConsentState, Language, Purpose
from service.store import consent, erasures, wordings
from service.store import engine as store_engine
from service.store.append_only import AppendOnlyFile
from service.store.consent import NewEvent
from service.store.transaction import TransactionFactory, factory
from service.usecases import sealing
from service.usecases.verifying import Report, verify
from tests.builders import a_list, a_reader
from tests.conftest import FrozenClock, HintList

KEYS = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu")
STATES = (ConsentState.REQUESTED, ConsentState.GIVEN, ConsentState.WITHDRAWN)
_addresses = (f"reader-{number}@fjell.example" for number in itertools.count(1))


@dataclass
class Ledger:
    transaction: TransactionFactory
    clock: FrozenClock
    file: AppendOnlyFile
    erasure_file: AppendOnlyFile
    admin_url: str
    keys: Keys = KEYS
    list_id: int = 0
    statement_id: int = 0
    readers: list[int] = field(default_factory=list)

    def reader(self, *states: ConsentState) -> int:
        """A new reader with these events."""
        with self.transaction() as tx:
            reader = a_reader(tx, next(_addresses), state=None)
        self.readers.append(reader)
        for state in states or STATES:
            self.append(reader, state)
        return reader

    def append(self, reader: int, state: ConsentState = ConsentState.GIVEN) -> int:
        self.clock.advance(seconds=1)
        with self.transaction() as tx:
            event = NewEvent(
                subscriber_id=reader,
                list_id=self.list_id,
                purpose=Purpose.DIGEST,
                state=state,
                channel=Channel.FORM if state is ConsentState.REQUESTED else Channel.CONFIRMATION,
                statement_id=self.statement_id,
            )
            return consent.append(tx, self.keys.ledger, event)

    def seal(self) -> None:
        self.clock.advance(seconds=60)
        while sealing.seal_new(self.transaction, self.keys.ledger, self.file):
            pass

    def erase(self, reader: int | None) -> None:
        """As far as the ledger is concerned: a line in the log, then what follows from it."""
        lines = list(self.erasure_file.lines())
        erased = Erased(len(lines) + 1, reader, (), (), (), (), self.clock.now())
        prev = line_sha256(lines[-1]) if lines else FIRST
        written = write_line(self.keys.ledger, erased, prev)
        self.erasure_file.append(written)
        with self.transaction() as tx:
            if reader is not None:
                for table in ("subject_keys", "subscriptions"):
                    tx.session.execute(text(f"DELETE FROM {table} WHERE subscriber_id = :reader"), {"reader": reader})
                tx.session.execute(text("DELETE FROM subscribers WHERE id = :reader"), {"reader": reader})
            erasures.add_erasure(tx, Line(erased, line_sha256(written)))

    def verify(self, keys: LedgerKeys | None = None) -> Report:
        return verify(self.transaction, keys or self.keys.ledger, self.file, erasure_file=self.erasure_file)

    @contextmanager
    def superuser(self) -> Iterator[Connection]:
        """Whom neither grants nor triggers nor foreign keys hold back; commits at the end."""
        engine = create_engine(self.admin_url)
        try:
            with engine.begin() as connection:
                connection.execute(text("SET LOCAL session_replication_role = replica"))
                yield connection
        finally:
            engine.dispose()

    def tamper(self, *statements: str, **values: Any) -> None:
        with self.superuser() as connection:
            for statement in statements:
                done = connection.execute(text(statement), values)
                assert done.rowcount, f"changed nothing: {statement}"

    def event(self, reader: int, seq: int) -> Any:
        """The row as it is now."""
        with self.superuser() as connection:
            return connection.execute(
                text(
                    "SELECT e.*, s.position FROM consent_events e LEFT JOIN event_seals s ON s.event_id = e.id "
                    "WHERE e.subscriber_id = :reader AND e.seq = :seq"
                ),
                {"reader": reader, "seq": seq},
            ).one()


@contextmanager
def a_ledger(
    urls: tuple[str, str],
    admin_url: str,
    directory: Path,
    clock: FrozenClock | None = None,
    *,
    like: Ledger | None = None,
) -> Iterator[Ledger]:
    """`like`: the database and the directory are copies of that one's."""
    clock = clock or FrozenClock(like.clock.now() if like else None)
    engine = store_engine.create(urls[1], "tests")
    ledger = Ledger(
        transaction=factory(engine, clock, HintList()),
        clock=clock,
        file=AppendOnlyFile(directory / "ledger" / "checkpoints.jsonl"),
        erasure_file=AppendOnlyFile(directory / "ledger" / "erasures.jsonl"),
        admin_url=make_url(admin_url).set(database=make_url(urls[1]).database).render_as_string(hide_password=False),
    )
    if like is None:
        with ledger.transaction() as tx:
            ledger.list_id = a_list(tx)
            ledger.statement_id = wordings.add_statement(tx, Purpose.DIGEST, Language.EN, "Yes, send me the digest.")
    else:
        ledger.list_id, ledger.statement_id, ledger.readers = like.list_id, like.statement_id, list(like.readers)
    try:
        yield ledger
    finally:
        engine.dispose()
