"""A turn of sending: the wire goes on while the next mails are claimed and the last answers recorded.

The caller's thread writes mails and speaks to the relay; two others speak to PostgreSQL: one claims while the other
records. What was recorded is crossed out in the journal; what is claimed again before that is given back, so that a
note never speaks of an older claim.
"""

import traceback
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta

import structlog

from service.domain.breaker import Tally
from service.domain.confirming import Copy
from service.domain.deliveries import (
    LARGEST_JOURNAL,
    RECORD_WITHIN,
    TURN,
    Result,
    decide_result,
    next_batch,
    next_hold,
    spread_hold,
)
from service.domain.letters import Letter
from service.domain.outcomes import Message, Outcome, Phase
from service.domain.smtp_replies import TAKEN, Scope, decide_fate
from service.errors import ServiceError
from service.mail.sources import template_source
from service.mail.withholding import copy_of
from service.mail.writer import UnwritableError
from service.store import claims, proofs
from service.usecases.steps import watching
from service.usecases.steps.claiming import Batch, claim
from service.usecases.steps.planning import plan_more
from service.usecases.steps.senders import Sender
from service.usecases.steps.watching import OURSELVES

log = structlog.get_logger(__name__)

TEND_EVERY = 32
"""Messages or answers, where there is enough to send; whoever waits for the relay is asked to look more often."""

HELD_BACK_FOR = 0.1
"""Seconds until a campaign of which other workers have all that may leave is looked at again."""


class Turn:
    """Claim, write, send and record for about TURN. Made for one turn and used once, by one thread."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._now = sender.clock.monotonic
        self._end = self._now() + TURN.total_seconds()
        self._ready: deque[tuple[Letter, Batch, float]] = deque()
        """Claimed, not yet started; each with the moment at which it may start."""
        self._flying: dict[int, Batch] = {}
        """Started, not yet answered."""
        self._results: list[Result] = []
        self._copies: list[Copy] = []
        self._tallies: dict[int, Tally] = {}
        """By campaign, what has come back."""
        self._unstarted: list[int] = []
        """To be given back."""
        self._since = 0.0
        """When the oldest of what is to be recorded came."""
        self._claiming: Future[Batch] | None = None
        self._recording: deque[tuple[Future[None], frozenset[int]]] = deque()
        """With the deliveries of which the journal may still say what is being recorded."""
        self._planning: Future[bool] | None = None
        self._next_claim = 0.0
        """No claim before this moment: the rate is used up until then."""
        self._is_ahead_of_planning = False
        """The last claim brought less than was asked for, because readers are left to be planned."""
        self._drained_first = False
        """Claim only when all is answered and recorded: what is due then may depend on it."""
        self._exhausted = False
        self._stop = False
        self._fault: BaseException | None = None
        self._measured: tuple[float, int] | None = None
        self._calls = 0
        self.tried = 0

    def run(self) -> bool:
        """Returns whether its time was up before all was done. Raises what the database raised."""
        try:
            for outcome in self._sender.transport.send(self._messages()):
                if outcome is None:
                    self._tend()
                    if self._must_end() and not self._flying:
                        break  # a relay that lets nobody in asks for no mail, and would keep us for minutes
                else:
                    self._take(outcome)
                    self._tend_now_and_then()
        finally:
            self._close()
        if self._fault is not None:
            raise self._fault
        return not self._exhausted and not self._stop and not self._sender.stopping() and not self._sender.ended

    def _messages(self) -> Iterator[Message | None]:
        while True:
            self._tend_now_and_then()
            if self._must_end():
                return
            if not self._ready:
                if self._exhausted:
                    return
                yield None
                continue
            if self._sender.journal.size > LARGEST_JOURNAL and not self._is_all_recorded():
                yield None
                continue
            letter, batch, at = self._ready[0]
            now = self._now()
            if now < at:
                yield None
                continue
            self._ready.popleft()
            if now >= batch.starts_end or now > at + batch.permission.patience:
                self._give_back(letter.delivery_id)
                continue
            message = self._write(letter, batch)
            if message is not None:
                yield message

    def _must_end(self) -> bool:
        return (
            self._stop
            or self._fault is not None
            or self._sender.ended
            or self._now() >= self._end
            or self._sender.stopping()
        )

    def _tend_now_and_then(self) -> None:
        """As `_tend`, every so often where messages follow each other quickly."""
        self._calls += 1
        if not self._ready or self._calls % TEND_EVERY == 0:
            self._tend()

    def _tend(self) -> None:
        """Take what the other thread has done, and give it what there is to do."""
        self._hear()
        while self._ready and self._now() >= self._ready[0][1].starts_end:
            self._give_back(self._ready.popleft()[0].delivery_id)
        waiting = len(self._results) + len(self._unstarted)
        if waiting and (waiting >= self._sender.batch or self._now() >= self._since + RECORD_WITHIN.total_seconds()):
            self._flush()
        while self._claiming is None or self._claiming.done():
            if self._claiming is not None:
                self._adopt(self._claiming)
            if self._must_end() or self._exhausted or not self._wants_more():
                break
            self._claiming = self._sender.database.submit(claim, self._sender)
        if self._planning is not None and self._planning.done():
            self._fault = self._fault or self._planning.exception()
            self._planning = None
        if self._flying or (self._ready and self._ready[0][2] <= self._now()):
            self._sender.relay.waiting(self._now(), flying=bool(self._flying))
        elif self._exhausted:  # not while the next are being claimed: of a relay that lets nobody in all go back
            self._sender.relay.idle()

    def _hear(self) -> None:
        """What became of what was to be recorded."""
        while self._recording and self._recording[0][0].done():
            fault = self._recording.popleft()[0].exception()
            self._fault = self._fault or fault

    def _wants_more(self) -> bool:
        if self._now() < self._next_claim or (self._planning is not None and self._is_ahead_of_planning):
            return False
        if not self._drained_first:
            return len(self._ready) <= self._sender.batch
        if self._ready or not self._is_all_recorded():
            return False
        self._drained_first = False
        return True

    def _is_all_recorded(self) -> bool:
        """Whether nothing is on its way or to be recorded; then the journal is empty."""
        if self._flying:
            return False
        self._flush()
        self._hear()
        if self._recording or self._fault is not None:
            return False
        self._sender.journal.clear()
        return True

    def _adopt(self, claiming: "Future[Batch]") -> None:
        """Make ready what a claim has brought, unless it failed."""
        self._claiming = None
        if fault := claiming.exception():
            self._fault = self._fault or fault
            return
        batch = claiming.result()
        if batch.plan_next is not None and self._planning is None:
            self._planning = self._sender.database.submit(_plan, self._sender, batch.plan_next)
        spacing = batch.permission.spacing
        for place, letter in enumerate(batch.letters):
            self._ready.append((letter, batch, batch.permission.first_at + place * spacing))
        self._refuse_unsettled()
        self._is_ahead_of_planning = batch.is_short and batch.is_planned_on
        self._drained_first = batch.is_short and not batch.permission.is_spent and not batch.is_planned_on
        self._exhausted = not (
            batch.letters or batch.skipped or batch.permission.is_spent or batch.is_held_back or batch.is_planned_on
        )
        self._next_claim = 0.0
        if batch.permission.is_spent:
            self._next_claim = batch.permission.first_at
        elif (batch.is_held_back or batch.is_planned_on) and not (
            batch.letters or self._flying or self._results or self._recording or self._planning
        ):
            self._next_claim = self._now() + HELD_BACK_FOR
        now, done = self._now(), self.tried
        if self._measured is not None and done > self._measured[1]:
            self._sender.batch = next_batch(done - self._measured[1], now - self._measured[0])
        self._measured = (now, done)

    def _refuse_unsettled(self) -> None:
        """Give back what is due again while the journal still says what came of it before: a note would be mistaken."""
        unsettled = frozenset[int]().union(*(ids for _, ids in self._recording))
        if unsettled.isdisjoint([letter.delivery_id for letter, _, _ in self._ready]):
            return
        kept = [each for each in self._ready if each[0].delivery_id not in unsettled]
        for letter, _, _ in self._ready:
            if letter.delivery_id in unsettled:
                self._give_back(letter.delivery_id)
        self._ready = deque(kept)

    def _write(self, letter: Letter, batch: Batch) -> Message | None:
        """The message; None if it can never be one: one bad letter fails alone and stops nobody else's.

        `batch.now` is when the address was read: a fresh link dated later would open for a mailbox left meanwhile
        (D-14).
        """
        sender = self._sender
        self._flying[letter.delivery_id] = batch
        try:
            message = sender.write(letter, batch.now)
        except UnwritableError as error:
            self._take(error.outcome(letter.delivery_id))
        except (ServiceError, ValueError, LookupError, TypeError) as error:
            # Where, and not what it says: the message may quote an address.
            fault = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{fault.filename}:{fault.lineno}"
            log.error("letter_unwritable", delivery_id=letter.delivery_id, error=type(error).__name__, where=where)  # noqa: TRY400
            text = f"Milepost could not write this mail ({type(error).__name__}); its log says more. Nothing was sent."
            self._take(Outcome(letter.delivery_id, Phase.DATA, 554, "5.6.0", text, OURSELVES))
        else:
            if copy := copy_of(letter, message, sender.keys):
                self._copies.append(copy)
            return message
        return None

    def _take(self, outcome: Outcome) -> None:
        sender, batch = self._sender, self._flying.pop(outcome.delivery_id)
        verdict = decide_fate(outcome)
        if verdict is not TAKEN and verdict.scope is Scope.RELAY:
            sender.relay.failed(outcome, self._now())
            self._leave_alone(outcome)
        else:
            sender.hold = None
            if outcome.code is not None and outcome.relay != OURSELVES:
                sender.relay.answered()
        if batch.campaign_id is not None:
            if (tally := self._tallies.get(batch.campaign_id)) is None:
                tally = self._tallies[batch.campaign_id] = Tally()
            tally.count(verdict, outcome.enhanced)
        self._results.append(
            decide_result(
                outcome,
                verdict,
                lane=sender.lane,
                attempts=batch.attempts.get(outcome.delivery_id, 0),
                jitter=0.0 if verdict is TAKEN else sender.jitter(),
                hold=sender.hold or timedelta(),
                retries=sender.retries,
            )
        )
        self.tried += 1
        self._note_waiting()

    def _leave_alone(self, outcome: Outcome) -> None:
        """The relay cannot be used: start nothing more, and come back later. Several answers at once count once."""
        sender = self._sender
        if self._stop:
            return
        self._stop = True
        sender.hold = next_hold(sender.hold)
        sender.held_until = self._now() + spread_hold(sender.hold, sender.jitter()).total_seconds()
        log.warning(
            "relay_unusable",
            relay=outcome.relay,
            phase=outcome.phase,
            code=outcome.code,
            text=outcome.text,
            next_try_seconds=sender.hold.total_seconds(),
        )

    def _give_back(self, delivery_id: int) -> None:
        self._unstarted.append(delivery_id)
        self._exhausted = False  # it will be due again
        self._note_waiting()

    def _note_waiting(self) -> None:
        if len(self._results) + len(self._unstarted) == 1:
            self._since = self._now()

    def _flush(self) -> None:
        if not self._results and not self._unstarted:
            return
        results, copies, unstarted, tallies = self._results, self._copies, self._unstarted, self._tallies
        self._results, self._unstarted, self._tallies = [], [], {}
        kept: list[Copy] = []
        if copies:  # those of mails that are still under way are kept with their answer
            answered = {result.outcome.delivery_id for result in results}
            self._copies = [copy for copy in copies if copy.delivery_id not in answered]
            kept = [copy for copy in copies if copy.delivery_id in answered]
        recording = self._sender.database.submit(_record, self._sender, results, kept, unstarted, tallies)
        self._recording.append((recording, frozenset([result.outcome.delivery_id for result in results])))

    def _close(self) -> None:
        """Nothing more is started: record what was answered, give back the rest, and leave an empty journal."""
        if self._claiming is not None:
            self._adopt(self._claiming)
        while self._ready:
            self._give_back(self._ready.popleft()[0].delivery_id)
        self._flush()
        while self._recording:
            fault = self._recording.popleft()[0].exception()
            self._fault = self._fault or fault
        if self._planning is not None:
            self._fault = self._fault or self._planning.exception()
        if self._fault is None and not self._flying:
            self._sender.journal.clear()


def _plan(sender: Sender, campaign_id: int) -> bool:
    with sender.transaction() as tx:
        return plan_more(tx, campaign_id)


def _record(
    sender: Sender, results: list[Result], copies: list[Copy], unstarted: list[int], tallies: dict[int, Tally]
) -> None:
    """What came of those that were tried, what may be kept of them, and those that were not tried."""
    with sender.transaction() as tx:
        recorded = claims.record_results(tx, sender.worker_id, results)
        given_back = claims.give_back(tx, sender.worker_id, unstarted)
        if copies:
            reached = {result.outcome.delivery_id for result in results if result.outcome.phase is Phase.EOM}
            proofs.keep_confirmation_mails(
                tx, sender.keys.ledger, template_source, [copy for copy in copies if copy.delivery_id in reached]
            )
        watching.note_results(tx, tallies, sender.limits)
    sender.journal.settled([result.outcome.delivery_id for result in results])
    log.info("results_recorded", recorded=recorded, given_back=given_back)
