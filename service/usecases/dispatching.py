"""Sending, turn by turn; and what is done about workers that died.

Why nobody gets two copies and nobody is lost, wherever a worker, its host's PostgreSQL or Redis is killed:

1. before the claim is committed: nothing has happened; the rows are queued.
2. claimed, not yet in the journal: the message cannot have left (its final dot follows the note) → queued again.
3. noted as started, no answer noted: it may have left → uncertain; interactive mail is queued again.
4. answer noted, not recorded: settling records it from the journal.
5. recorded, not crossed out: the row is no longer held by this worker, and settling touches only what it holds.
6. crossed out in the journal: after the commit of 5. What is claimed again before that is not started but given back,
   so a note never speaks of an older claim.
7. the answer to our COMMIT was lost: either 1 or 2 for a claim, either 4 or 5 for results. Nobody needs to know which.
8. PostgreSQL is away while results are recorded: this turn ends with an error; the next one (hint or sweep) begins by
   settling this process's own leftovers from its own journal, and claims nothing before that is committed.
9. the machine was restarted: the journal is not believed where it is silent, so 2 becomes 3.
10. the machine is gone, and its journal with it: an operator declares the worker lost; all that it held becomes 3.

A journal is settled by whoever holds its lock, so never while its worker lives, and removed only after the commit.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from service.domain.deliveries import FIRST_HOLD, PRESUMED_DEAD, decide_after_death, decide_result, lost_answer
from service.domain.smtp_replies import decide_fate
from service.domain.words import Lane
from service.ports import Hint
from service.store import campaigns, claims, deliveries, signups, worker_processes
from service.store.transaction import Transaction, TransactionFactory
from service.usecases.steps.senders import Journaled, Sender
from service.usecases.steps.turns import Turn

log = structlog.get_logger(__name__)

HINT_PATIENCE = timedelta(seconds=5)
"""How long a hint may be on its way before the sweep repeats it."""


def send_due(sender: Sender) -> int:
    """Send what is due in the sender's lane, for about TURN. Returns how many messages were tried.

    Opens its own transactions. Ends early when nothing is due, when the relay cannot be used, or when the process is to
    stop; asks to be called again when its time is up.
    """
    if sender.clock.monotonic() < sender.held_until:
        return 0
    leftovers = settle(sender.transaction, sender.journal, sender.jitter)
    if leftovers:
        log.warning("leftovers_settled", held=leftovers)
    sender.journal.clear()
    turn = Turn(sender)
    if turn.run():
        with sender.transaction() as tx:
            tx.hint(Hint.SEND_DUE, sender.lane)
    return turn.tried


def settle(transaction: TransactionFactory, journal: Journaled, jitter: Callable[[], float]) -> int:
    """Answer for everything that the journal's worker holds. Returns how much that was."""
    with transaction() as tx:
        return _settle(tx, journal, jitter)


def recover_journals(
    transaction: TransactionFactory, journals: Iterable[Journaled], jitter: Callable[[], float]
) -> int:
    """Settle workers that have ended, each in its own transaction, and remove their journals after the commit.

    `journals` yields those whose writers are dead, locked. Returns how many deliveries were held by them.
    """
    total = 0
    for journal in journals:
        with transaction() as tx:
            held = _settle(tx, journal, jitter)
            worker_processes.mark_ended(tx, journal.worker_id)
        journal.remove()
        log.info("worker_settled", worker_id=str(journal.worker_id), held=held)
        total += held
    return total


def _settle(tx: Transaction, journal: Journaled, jitter: Callable[[], float]) -> int:
    held = claims.list_held(tx, journal.worker_id)
    if not held:
        return 0
    notes = journal.read()
    known = [(delivery, decide_after_death(delivery.delivery_id, notes)) for delivery in held]
    results = [
        decide_result(
            outcome,
            decide_fate(outcome),
            lane=delivery.lane,
            attempts=delivery.attempts,
            jitter=jitter(),
            hold=FIRST_HOLD,
        )
        for delivery, outcome in known
        if outcome is not None
    ]
    claims.record_results(tx, journal.worker_id, results)
    claims.give_back(tx, journal.worker_id)
    for lane in {delivery.lane for delivery in held}:
        tx.hint(Hint.SEND_DUE, lane)
    return len(held)


def declare_lost(tx: Transaction, worker_id: UUID, *, by: str) -> int:
    """An operator says that a worker's host is gone, and its journal with it. Returns how many deliveries it held.

    Nobody knows which of them left: campaign and digest mail becomes uncertain, interactive mail is queued again.
    Raises ServiceError (NOT_FOUND; CONFLICT while the worker's heart beats, or if it has been settled).
    """
    worker = worker_processes.lock_lost_candidate(tx, worker_id, tx.now - PRESUMED_DEAD)
    held = claims.list_held(tx, worker_id)
    text = f"Its worker on {worker.host} was declared lost by {by}; nobody knows whether the relay took it."
    results = []
    for delivery in held:
        outcome = lost_answer(delivery.delivery_id, text)
        verdict = decide_fate(outcome)
        results.append(decide_result(outcome, verdict, lane=delivery.lane, attempts=delivery.attempts, jitter=0.0))
    claims.record_results(tx, worker_id, results)
    worker_processes.mark_ended(tx, worker_id)
    log.warning("worker_declared_lost", worker_id=str(worker_id), by=by, held=len(held))
    return len(held)


@dataclass(frozen=True)
class Swept:
    """What a sweep found that nobody had been told of."""

    woken: list[Lane]
    released: list[int]
    """Interactive deliveries of workers that fell silent."""
    cancelled: int
    finished: list[int]
    """Campaigns that are done."""
    unplanned: list[int]
    """Campaigns whose audience nobody has planned."""


def sweep(tx: Transaction) -> Swept:
    """Find what no hint led to: due mail, silent workers, finished campaigns, undecided sign-ups (invariant 1)."""
    released = claims.release_expired(tx)
    cancelled = deliveries.cancel_queued(tx)
    deliveries.give_articles_back(tx, cancelled)
    finished = campaigns.finish_done(tx)
    unplanned = campaigns.list_waiting_for_plan(tx, tx.now - HINT_PATIENCE)
    for campaign_id in unplanned:
        tx.hint(Hint.PLAN_CAMPAIGN, Lane.BULK, campaign_id)
    woken = deliveries.list_lanes_to_wake(tx)
    for lane in woken:
        tx.hint(Hint.SEND_DUE, lane)
    if signups.has_received(tx, tx.now - HINT_PATIENCE):
        tx.hint(Hint.PROCESS_SIGNUPS, Lane.INTERACTIVE)
    return Swept(woken, released, len(cancelled), finished, unplanned)
