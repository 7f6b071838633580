"""Test mails of campaigns: to nobody who wants no mail, so many a day, each with an entry in the audit log."""

import pytest
from sqlalchemy import select, text

from service.domain.tokens import Keys
from service.domain.words import DeliveryStatus, Lane, Purpose, SkipReason, SubscriptionState, SuppressionReason
from service.errors import Kind, ServiceError
from service.store import audit, claims, suppressions
from service.store.schema import Delivery, Subscriber
from service.store.transaction import TransactionFactory
from service.usecases.dispatching import send_due
from service.usecases.rotating import rotate_address_key
from tests.builders import a_campaign, a_list, a_reader, delivery_of
from tests.conftest import FrozenClock
from tests.usecases.builders import KEYS
from tests.usecases.sending import a_sender, accepted_by, try_out

pytestmark = pytest.mark.requirement("D-22")
ADDRESS = "Ada@example.org"
FINGERPRINT = KEYS.address_hmac("ada@example.org")


@pytest.fixture
def campaign_id(transaction: TransactionFactory) -> int:
    with transaction() as tx:
        return a_campaign(tx)


def suppress(
    transaction: TransactionFactory,
    reason: SuppressionReason,
    list_slug: str | None = None,
    fingerprint: bytes = FINGERPRINT,
) -> None:
    with transaction() as tx:
        list_id = a_list(tx, list_slug) if list_slug else None
        suppressions.add_suppression(tx, address_hmac=fingerprint, reason=reason, source="test", list_id=list_id)


def unsubscribe(transaction: TransactionFactory, purpose: Purpose) -> None:
    with transaction() as tx:
        reader = a_reader(tx, "ada@example.org", purpose=purpose, state=SubscriptionState.UNSUBSCRIBED)
        tx.session.get_one(Subscriber, reader).address_hmac = FINGERPRINT


def refused(transaction: TransactionFactory, campaign_id: int, address: str = ADDRESS) -> ServiceError:
    with pytest.raises(ServiceError, match=r"[Nn]othing was queued") as refusal:
        try_out(transaction, campaign_id, address)
    return refusal.value


def noted(transaction: TransactionFactory) -> list[tuple[str, str, dict[str, int]]]:
    with transaction() as tx:
        return [(entry.actor, entry.act, entry.details) for entry in reversed(audit.list_entries(tx))]


@pytest.mark.parametrize("reason", SuppressionReason)
@pytest.mark.parametrize("list_slug", [None, "training"])
def test_who_is_suppressed_gets_no_test(
    transaction: TransactionFactory, campaign_id: int, reason: SuppressionReason, list_slug: str | None
) -> None:
    suppress(transaction, reason, list_slug)
    refusal = refused(transaction, campaign_id)
    assert (refusal.kind, refusal.code, refusal.field) == (Kind.CONFLICT, "test_address_suppressed", "address")
    with transaction() as tx:
        assert tx.session.scalars(select(Delivery.id)).all() == []
    assert noted(transaction) == [("ada", "test_mail_refused", {"campaign_id": campaign_id})]


def test_who_ended_what_the_campaign_is_for_gets_no_test(transaction: TransactionFactory, campaign_id: int) -> None:
    unsubscribe(transaction, Purpose.OFFERS)
    assert refused(transaction, campaign_id).code == "test_address_suppressed"


def test_an_order_that_is_lifted_or_of_another_list_stops_nothing(
    transaction: TransactionFactory, clock: FrozenClock, campaign_id: int
) -> None:
    suppress(transaction, SuppressionReason.COMPLAINT, "another")
    suppress(transaction, SuppressionReason.PERMANENT_BOUNCE)
    with transaction() as tx:
        suppressions.lift(tx, FINGERPRINT, SuppressionReason.PERMANENT_BOUNCE)
    unsubscribe(transaction, Purpose.DIGEST)
    try_out(transaction, campaign_id, ADDRESS)
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE)
    send_due(sender)
    assert accepted_by(sender) == [ADDRESS]


@pytest.mark.parametrize(
    ("since", "reason"),
    [
        (lambda t: suppress(t, SuppressionReason.UNSUBSCRIBE_ALL), SkipReason.SUPPRESSED),
        (lambda t: suppress(t, SuppressionReason.COMPLAINT, "training"), SkipReason.SUPPRESSED),
        (lambda t: unsubscribe(t, Purpose.OFFERS), SkipReason.NO_CONSENT),
    ],
)
def test_who_leaves_between_order_and_claim_gets_no_test(  # invariant 2
    transaction: TransactionFactory, clock: FrozenClock, campaign_id: int, since: object, reason: SkipReason
) -> None:
    delivery_id = try_out(transaction, campaign_id, ADDRESS)
    since(transaction)  # type: ignore[operator]
    other = try_out(transaction, campaign_id, "grace@example.org")
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE)
    send_due(sender)
    assert accepted_by(sender) == ["grace@example.org"]
    with transaction() as tx:
        row = delivery_of(tx, delivery_id)
        assert (row.status, row.skip_reason) == (DeliveryStatus.SKIPPED, reason)
        assert delivery_of(tx, other).status is DeliveryStatus.ACCEPTED


def test_a_test_whose_fingerprint_the_claim_does_not_know_waits(
    transaction: TransactionFactory, clock: FrozenClock, campaign_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is committed between the claim's two statements."""
    delivery_id = try_out(transaction, campaign_id)
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE)
    with monkeypatch.context() as patched:
        patched.setattr(claims, "list_due_tests", lambda _tx: {})
        assert send_due(sender) == 0
    with transaction() as tx:
        assert delivery_of(tx, delivery_id).status is DeliveryStatus.QUEUED
    assert send_due(sender) == 1


@pytest.mark.requirement("D-16")
def test_a_new_key_for_fingerprints_changes_nothing(
    transaction: TransactionFactory, clock: FrozenClock, campaign_id: int
) -> None:
    newer = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu", ("another-key-of-32-random-characters!",))
    delivery_id = try_out(transaction, campaign_id, ADDRESS)
    suppress(transaction, SuppressionReason.ERASED)
    with transaction() as tx:
        rotate_address_key(tx, newer, actor="ada", reason="a new year")
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE)
    sender.keys = newer
    assert send_due(sender) == 0
    with transaction() as tx:
        assert delivery_of(tx, delivery_id).skip_reason is SkipReason.SUPPRESSED


def test_who_ordered_a_test_stands_in_the_audit_log(transaction: TransactionFactory, campaign_id: int) -> None:
    delivery_id = try_out(transaction, campaign_id, ADDRESS)
    assert noted(transaction) == [("ada", "test_mail", {"campaign_id": campaign_id, "delivery_id": delivery_id})]
    with transaction() as tx:
        entries = tx.session.execute(text("SELECT e::text FROM audit_entries e")).scalars().all()
    assert "ada@" not in "".join(entries).lower()


def test_so_many_tests_a_day_whatever_becomes_of_them(
    transaction: TransactionFactory, clock: FrozenClock, campaign_id: int
) -> None:
    suppress(transaction, SuppressionReason.MANUAL)
    try_out(transaction, campaign_id, "grace@example.org", per_day=2)
    clock.advance(hours=1)
    assert refused(transaction, campaign_id).code == "test_address_suppressed"
    with transaction() as tx:
        tx.session.execute(text("DELETE FROM deliveries"))
        another = a_campaign(tx, name="Another")
    for each in (campaign_id, another):
        with pytest.raises(ServiceError, match="nothing was queued") as refusal:
            try_out(transaction, each, "grace@example.org", per_day=2)
        assert (refusal.value.kind, refusal.value.code) == (Kind.TOO_MANY, "test_limit")
    assert len(noted(transaction)) == 2
    clock.advance(hours=23)
    try_out(transaction, campaign_id, "grace@example.org", per_day=2)
    with pytest.raises(ServiceError, match="MILEPOST_TEST_MAILS_PER_DAY"):
        try_out(transaction, campaign_id, "grace@example.org", per_day=2)


def test_a_test_to_something_that_is_no_address(transaction: TransactionFactory, campaign_id: int) -> None:
    with pytest.raises(ServiceError) as refusal:
        try_out(transaction, campaign_id, "nobody")
    assert refusal.value.kind is Kind.INVALID
    assert noted(transaction) == []
