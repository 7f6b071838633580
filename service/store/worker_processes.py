"""Worker processes that send: when they began, whether their heart beats, when they were settled."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update

from service.domain.words import Lane
from service.errors import Kind, ServiceError
from service.store.schema import WorkerProcess
from service.store.transaction import Transaction


def add_worker_process(tx: Transaction, worker_id: UUID, *, lane: Lane, host: str, pid: int) -> None:
    """Must be committed before the first claim, which refers to it."""
    tx.session.add(WorkerProcess(id=worker_id, lane=lane, host=host, pid=pid, started_at=tx.now, beat_at=tx.now))


def record_beat(tx: Transaction, worker_id: UUID) -> None:
    tx.session.execute(update(WorkerProcess).where(WorkerProcess.id == worker_id).values(beat_at=tx.now))


def may_claim(tx: Transaction, worker_id: UUID) -> bool:
    """Whether nobody has ended the worker; nobody can until this transaction is over."""
    living = select(WorkerProcess.id).where(WorkerProcess.id == worker_id, WorkerProcess.ended_at.is_(None))
    return tx.session.scalar(living.with_for_update(read=True, key_share=True)) is not None


def mark_ended(tx: Transaction, worker_id: UUID) -> None:
    """Nothing is claimed by it any more. A worker that never got as far as a row needs none."""
    tx.session.execute(
        update(WorkerProcess)
        .where(WorkerProcess.id == worker_id, WorkerProcess.ended_at.is_(None))
        .values(ended_at=tx.now)
    )


def count_alive(tx: Transaction, beats_after: datetime) -> int:
    """Workers that have not ended and whose heart has beaten since."""
    alive = select(func.count()).where(WorkerProcess.ended_at.is_(None), WorkerProcess.beat_at > beats_after)
    return tx.session.scalar(alive) or 0


def lock_lost_candidate(tx: Transaction, worker_id: UUID, beats_before: datetime) -> WorkerProcess:
    """The worker, locked, if it is silent. Raises ServiceError (NOT_FOUND, or CONFLICT while its heart beats)."""
    worker = tx.session.get(WorkerProcess, worker_id, with_for_update=True, populate_existing=True)
    if worker is None:
        raise ServiceError(
            Kind.NOT_FOUND,
            "worker_unknown",
            f"There is no worker {worker_id}; nothing was done. `milepost status` lists those that hold mail.",
        )
    if worker.ended_at is not None:
        raise ServiceError(
            Kind.CONFLICT,
            "worker_ended",
            f"Worker {worker_id} ended at {worker.ended_at:%Y-%m-%d %H:%M:%S} UTC and holds nothing; nothing was done.",
        )
    if worker.beat_at > beats_before:
        raise ServiceError(
            Kind.CONFLICT,
            "worker_alive",
            f"Worker {worker_id} on {worker.host} (process {worker.pid}) was alive at {worker.beat_at:%H:%M:%S} UTC; "
            "nothing was done. Stop it first, then say so again after a minute.",
        )
    return worker
