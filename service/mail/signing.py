"""Signing beside sending: RSA takes longer than all the rest of a mail, and lets other threads work meanwhile."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import structlog

from service.domain.outcomes import Message, Outcome, Phase
from service.domain.smtp_replies import TAKEN, Scope, decide_fate
from service.ports import Transport

log = structlog.get_logger(__name__)

SIGNED_TOGETHER = 8
"""Mails: handing over each by itself would take longer than writing it."""
SIGNED_AHEAD = 64
"""Mails, some hundredths of a second of work, which are taken before a connection is free for them."""
_RELAY = Scope.RELAY


class SigningTransport:
    """The port `Transport` before another one: what it is given is signed in other threads, in order, and sent on.

    It takes up to SIGNED_AHEAD mails more than can start at once, and only when one can. Should the relay turn out to
    be unusable and no more be asked for, those come back like the one that showed it: nothing was said about them.
    """

    def __init__(self, wire: Transport, sign: Callable[[Message], Message], *, threads: int = 2) -> None:
        self._wire = wire
        self._sign = sign
        self._signers = ThreadPoolExecutor(threads, thread_name_prefix="signer")

    def send(self, messages: Iterable[Message | None]) -> Iterator[Outcome | None]:
        ahead = _Ahead(messages, self._signers, self._sign)
        for outcome in self._wire.send(ahead):
            if outcome is not None:
                verdict = decide_fate(outcome)
                if verdict is not TAKEN and verdict.scope is _RELAY:
                    ahead.lost = outcome
            while ahead.unsigned:
                yield ahead.unsigned.popleft()
            yield outcome
        yield from ahead.give_back()

    def rest(self) -> None:
        self._wire.rest()

    def close(self) -> None:
        self._wire.close()


class _Ahead:
    """The messages as the wire is to have them."""

    def __init__(
        self,
        messages: Iterable[Message | None],
        signers: ThreadPoolExecutor,
        sign: Callable[[Message], Message],
    ) -> None:
        self.lost: Outcome | None = None
        """What showed that the relay cannot be used."""
        self._messages = iter(messages)
        self._signers, self._sign = signers, sign
        self._signing: deque[Future[list[Message | Outcome]]] = deque()
        self._signed: deque[Message] = deque()
        self._taken = 0
        """Those that the wire has not got."""
        self._ended = False
        self.unsigned: deque[Outcome] = deque()
        """Of those that could not be signed."""

    def __iter__(self) -> Iterator[Message | None]:
        while True:
            self._take()
            if self._ended and self.lost is not None:
                return
            if not self._signed and self._signing and self._signing[0].done():
                self._hear()
            if self._signed:
                self._taken -= 1
                yield self._signed.popleft()
            elif self._ended and not self._signing:
                return
            else:
                yield None

    def give_back(self) -> Iterator[Outcome]:
        """An outcome for each that the wire has not taken, if the relay was lost."""
        while self._signing:
            self._hear()
        yield from self.unsigned
        if (lost := self.lost) is not None:
            for message in self._signed:
                yield replace(lost, delivery_id=message.delivery_id, phase=Phase.CONNECT)
        self._signed.clear()

    def _take(self) -> None:
        while not self._ended and self._taken + SIGNED_TOGETHER <= SIGNED_AHEAD:
            together: list[Message] = []
            nothing_now = False
            while len(together) < SIGNED_TOGETHER and not nothing_now:
                try:
                    message = next(self._messages)
                except StopIteration:
                    self._ended = nothing_now = True
                else:
                    if message is None:
                        nothing_now = True
                    else:
                        together.append(message)
            if together:
                self._taken += len(together)
                self._signing.append(self._signers.submit(_sign_all, self._sign, together))
            if nothing_now:
                return

    def _hear(self) -> None:
        for signed in self._signing.popleft().result():
            if isinstance(signed, Message):
                self._signed.append(signed)
            else:
                self._taken -= 1
                self.unsigned.append(signed)


def _sign_all(sign: Callable[[Message], Message], messages: list[Message]) -> list[Message | Outcome]:
    return [_sign(sign, message) for message in messages]


def _sign(sign: Callable[[Message], Message], message: Message) -> Message | Outcome:
    """One that cannot be signed fails alone: others' mail goes on."""
    try:
        return sign(message)
    except (ValueError, LookupError, TypeError) as error:
        log.error("mail_unsigned", delivery_id=message.delivery_id, error=type(error).__name__)  # noqa: TRY400
        text = f"Milepost could not sign this mail ({type(error).__name__}). Nothing was sent."
        return Outcome(message.delivery_id, Phase.DATA, 554, "5.6.0", text, "milepost")
