"""Letting rows of an import out of quarantine as readers, each on the consent that its row is evidence of (E-11)."""

from service.domain.evidence import Evidence
from service.domain.imports import Slice, SliceOrder
from service.domain.tokens import Keys
from service.domain.words import Channel, ConsentState, ImportVerdict, LawfulBasis
from service.store import consent, imports, subscribers, wordings
from service.store.consent import NewEvent
from service.store.transaction import Transaction, TransactionFactory
from service.usecases.steps import quarantine
from service.usecases.steps.quarantine import Candidate, Taken


def admit_slice(transaction: TransactionFactory, keys: Keys, import_id: int, order: SliceOrder) -> Slice:
    """As `admit`, any number, in transactions of its own."""
    return quarantine.let_out(transaction, order, lambda tx, part: admit(tx, keys, import_id, part))


def admit(tx: Transaction, keys: Keys, import_id: int, order: SliceOrder) -> Slice:
    """Make the next rows readers, AT_ONCE at most, their consent dated as the row says. Nobody is mailed about it.

    Raises ServiceError (NOT_FOUND; CONFLICT for an import that was undone; TOO_MANY beyond a day's warm-up).
    """
    taken = quarantine.take(tx, keys, import_id, ImportVerdict.MAILABLE, order)
    quarantine.add_subscribers(tx, keys, taken.candidates)
    fresh: list[NewEvent] = []
    topics: list[tuple[int, int]] = []
    done = 0
    for each in taken.candidates:
        if each.subscriber_id is None:
            continue
        events = _given(tx, taken, each, each.subscriber_id)
        if each.known.subscriber_id is None:
            fresh += events
            topics += [(each.subscriber_id, topic_id) for topic_id in each.read["topic_ids"]]
        else:
            for event in events:
                consent.append(tx, keys.ledger, event)
        imports.mark_admitted(tx, each.row, each.subscriber_id)
        done += 1
    consent.append_many(tx, keys.ledger, fresh)
    subscribers.add_topics(tx, topics)
    return quarantine.finish(tx, taken, "import_admitted", done)


def _given(tx: Transaction, taken: Taken, each: Candidate, subscriber_id: int) -> list[NewEvent]:
    words = each.read["statement_text"]
    return [
        NewEvent(
            subscriber_id=subscriber_id,
            list_id=taken.found.list_id,
            purpose=purpose,
            state=ConsentState.GIVEN,
            channel=Channel.IMPORT,
            lawful_basis=LawfulBasis.IMPORTED,
            occurred_at=each.time("consent_at") or each.time("confirmed_at"),
            # Only words that were published here; all others stand in the evidence as the row has them.
            statement_id=wordings.find_statement(tx, purpose, words) if words else None,
            evidence=Evidence(ip=each.read["consent_ip"]),
            personal=quarantine.evidence_of(taken, each),
            actor=taken.order.operator,
        )
        for purpose in each.purposes
    ]
