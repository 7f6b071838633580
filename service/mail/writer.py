"""Letters into messages: which links a mail carries, which headers its kind asks for, and the last check before it leaves.

The only door of this package for mail going out: use cases hand over a `Letter` and get ready bytes, or `UnwritableError`.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from service.domain.letters import Letter, Publisher
from service.domain.outcomes import Message, Outcome, Phase
from service.domain.tokens import Keys
from service.errors import Kind, ServiceError
from service.texts import Catalogue


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a reader sees of a mail, before it is encoded."""

    subject: str
    text: str
    html: str


class UnwritableError(ServiceError):
    """This letter cannot become a message, and trying again would not help. Nothing was sent.

    The dispatcher records `unwritable.outcome(delivery_id)` like an answer of a relay and goes on with the next letter.
    """

    def __init__(self, code: str, message: str, enhanced: str, phase: Phase = Phase.DATA) -> None:
        super().__init__(Kind.INVALID, code, message)
        self.enhanced = enhanced
        self.phase = phase

    def outcome(self, delivery_id: int) -> Outcome:
        """A permanent local failure: 5.6.7 for an address that needs SMTPUTF8 (A-52), 5.6.0 for a faulty message."""
        return Outcome(delivery_id, self.phase, 550, self.enhanced, self.message, "milepost")


class Writer:
    """Built once per process: the templates are compiled here, and a faulty one stops the start."""

    def __init__(
        self, publisher: Publisher, keys: Keys, catalogue: Catalogue | None = None, templates: Path | None = None
    ) -> None:
        self._publisher = publisher
        self._keys = keys

    def write(self, letter: Letter, now: datetime) -> Message:
        """The message as it goes on the wire. Raises `UnwritableError`."""
        raise NotImplementedError

    def preview(self, letter: Letter, now: datetime) -> Rendered:
        """What `write` would say, for people. Raises `UnwritableError`."""
        raise NotImplementedError
