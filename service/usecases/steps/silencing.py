"""No more mail to a person who is being forgotten: consents ended, a standing order made, queued mail cancelled."""

from uuid import UUID

from service.domain.ledger import LedgerKeys
from service.domain.words import Channel, ConsentState, SubscriptionState, SuppressionReason
from service.store import consent, erasures, subscribers, suppressions
from service.store.consent import NewEvent
from service.store.erasures import Person
from service.store.transaction import Transaction

SOURCE = "the person's own wish"


def silence(tx: Transaction, ledger: LedgerKeys, person: Person, *, actor: str) -> list[UUID]:
    """Repeating it changes nothing. Returns the workers that have mail to this person on the wire."""
    for subscription in subscribers.list_subscriptions(tx, person.subscriber_id):
        if subscription.state is SubscriptionState.ACTIVE:
            consent.append(
                tx,
                ledger,
                NewEvent(
                    subscriber_id=person.subscriber_id,
                    list_id=subscription.list_id,
                    purpose=subscription.purpose,
                    state=ConsentState.WITHDRAWN,
                    channel=Channel.ERASURE,
                    actor=actor,
                ),
            )
    for fingerprint in person.fingerprints:
        suppress(tx, fingerprint)
    return erasures.cancel_mail(tx, person)


def suppress(
    tx: Transaction, address_hmac: bytes, reason: SuppressionReason = SuppressionReason.ERASED, source: str = SOURCE
) -> None:
    """Only the person, by signing up again, ends this order (D-15)."""
    if not suppressions.is_ordered(tx, address_hmac, reason):
        suppressions.add_suppression(tx, address_hmac=address_hmac, reason=reason, source=source)
