"""The wire: the port `Transport` over many connections to the relay, or to a second one while the first does not work.

Whoever sends is a plain thread; the loop that the connections need runs inside `send` only, for moments, so that
messages are asked for and outcomes told where the caller stands. Connections live from one `send` to the next.

Each is opened when there is work for it, and no more than the relay lets in. The journal is written before a final dot
is, and again before anybody hears of an answer. What the connections say, and what they make of the answers, stands in
`smtp_connection`; how they are opened in `smtp_opening`; time limits in `smtp_limits`; policy nowhere here.
"""

import asyncio
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from service.domain.outcomes import Message, Outcome, Phase
from service.domain.relay_watch import Trouble
from service.mail import smtp_limits as limits
from service.mail.smtp_commands import find_defect
from service.mail.smtp_connection import Connection
from service.mail.smtp_faults import Fault
from service.mail.smtp_opening import Relay, open_session, tls_context
from service.mail.smtp_replies import ReplyError, outcome_of, trouble_of
from service.mail.smtp_states import State
from service.ports import Journal

try:
    import uvloop as loops
except ImportError:  # where it does not install, asyncio's own loop does the same, slower
    loops = asyncio  # type: ignore[misc]

__all__ = ["Relay", "SmtpTransport"]

log = structlog.get_logger(__name__)

UNWRITTEN = (OSError, ValueError)
"""What a journal raises that cannot be written."""


class SmtpTransport:
    """The port `Transport`. `connections`: at most so many, each for at most `messages_per_connection`."""

    def __init__(
        self,
        relay: Relay,
        journal: Journal,
        *,
        second: Relay | None = None,
        connections: int = 1,
        messages_per_connection: int = limits.MANY_MESSAGES,
        new_loop: Callable[[], asyncio.AbstractEventLoop] = loops.new_event_loop,
    ) -> None:
        self.eager = connections > 1
        self._relays: Sequence[Relay] = (relay, second) if second else (relay,)
        self._journal = journal
        self._most_connections = connections
        self._most_messages = messages_per_connection
        self._new_loop = new_loop
        self._lock = threading.Lock()
        """Whoever holds it may run the loop."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: ssl.SSLContext | None = None
        self._connections: dict[Connection, Relay] = {}
        """Those on which messages may be sent."""
        self._idle: list[Connection] = []
        self._leaving: set[Connection] = set()
        self._openings: dict[asyncio.Task[None], Relay] = {}
        self._active = relay
        """Whom new connections are opened to."""
        self._first_again_at = 0.0
        self._replaced: tuple[float, ReplyError] | None = None
        self._opened_at = 0.0
        self._allowed = connections
        """So many the relay lets in, as far as is known."""
        self._widen_at = 0.0
        self._untold: tuple[Relay, ReplyError] | None = None
        """Why there is no connection; told of the next message."""
        self._asked = False
        """Whether this caller has been asked for a message."""
        self._again: deque[tuple[Message, float]] = deque()
        """To begin once more elsewhere, and when each was pulled or taken back."""
        self._source: Iterator[Message | None] = iter(())
        self._exhausted = True
        self._waiting = False
        """Whether there was no message just now."""
        self._started = 0
        self._outcomes: list[Outcome] = []
        self._enough = limits.ENOUGH if self.eager else 1
        self._fault = Fault()
        self._next_sweep = 0.0

    def send(self, messages: Iterable[Message | None]) -> Iterator[Outcome | None]:
        with self._lock:
            try:
                yield from self._work(messages)
            finally:
                self._abandon()

    def rest(self) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._loop is None:
                return
            self._run(limits.POLL_SECONDS)  # what was said meanwhile
            long_ago = time.monotonic() - limits.IDLE_SECONDS
            self._say_goodbye([connection for connection in self._idle if connection.since < long_ago])
        finally:
            self._lock.release()

    def replaced(self) -> Trouble | None:
        """Why the second relay carries the mail; None while the first one does. Any thread may ask."""
        if (replaced := self._replaced) is None:
            return None
        since, error = replaced
        return trouble_of(error, self._relays[0].name, time.monotonic() - since)

    def close(self) -> None:
        with self._lock:
            loop = self._loop
            if loop is None:
                return
            for opening in self._openings:
                opening.cancel()
            self._run(limits.POLL_SECONDS)
            self._say_goodbye(list(self._connections))
            for connection in [*self._leaving, *self._connections]:
                connection.abort()
            for _ in range(8):  # what was aborted is closed some turns of the loop later
                self._run(0)
            self._loop = None
            loop.close()

    # The pool, as its connections see it

    def pull(self, connection: Connection) -> Message | None:
        """The next message that may start on `connection`; None if there is none just now."""
        while self._fault.error is None:
            message = self._again.popleft()[0] if self._again else self._next()
            if message is None:
                return None
            defect = find_defect(connection.session, message)
            if defect is None:
                self._started += 1
                return message
            self.tell(defect)
            if not self.eager:
                return None
        return None

    def start(self, delivery_id: int) -> bool:
        try:
            self._journal.started(delivery_id)
        except UNWRITTEN as error:
            self._fault.keep(error)
            self._stop()
            return False
        return True

    def tell(self, outcome: Outcome) -> None:
        try:
            self._journal.answered(outcome)
        except UNWRITTEN as error:
            self._fault.keep(error)
        self._outcomes.append(outcome)
        if len(self._outcomes) == self._enough:
            self._stop()

    def take_back(self, message: Message) -> None:
        self._again.append((message, time.monotonic()))
        self._stop()

    def rest_on(self, connection: Connection) -> None:
        self._idle.append(connection)
        if len(self._idle) == len(self._connections):
            self._stop()

    def forget(self, connection: Connection) -> None:
        if connection.state is State.LEAVING:
            self._leaving.add(connection)
        else:
            self._leaving.discard(connection)
        if self._connections.pop(connection, None) is not None:
            if connection in self._idle:
                self._idle.remove(connection)
            self._stop()

    # Sending

    def _work(self, messages: Iterable[Message | None]) -> Iterator[Outcome | None]:
        self._source, self._exhausted, self._started = self._guarded(messages), False, 0
        self._asked = False
        if self._loop is None:
            self._loop = self._new_loop()
        if self._connections or self._openings:
            self._run(0.0)  # connections may have been closed meanwhile
        told_at = time.monotonic()
        while True:
            self._tend()
            if self._outcomes:
                outcomes, self._outcomes = self._outcomes, []
                yield from outcomes
                told_at = time.monotonic()
                continue
            if self._is_done():
                break
            self._run(limits.POLL_SECONDS if self._waiting else limits.QUANTUM_SECONDS)
            now = time.monotonic()
            if now >= self._next_sweep:
                self._sweep(now)
            if not self._outcomes and now - told_at >= limits.MOMENT_SECONDS:
                told_at = now
                yield None
        if self._fault.error is not None:
            raise self._fault.error

    def _is_done(self) -> bool:
        busy = len(self._idle) < len(self._connections)
        if self._fault.error is not None:
            return not busy
        return self._exhausted and not busy and not self._again

    def _tend(self) -> None:
        """Give every idle connection a message, open more where there is need, tell why there is none."""
        self._waiting = False
        if self._fault.error is not None:
            return
        now = time.monotonic()
        if not self._connections and not self._openings and self._untold is not None:
            self._tell_failure()
            return
        while self._idle and not self._waiting and not (self._outcomes and not self.eager):
            connection = self._idle[-1]
            message = self.pull(connection)
            if message is None:
                break
            self._idle.remove(connection)
            connection.begin(message)
        nobody = not self._connections and not self._openings
        if nobody and self._asked and not self._outcomes and not self._again:
            self._look_ahead()
        if self._again or not (self._exhausted or (nobody and self._asked)):
            self._open_more(now)
        while self._again and now - self._again[0][1] > limits.RECONNECT_SECONDS:
            message, _ = self._again.popleft()
            self.tell(outcome_of(message, Phase.CONNECT, None, limits.LATE, self._active.name))

    def _tell_failure(self) -> None:
        message = self._again.popleft()[0] if self._again else self._next()
        if message is not None:
            assert self._untold is not None
            relay, error = self._untold
            self._untold = None
            self.tell(outcome_of(message, error.phase, error.code, error.text, relay.name))

    def _look_ahead(self) -> None:
        """Only if there is more to send is a relay called again that has left us, or has not let us in."""
        message = self._next()
        if message is not None:
            self.take_back(message)

    def _next(self) -> Message | None:
        if self._exhausted or self._fault.error is not None:
            return None
        self._asked = True
        for message in self._source:
            self._waiting = message is None
            return message
        self._exhausted = True
        self._stop()
        return None

    def _guarded(self, messages: Iterable[Message | None]) -> Iterator[Message | None]:
        with self._fault:  # once, not for each message
            yield from messages

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + limits.SWEEP_SECONDS
        for connection in [*self._connections, *self._leaving]:
            connection.check(now)

    def _abandon(self) -> None:
        """The caller hears no more: whatever is still under way would be answered to nobody."""
        for connection in [c for c in self._connections if c not in self._idle]:
            connection.abort()
        self._again.clear()
        self._outcomes.clear()
        self._fault, self._exhausted, self._source = Fault(), True, iter(())

    # Connections

    def _open_more(self, now: float) -> None:
        if self._allowed < self._most_connections and now >= self._widen_at:
            self._allowed = self._most_connections
        wanted = min(self._allowed, 1 + self._started // 2)
        while len(self._connections) + len(self._openings) < wanted:
            self._open(self._active)
        first, *others = self._relays
        if not others:
            return
        if self._active is not first and now >= self._first_again_at and first not in self._openings.values():
            self._first_again_at = now + limits.FIRST_AGAIN_SECONDS
            self._open(first)
        elif self._is_kept_waiting(now):
            self._fail_over(ReplyError(Phase.CONNECT, None, limits.NO_ANSWER), now)

    def _is_kept_waiting(self, now: float) -> bool:
        """Whether nobody has been let in by the first relay for long, though it has not refused either."""
        return (
            self._active is self._relays[0]
            and not self._connections
            and bool(self._openings)
            and now - self._opened_at > limits.FIRST_PATIENCE_SECONDS
        )

    def _open(self, relay: Relay) -> None:
        assert self._loop is not None
        if not self._openings:
            self._opened_at = time.monotonic()
        self._context = self._context or tls_context()
        self._openings[self._loop.create_task(self._opening(relay, self._context))] = relay

    async def _opening(self, relay: Relay, context: ssl.SSLContext) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            session = await open_session(relay, context)
        except ReplyError as error:
            del self._openings[task]
            self._refused(relay, error)
        except asyncio.CancelledError:
            del self._openings[task]
            raise
        else:
            del self._openings[task]
            connection = Connection(session, self, relay.name, self._most_messages)
            session.transport.set_protocol(connection)
            self._connections[connection] = relay
            self._idle.append(connection)
            self._untold = None
            if relay is self._relays[0] and self._active is not relay:
                self._return_to_first()
        self._stop()

    def _refused(self, relay: Relay, error: ReplyError) -> None:
        now = time.monotonic()
        if self._connections:
            if relay is self._active:
                self._allowed = len(self._connections) + len(self._openings)  # some may be let in yet
                self._widen_at = now + limits.WIDEN_SECONDS
            return
        if relay is self._relays[0] or self._untold is None:
            self._untold = (relay, error)  # the first relay's reason is the one to be seen to
        if self._openings:
            return
        if relay is self._active and relay is self._relays[0] and len(self._relays) > 1:
            self._fail_over(error, now)
        else:
            self._active, self._replaced = self._relays[0], None

    def _fail_over(self, error: ReplyError, now: float) -> None:
        first, second = self._relays
        log.warning("relay_failed_over", relay=first.name, instead=second.name, phase=error.phase, code=error.code)
        self._active, self._first_again_at = second, now + limits.FIRST_AGAIN_SECONDS
        self._replaced = (now, error)
        self._allowed = self._most_connections
        self._open(second)

    def _return_to_first(self) -> None:
        first = self._relays[0]
        log.info("relay_back", relay=first.name)
        self._active, self._allowed, self._replaced = first, self._most_connections, None
        for connection, relay in list(self._connections.items()):
            if relay is not first:
                connection.leave()

    def _say_goodbye(self, connections: Sequence[Connection]) -> None:
        for connection in connections:
            connection.leave()
        until = time.monotonic() + limits.GOODBYE_SECONDS
        while self._leaving and time.monotonic() < until:
            self._run(limits.QUANTUM_SECONDS)

    # The loop

    def _run(self, seconds: float) -> None:
        """Let the connections work for so long, or until there is something to be seen to."""
        loop = self._loop
        assert loop is not None
        timer = loop.call_later(seconds, loop.stop)
        loop.run_forever()
        timer.cancel()

    def _stop(self) -> None:
        if self._loop is not None:
            self._loop.stop()
