"""The transaction: the only place that commits, and the only way to tell the queue something.

Hints are published after a successful commit and never after a rollback, so no worker can look too early.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from service.domain.words import Lane
from service.errors import ServiceError
from service.ports import Clock, Hint, TaskQueue


class Transaction:
    """What a use case gets first: the session, the time it began, and a place to leave hints."""

    def __init__(self, session: Session, now: datetime) -> None:
        self.session = session
        self.now = now
        """UTC; one value for everything that happens in this transaction."""
        self.hints: list[tuple[Hint, Lane, tuple[int, ...]]] = []

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is done and hinted within is undone if it raises; the transaction itself can go on."""
        hints = list(self.hints)
        try:
            with self.session.begin_nested():
                yield
        except BaseException:
            self.hints = hints
            raise

    def hint(self, hint: Hint, lane: Lane, *ids: int) -> None:
        """Publish after commit. The same hint twice is published once."""
        entry = (hint, lane, ids)
        if entry not in self.hints:
            self.hints.append(entry)


FAULTS = (SQLAlchemyError, ServiceError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What one row that is not as it should be can raise within a savepoint; a lost connection raises again after it."""

TransactionFactory = Callable[[], AbstractContextManager[Transaction]]
"""`with transaction() as tx:` commits at the end of the block, or rolls everything back if it raises."""


def factory(engine: Engine, clock: Clock, queue: TaskQueue) -> TransactionFactory:
    sessions = sessionmaker(engine, expire_on_commit=False)

    @contextmanager
    def transaction() -> Iterator[Transaction]:
        with sessions() as session:
            tx = Transaction(session, clock.now())
            with session.begin():
                yield tx
        for hint, lane, ids in tx.hints:
            queue.hint(hint, lane, *ids)

    return transaction
