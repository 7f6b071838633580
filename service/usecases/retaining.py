"""Enforcing the rules of retention, and saying beforehand what they would do (D-18, D-19).

Who is ended by a rule leaves no line in the erasure log: nobody asked for anything, and a restored backup holds the
dates by which the same rule ends the same persons again. Who had agreed and unsubscribed leaves a standing order: no
import years later takes an objection for silence (GDPR 21(3)).
"""

from collections.abc import Sequence

import structlog

from service.domain.ledger import LedgerKeys
from service.domain.retention import PROFILE_ENDED, Rule
from service.domain.words import Channel, ConsentState, SuppressionReason
from service.store import consent, erasures, retention, subscribers
from service.store.consent import NewEvent
from service.store.erasures import Person
from service.store.schema import Subscription
from service.store.transaction import Transaction, TransactionFactory
from service.usecases.steps.silencing import suppress

log = structlog.get_logger(__name__)

ACTOR = "retention"
LAST_WORD = "the reader's last word before the profile ended"


def retain(
    transaction: TransactionFactory, ledger: LedgerKeys, rules: Sequence[Rule], *, all_rules: bool = False
) -> dict[str, int]:
    """Enforce the rules whose round has come (or all of them). Returns what each acted on.

    Opens its own transactions, one per set. Safe to run twice at once: both look for what is still due.
    """
    done: dict[str, int] = {}
    with transaction() as tx:
        runs = retention.get_runs(tx)
        due = [
            rule
            for rule in rules
            if all_rules or rule.is_due(runs[rule.id].ran_at if rule.id in runs else None, tx.now)
        ]
    for rule in sorted(due, key=_place):
        persons = rule.id in retention.ABOUT_PERSONS
        done[rule.id] = _about_persons(transaction, ledger, rule) if persons else _act(transaction, rule)
        with transaction() as tx:
            retention.record_run(tx, rule.id, done[rule.id])
    if any(done.values()):
        log.info("retained", **done)
    return done


def _place(rule: Rule) -> int:
    """Each rule is to act on what its dry run counts: the end of persons empties rows of other rules, and whoever is
    still asked for something in their name has not ended yet."""
    return (rule.id in retention.ENDS_PERSONS) + 2 * (rule.id in retention.ENDS_REQUESTS)


def _act(transaction: TransactionFactory, rule: Rule) -> int:
    total, after = 0, 0
    while True:
        with transaction() as tx:
            affected, more = retention.act(tx, rule.id, rule.cutoff(tx.now), after=after)
        total += affected
        if more is None:
            return total
        after = more


def _about_persons(transaction: TransactionFactory, ledger: LedgerKeys, rule: Rule) -> int:
    act = _end_requests if rule.id in retention.ENDS_REQUESTS else _end_person
    total, after = 0, 0
    while True:
        with transaction() as tx:
            due = retention.list_due_persons(tx, rule.id, rule.cutoff(tx.now), after=after)
        for subscriber_id in due:
            with transaction() as tx:
                total += act(tx, ledger, rule, subscriber_id)
        if len(due) < retention.BATCH:
            return total
        after = due[-1]


def _end_requests(tx: Transaction, ledger: LedgerKeys, rule: Rule, subscriber_id: int) -> bool:
    """What a reader was asked besides and never confirmed waits no longer. Whether anything did."""
    reader, cutoff = subscribers.lock_subscriber(tx, subscriber_id), rule.cutoff(tx.now)
    if reader is None or not retention.list_due_persons(tx, rule.id, cutoff, only=subscriber_id):
        return False
    for subscription in retention.list_due_requests(tx, cutoff, subscriber_id):
        _expire(tx, ledger, subscription)
    return True


def _end_person(tx: Transaction, ledger: LedgerKeys, rule: Rule, subscriber_id: int) -> bool:
    """Whether it was still due, with nobody able to change that any more, and nothing of it on a wire."""
    person = erasures.lock_person(tx, subscriber_id)
    if person is None or not retention.list_due_persons(tx, rule.id, rule.cutoff(tx.now), only=subscriber_id):
        return False
    if erasures.cancel_mail(tx, Person(subscriber_id)):
        return False
    for subscription in subscribers.list_subscriptions(tx, subscriber_id):
        _expire(tx, ledger, subscription, PROFILE_ENDED)
    if rule.id in retention.ENDS_OBJECTORS:
        for fingerprint in person.fingerprints:
            suppress(tx, fingerprint, SuppressionReason.UNSUBSCRIBE_ALL, LAST_WORD)
    erasures.forget(tx, person, by_wish=False)
    return True


def _expire(tx: Transaction, ledger: LedgerKeys, subscription: Subscription, actor: str = ACTOR) -> None:
    consent.append(
        tx,
        ledger,
        NewEvent(
            subscriber_id=subscription.subscriber_id,
            list_id=subscription.list_id,
            purpose=subscription.purpose,
            state=ConsentState.EXPIRED,
            channel=Channel.SWEEP,
            actor=actor,
        ),
    )
