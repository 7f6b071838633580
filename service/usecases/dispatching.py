"""Sending: claim, commit, touch the wire, record, and again; and what is done about workers that died.

Why nobody gets two copies and nobody is lost, wherever a worker, its host's PostgreSQL or Redis is killed:

1. before the claim is committed: nothing has happened; the rows are queued.
2. claimed, not yet in the journal: the message cannot have left (its final dot follows the note) → queued again.
3. noted as started, no answer noted: it may have left → uncertain; interactive mail is queued again.
4. answer noted, not recorded: settling records it from the journal.
5. recorded, journal not cleared: the row is no longer held by this worker, and settling touches only what it holds.
6. journal cleared: only after the commit of 5 and before the next claim, so a note never speaks of an older claim.
7. the answer to our COMMIT was lost: either 1 or 2 for a claim, either 4 or 5 for results. Nobody needs to know which.
8. PostgreSQL is away while results are recorded: this turn ends with an error; the next one (hint or sweep) begins by
   settling this process's own leftovers from its own journal, and claims nothing before that is committed.
9. the machine was restarted: the journal is not believed where it is silent, so 2 becomes 3.
10. the machine is gone, and its journal with it: an operator declares the worker lost; all that it held becomes 3.

A journal is settled by whoever holds its lock, so never while its worker lives, and removed only after the commit.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog

from service.domain.confirming import Copy
from service.domain.deliveries import (
    FIRST_BATCH,
    FIRST_HOLD,
    LEASE,
    LEASE_MARGIN,
    PRESUMED_DEAD,
    START_WITHIN,
    TURN,
    Notes,
    Result,
    decide_after_death,
    decide_result,
    lost_answer,
    next_batch,
    next_hold,
)
from service.domain.letters import Letter
from service.domain.outcomes import Message, Outcome, Phase
from service.domain.smtp_replies import Scope, decide_fate
from service.domain.tokens import Keys
from service.domain.words import Lane
from service.errors import ServiceError
from service.mail.sources import template_source
from service.mail.withholding import copy_of
from service.mail.writer import UnwritableError
from service.ports import Clock, Hint, Journal, Transport
from service.store import campaigns, claims, deliveries, letters, proofs, signups, worker_processes
from service.store.transaction import Transaction, TransactionFactory

log = structlog.get_logger(__name__)

HINT_PATIENCE = timedelta(seconds=5)
"""How long a hint may be on its way before the sweep repeats it."""


class Journaled(Protocol):
    """What a worker noted, as settling needs it."""

    @property
    def worker_id(self) -> UUID: ...
    def read(self) -> Notes: ...
    def remove(self) -> None: ...


class OwnJournal(Journaled, Journal, Protocol):
    def clear(self) -> None: ...


@dataclass
class Sender:
    """One worker process that sends: what it sends with, and what it has learnt about the relay."""

    lane: Lane
    journal: OwnJournal
    transaction: TransactionFactory
    clock: Clock
    transport: Transport
    write: Callable[[Letter, datetime], Message]
    message_host: str
    """Right side of Message-IDs."""
    keys: Keys
    """For the copy of each confirmation mail, which is kept as evidence, and fingerprints of addresses to test with."""
    jitter: Callable[[], float]
    """Draws from -1 … 1."""
    stopping: Callable[[], bool] = lambda: False
    """Whether the process has been asked to end: nothing more is claimed."""

    batch: int = field(default=FIRST_BATCH, init=False)
    hold: timedelta | None = field(default=None, init=False)
    """How long the relay is being left alone; None while it works."""
    held_until: float = field(default=0.0, init=False)
    last_campaign: int = field(default=0, init=False)
    ended: bool = field(default=False, init=False)
    """An operator declared this worker lost: it claims nothing any more, and its process needs another."""

    @property
    def worker_id(self) -> UUID:
        return self.journal.worker_id


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
    tried = 0
    end = sender.clock.monotonic() + TURN.total_seconds()
    while not sender.stopping():
        if sender.clock.monotonic() >= end:
            with sender.transaction() as tx:
                tx.hint(Hint.SEND_DUE, sender.lane)
            break
        number, more = _send_batch(sender)
        tried += number
        if not more:
            break
    return tried


def _send_batch(sender: Sender) -> tuple[int, bool]:
    """Claim, send and record one batch. Returns how many messages were tried, and whether to go on."""
    claimed_at = sender.clock.monotonic()
    claimed, to_send, now = _claim(sender)
    if not claimed.held:
        return 0, claimed.skipped > 0
    attempts = {held.delivery_id: held.attempts for held in claimed.held}
    copies: list[Copy] = []
    write = partial(_write, sender, now=now)
    results = list(_send(sender, to_send, write, attempts, claimed_at, copies))
    seconds = sender.clock.monotonic() - claimed_at
    with sender.transaction() as tx:
        recorded = claims.record_results(tx, sender.worker_id, results)
        given_back = claims.give_back(tx, sender.worker_id)
        _keep(tx, sender, copies, results)
    sender.journal.clear()
    sender.batch = next_batch(len(results), seconds)
    log.info("batch_sent", tried=len(results), recorded=recorded, given_back=given_back, skipped=claimed.skipped)
    return len(results), sender.hold is None


def _claim(sender: Sender) -> tuple[claims.Claimed, list[Letter], datetime]:
    """What is held now, the letters of it, and the time at which what they say was true."""
    with sender.transaction() as tx:
        if not worker_processes.may_claim(tx, sender.worker_id):
            sender.ended = True
            log.warning("declared_lost_and_alive", worker_id=str(sender.worker_id))
            return claims.Claimed([], 0), [], tx.now
        claimed = _claim_next(tx, sender) if sender.lane is Lane.BULK else _claim_of(tx, sender, None)
        return claimed, letters.read_letters(tx, [held.delivery_id for held in claimed.held]), tx.now


def _claim_next(tx: Transaction, sender: Sender) -> claims.Claimed:
    """Of the next campaign; of the one after it where other workers are claiming all that is due; once round."""
    tried: set[int] = set()
    while True:
        campaign_id = campaigns.find_next_with_due(tx, sender.last_campaign)
        if campaign_id is None or campaign_id in tried:
            return claims.Claimed([], 0)
        tried.add(campaign_id)
        sender.last_campaign = campaign_id
        claimed = _claim_of(tx, sender, campaign_id)
        if claimed.held or claimed.skipped:
            return claimed


def _claim_of(tx: Transaction, sender: Sender, campaign_id: int | None) -> claims.Claimed:
    return claims.claim(
        tx,
        worker_id=sender.worker_id,
        lane=sender.lane,
        campaign_id=campaign_id,
        limit=sender.batch,
        message_host=sender.message_host,
        fingerprint=sender.keys.address_hmac,
    )


def _send(
    sender: Sender,
    to_send: list[Letter],
    write: Callable[[Letter], Message | Outcome],
    attempts: dict[int, int],
    claimed_at: float,
    copies: list[Copy],
) -> Iterator[Result]:
    """Start messages one by one for as long as the claim permits it; yield what became of those that were tried.

    What may be kept of them is added to `copies`.
    """
    unwritable: list[Outcome] = []
    stop = False

    def messages() -> Iterator[Message]:
        # What is not taken from here was not attempted, and goes back when the results are recorded.
        starts_end = claimed_at + min(START_WITHIN, LEASE - LEASE_MARGIN).total_seconds()
        for letter in to_send:
            if stop or sender.clock.monotonic() >= starts_end or sender.stopping():
                return
            written = write(letter)
            if isinstance(written, Outcome):
                unwritable.append(written)
            else:
                if copy := copy_of(letter, written, sender.keys):
                    copies.append(copy)
                yield written

    for outcome in sender.transport.send(messages()):
        result = _result(sender, outcome, attempts[outcome.delivery_id])
        stop = result.verdict.scope is Scope.RELAY
        yield result
    for outcome in unwritable:
        verdict = decide_fate(outcome)
        yield decide_result(outcome, verdict, lane=sender.lane, attempts=attempts[outcome.delivery_id], jitter=0.0)


def _keep(tx: Transaction, sender: Sender, copies: list[Copy], results: list[Result]) -> None:
    """Those that reached the relay, as evidence (D1 #11)."""
    reached = {result.outcome.delivery_id for result in results if result.outcome.phase is Phase.EOM}
    proofs.keep_confirmation_mails(
        tx,
        sender.keys.ledger,
        template_source,
        [copy for copy in copies if copy.delivery_id in reached],
    )


def _write(sender: Sender, letter: Letter, *, now: datetime) -> Message | Outcome:
    """The message, or why it can never be one: one bad letter fails alone and stops nobody else's.

    `now` is when the address was read: a fresh link dated later would open for a mailbox left meanwhile (D-14).
    """
    try:
        return sender.write(letter, now)
    except UnwritableError as error:
        return error.outcome(letter.delivery_id)
    except (ServiceError, ValueError, LookupError, TypeError) as error:
        # Where, and not what it says: the message may quote an address.
        fault = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{fault.filename}:{fault.lineno}"
        log.error("letter_unwritable", delivery_id=letter.delivery_id, error=type(error).__name__, where=where)  # noqa: TRY400
        text = f"Milepost could not write this mail ({type(error).__name__}); its log says more. Nothing was sent."
        return Outcome(letter.delivery_id, Phase.DATA, 554, "5.6.0", text, "milepost")


def _result(sender: Sender, outcome: Outcome, attempts: int) -> Result:
    verdict = decide_fate(outcome)
    if verdict.scope is Scope.RELAY:
        sender.hold = next_hold(sender.hold)
        sender.held_until = sender.clock.monotonic() + sender.hold.total_seconds()
        log.warning(
            "relay_unusable",
            relay=outcome.relay,
            phase=outcome.phase,
            code=outcome.code,
            text=outcome.text,
            next_try_seconds=sender.hold.total_seconds(),
        )
    else:
        sender.hold = None
    return decide_result(
        outcome,
        verdict,
        lane=sender.lane,
        attempts=attempts,
        jitter=sender.jitter(),
        hold=sender.hold or timedelta(),
    )


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
