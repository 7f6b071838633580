"""A reader moves to another address: asked on the private page, confirmed from the new mailbox (D-14).

Whether anybody knows the new address is said to nobody but to who reads its mail.
"""

from dataclasses import dataclass, replace

from service.domain.addresses import Address, mask_address
from service.domain.confirming import Pressed, describe_press
from service.domain.evidence import Evidence
from service.domain.private_access import CHANGE_FOR, CHANGES_A_DAY
from service.domain.subscriptions import NotOurs
from service.domain.tokens import Keys, TokenKind
from service.domain.words import Channel, ConsentState, Language, MailKind, PrivacyRequestKind, SubscriptionState
from service.errors import Kind, ServiceError
from service.store import (
    address_changes,
    consent,
    deliveries,
    privacy_requests,
    proofs,
    signups,
    subscribers,
    suppressions,
)
from service.store.consent import NewEvent
from service.store.schema import AddressChange, Subscriber, Subscription
from service.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class ChangeAsked:
    """What the button in front of the reader would do."""

    language: Language
    masked_before: str
    masked_after: str


@dataclass(frozen=True, slots=True)
class Changed:
    language: Language
    masked_address: str


@dataclass(frozen=True, slots=True)
class AddressTaken:
    """Somebody gets our mails at the new address already; its owner is reading this."""

    language: Language


@dataclass(frozen=True, slots=True)
class ChangeGone:
    """Used, replaced by another, or too old. Nothing changes."""


def ask_change(tx: Transaction, keys: Keys, subscriber_id: int, address: Address) -> None:
    """Ask the new address whether it is the reader's; the old one stays until it says yes.

    Noted in any case, so that the reader's own pages tell nothing of the other mailbox; mailed only where it may be:
    the address is not suppressed, and has not had its share of our questions (E-05).
    Raises ServiceError (INVALID, field `address`) for the address that the reader has.
    """
    address_hmac, abuse_hmac = keys.address_hmac(address.dedupe_key), keys.address_hmac(address.abuse_key)
    signups.lock_abuse_keys(tx, [abuse_hmac])  # before the reader, as everywhere: no deadlock
    subscriber = subscribers.lock_subscriber(tx, subscriber_id)
    if subscriber is None:
        raise LookupError("a change needs a subscriber")
    if subscriber.dedupe_key == address.dedupe_key:
        raise ServiceError(
            Kind.INVALID, "address_same", "The mails go to this address already; nothing was changed.", field="address"
        )
    if address_changes.count_of_subscriber(tx, subscriber_id) >= CHANGES_A_DAY:
        return
    may_mail = not signups.count_mails(tx, abuse_hmac).spent and not suppressions.is_suppressed(tx, address_hmac)
    list_id = subscribers.find_a_list(tx, subscriber_id)
    change_id = address_changes.add_change(
        tx,
        subscriber_id,
        address,
        address_hmac=address_hmac,
        abuse_hmac=abuse_hmac,
        expires_at=tx.now + CHANGE_FOR,
    )
    if may_mail and list_id is not None:
        deliveries.add_interactive(
            tx,
            kind=MailKind.ADDRESS_CHANGE,
            subscriber_id=subscriber_id,
            list_id=list_id,
            address_change_id=change_id,
        )


def get_change(tx: Transaction, keys: Keys, token_text: str) -> ChangeAsked | AddressTaken | ChangeGone | NotOurs:
    """What the link in the new mailbox shows. Changes nothing."""
    token = keys.open(TokenKind.ADDRESS_CHANGE, token_text)
    if token is None:
        return NotOurs()
    change = address_changes.find_change(tx, token.first)
    subscriber = subscribers.find_subscriber(tx, change.subscriber_id) if change else None
    refused = _refusal(tx, keys, change, subscriber)
    if refused or change is None or subscriber is None:
        return refused or ChangeGone()
    return ChangeAsked(subscriber.language, mask_address(subscriber.address), mask_address(change.address))


def confirm_change(
    tx: Transaction, keys: Keys, token_text: str, evidence: Evidence
) -> Changed | AddressTaken | ChangeGone | NotOurs:
    """The button in the new mailbox: from this commit on, mail goes there and nowhere else.

    Consent goes along, reaffirmed from the new mailbox. Suppressions and bounces of the old address stay with it.
    """
    token = keys.open(TokenKind.ADDRESS_CHANGE, token_text)
    if token is None:
        return NotOurs()
    change = address_changes.find_change(tx, token.first)
    subscriber = None
    if change is not None:  # in the order of `ask_change`; and no sign-up of this address becomes a reader meanwhile
        signups.lock_abuse_keys(tx, [change.abuse_hmac])
        address_changes.lock_signups(tx, change.subscriber_id)
        subscriber = subscribers.lock_subscriber(tx, change.subscriber_id)
        change = address_changes.lock_change(tx, token.first)
    refused = _refusal(tx, keys, change, subscriber)
    if refused or change is None or subscriber is None:
        return refused or ChangeGone()
    pressed = describe_press(  # with the mail of this mailbox: the one of the sign-up went to another
        proofs.find_question(tx, change.id),
        change_id=change.id,
        request={"address_before": subscriber.address},
        now=tx.now,
    )
    done = Changed(subscriber.language, mask_address(change.address))
    address_changes.move_subscriber(
        tx,
        subscriber.id,
        change,
        address_hmac=keys.address_hmac(change.dedupe_key),
        address_version=keys.address_version,
    )
    address_changes.close_signups(tx, subscriber.id)
    for subscription in subscribers.list_subscriptions(tx, subscriber.id):
        if subscription.state is SubscriptionState.ACTIVE:
            _reaffirm(tx, keys, subscription, pressed, evidence)
    return done


def _reaffirm(tx: Transaction, keys: Keys, subscription: Subscription, pressed: Pressed, evidence: Evidence) -> None:
    """On the words agreed to before: the new mailbox says that they still hold."""
    given = consent.find_last_given(tx, subscription.subscriber_id, subscription.list_id, subscription.purpose)
    event = NewEvent(
        subscriber_id=subscription.subscriber_id,
        list_id=subscription.list_id,
        purpose=subscription.purpose,
        state=ConsentState.REAFFIRMED,
        channel=Channel.ADDRESS_CHANGE,
        delivery_id=pressed.delivery_id,
        evidence=evidence,
        personal=pressed.personal,
        suspect_scanner=pressed.suspect_scanner,
    )
    if given is not None:
        event = replace(
            event,
            lawful_basis=given.lawful_basis,
            signup_id=given.signup_id,
            statement_id=given.statement_id,
            notice_id=given.notice_id,
            form_id=given.form_id,
        )
    consent.append(tx, keys.ledger, event)


def _refusal(
    tx: Transaction, keys: Keys, change: AddressChange | None, subscriber: Subscriber | None
) -> AddressTaken | ChangeGone | None:
    """Why the button may not be pressed, or None if it may."""
    if change is None or subscriber is None or change.expires_at <= tx.now:
        return ChangeGone()
    if privacy_requests.is_open(tx, PrivacyRequestKind.ERASE, subscriber.id):
        return ChangeGone()  # to be forgotten under the address at which it was asked for (D-15)
    if suppressions.is_suppressed(tx, keys.address_hmac(change.dedupe_key)):
        return ChangeGone()  # complained since, say: the link no longer acts
    if subscribers.find_by_dedupe_key(tx, change.dedupe_key) is not None:
        return AddressTaken(subscriber.language)
    return None
