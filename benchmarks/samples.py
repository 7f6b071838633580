"""A look at what really arrived: a small campaign to a sink that keeps what it takes."""

import re
from collections import Counter
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from statistics import fmean

from sqlalchemy import text

from benchmarks.installation import VARIANTS, Installation
from benchmarks.postfix_tools import Dumped, Sink, Tools
from service.domain.tokens import TOKEN_LENGTH, TokenKind
from service.domain.words import Layout

TOKEN = re.compile(rf"[a-z2-7]{{{TOKEN_LENGTH}}}")
LINK = re.compile(r"/([uc])/(\w+)")


@dataclass(frozen=True)
class Sample:
    """What was found in all of them. Whatever was not as it should be has raised RuntimeError."""

    messages: int
    octets: int
    """Of the mean message."""
    variants: int
    """Texts that differ when everything of the reader's own is taken out of them."""
    slots: int
    """Values that are a reader's own: address, greeting, Message-ID, links to unsubscribe and to the control page."""


def take(tools: Tools, directory: Path, installation: Installation, list_id: int, body: str, layout: Layout,
         number: int) -> Sample:  # fmt: skip
    """Mail the readers of a list, `number` of them, once, by a worker of its own, and check every message."""
    sink = Sink(tools, directory / "sample.log", directory / "sample")
    try:
        installation.start("bulk-sample", settings={"relay_port": str(sink.port)})
        sent = installation.send(list_id, body, layout, number, sink.count)
        installation.end("bulk-sample")
        ours = [each for each in sink.dumped() if b"Message-ID:" in each.octets]
    finally:
        sink.stop()
    return _check(installation, sent.campaign_id, ours, number)


def overhead(tools: Tools, directory: Path) -> int:
    """Octets of smtp-source's message beyond the size that it is told: its header."""
    size = 5000
    sink = Sink(tools, directory / "overhead.log", directory / "overhead")
    try:
        sink.generate(1, size, 1)
        return max(len(each.octets) for each in sink.dumped()) - size
    finally:
        sink.stop()


def _check(installation: Installation, campaign_id: int, messages: list[Dumped], number: int) -> Sample:
    with installation.house.engine.connect() as connection:
        planned = {
            row.address: row
            for row in connection.execute(
                text(
                    "SELECT s.address, s.id AS subscriber_id, d.id, d.message_id FROM deliveries d "
                    "JOIN subscribers s ON s.id = d.subscriber_id WHERE d.campaign_id = :id"
                ),
                {"id": campaign_id},
            )
        }
    keys = installation.container.keys
    own: dict[str, list[str]] = {"address": [], "message_id": [], "unsubscribe": [], "control": [], "sender": []}
    texts: Counter[str] = Counter()
    for each in messages:
        mail = message_from_bytes(each.octets, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        row = planned[each.recipient]
        links = dict(LINK.findall(str(mail["List-Unsubscribe"])))
        words = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        links |= dict(LINK.findall(words))
        local = each.sender.partition("@")[0].removeprefix("b+")
        bounce, unsubscribe = keys.open(TokenKind.BOUNCE, local), keys.open(TokenKind.UNSUBSCRIBE, links["u"])
        if (
            mail["To"] != each.recipient
            or mail["Message-ID"] != f"<{row.message_id}>"
            or bounce is None
            or bounce.first != row.id
            or unsubscribe is None
            or (unsubscribe.first, unsubscribe.second) != (row.subscriber_id, row.id)
        ):
            raise RuntimeError(f"Delivery {row.id} arrived with what is another's.")
        greeting = words[words.index("Reader ") :].split("\n", 1)[0]
        values = (each.recipient, row.message_id, links["u"], links["c"], each.sender)
        for name, value in zip(own, values, strict=True):
            own[name].append(value)
        texts[TOKEN.sub("", words.replace(greeting, ""))] += 1
    if any(len(set(values)) != number or len(values) != number for values in own.values()):
        raise RuntimeError(f"Not every mail has its own: { ({name: len(set(v)) for name, v in own.items()}) }")
    if len(texts) < VARIANTS:
        raise RuntimeError(f"{len(texts)} variants have arrived, not {VARIANTS}.")
    octets = round(fmean(len(each.octets) for each in messages))
    return Sample(len(messages), octets, len(texts), len(own))
