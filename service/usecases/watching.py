"""Whether the relay answers, what was paused by itself, and mails to the operators about both."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from service.domain.relay_watch import TOLD_AFTER, Trouble, explain
from service.domain.words import Language
from service.store import watches, worker_processes
from service.store.schema import OperatorNotice
from service.store.transaction import Transaction

log = structlog.get_logger(__name__)

ONE_MAIL_WITHIN = timedelta(hours=1)
"""About one cause; somebody who is awake at night is helped by the first."""


@dataclass(frozen=True, slots=True)
class Operators:
    """Who is mailed when something is broken."""

    addresses: tuple[str, ...] = ()
    language: Language = Language.EN


def record_beat(tx: Transaction, worker_id: UUID, trouble: Trouble | None) -> None:
    """The worker lives, and this is how it gets on with its relay."""
    worker_processes.record_beat(tx, worker_id)
    if trouble is None:
        if watches.clear_trouble(tx, worker_id):
            log.info("relay_answers_again", worker_id=str(worker_id))
    elif watches.record_trouble(tx, worker_id, trouble):
        log.warning(
            "relay_not_answering",
            worker_id=str(worker_id),
            relay=trouble.relay,
            phase=trouble.phase,
            code=trouble.code,
            text=trouble.text,
            what=explain(trouble.kind, trouble.relay, trouble.phase, trouble.code, trouble.text),
            seconds=round(trouble.lasted.total_seconds()),
        )


def tell_operators(tx: Transaction, operators: Operators) -> list[int]:
    """Look for what is in trouble and what is over, and queue mails about it. Returns the deliveries.

    Each cause is told once an hour at most, and once more when it is over. While the relay cannot be used, the mail
    waits like any other; a second relay may take it.
    """
    if not watches.lock_notices(tx):
        return []
    watches.forget_troubles(tx)
    causes = dict(_causes(tx))
    queued = []
    for notice in watches.list_open_notices(tx):
        if notice.cause in causes:
            continue
        watches.mark_over(tx, notice)
        log.info("trouble_over", cause=notice.cause)
        if notice.told_at is not None and operators.addresses:
            queued += watches.add_operator_mails(tx, notice, operators.addresses, operators.language, is_over=True)
    known = {notice.cause: notice for notice in watches.list_open_notices(tx)}
    for cause, (began_at, facts) in causes.items():
        notice = known.get(cause) or watches.add_notice(tx, cause, dict(facts), began_at)
        if operators.addresses and _is_due(tx, notice):
            mails = watches.add_operator_mails(tx, notice, operators.addresses, operators.language, is_over=False)
            if mails:
                watches.mark_told(tx, notice)
            queued += mails
    return queued


def expire_campaigns(tx: Transaction) -> int:
    """Nobody else is mailed what is not worth reading any more, as its operator has said. Returns how many are not."""
    ended = watches.expire_campaigns(tx)
    if ended:
        log.info("campaigns_expired", deliveries=len(ended))
    return len(ended)


def _is_due(tx: Transaction, notice: OperatorNotice) -> bool:
    return notice.told_at is None and not watches.was_told_since(tx, notice.cause, tx.now - ONE_MAIL_WITHIN)


def _causes(tx: Transaction) -> list[tuple[str, tuple[datetime, Mapping[str, Any]]]]:
    """What is in trouble now: a name that stays the same, since when, and what to say of it."""
    found: list[tuple[str, tuple[datetime, Mapping[str, Any]]]] = []
    facts: dict[str, Any]
    for down in watches.list_relays_down(tx):
        if tx.now - down.since >= TOLD_AFTER:
            said = " ".join(part for part in (str(down.code) if down.code else "", down.text) if part)
            facts = {"kind": down.kind, "relay": down.relay, "said": said, "hosts": ", ".join(down.hosts)}
            found.append((f"relay {down.relay}", (down.since, {"about": "relay"} | facts)))
    for tripped in watches.list_tripped(tx):
        number = getattr(tripped.window, tripped.cause.value)
        facts = {"id": tripped.campaign_id, "name": tripped.name, "kind": tripped.cause, "left": tripped.left}
        facts |= {"number": number, "answered": tripped.window.answered}
        found.append((f"campaign {tripped.campaign_id}", (tx.now, {"about": "campaign"} | facts)))
    return found
