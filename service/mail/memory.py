"""A relay in memory, for tests of everything above the wire. Held to the same contract suite as the real one."""

from collections.abc import Iterable, Iterator, Mapping

from service.domain.outcomes import Message, Outcome, Phase
from service.ports import Journal


class MemoryTransport:
    """Accepts every message, except for recipients in `script`: phase, code (None: no answer), enhanced code, text."""

    def __init__(
        self, journal: Journal, script: Mapping[str, tuple[Phase, int | None, str | None, str]] | None = None
    ) -> None:
        self.journal = journal
        self.script = dict(script or {})
        self.accepted: list[Message] = []
        """What the relay has taken, also where its answer was lost."""

    def send(self, messages: Iterable[Message | None]) -> Iterator[Outcome | None]:
        for message in messages:
            if message is None:
                yield None
                continue
            phase, code, enhanced, text = self.script.get(message.rcpt_to, (Phase.EOM, 250, "2.0.0", "queued"))
            if phase is Phase.EOM:
                self.journal.started(message.delivery_id)
                if code is None or code < 300:  # noqa: PLR2004
                    self.accepted.append(message)
            outcome = Outcome(message.delivery_id, phase, code, enhanced, text, "memory")
            self.journal.answered(outcome)
            yield outcome

    def rest(self) -> None:
        """There is nothing to put down."""

    def close(self) -> None:
        """There is nothing to close."""
