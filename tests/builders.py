"""Rows for tests, made plainly: a list, readers, sign-ups, campaigns. No behaviour of the product is used or hidden."""

from datetime import timedelta
from hashlib import sha256

from sqlalchemy import select, text

from service.domain.words import (
    CampaignStatus,
    Language,
    Purpose,
    SignupState,
    SubscriptionState,
    SuppressionReason,
)
from service.store.schema import Campaign, Delivery, Form, List, Notice, Signup, Subscriber, Subscription, Suppression
from service.store.transaction import Transaction


def a_list(tx: Transaction, slug: str = "training") -> int:
    found = tx.session.scalar(select(List.id).where(List.slug == slug))
    if found is not None:
        return found
    row = List(
        slug=slug,
        names={"en": "Training", "de": "Training (de)", "fr": "Training (fr)", "es": "Training (es)"},
        list_id=f"{slug}.news.fjellsko.example",
    )
    tx.session.add(row)
    tx.session.flush()
    return row.id


def fingerprint(address: str) -> bytes:
    return sha256(address.lower().encode()).digest()


def a_reader(
    tx: Transaction,
    address: str,
    *,
    list_id: int | None = None,
    purpose: Purpose = Purpose.OFFERS,
    state: SubscriptionState | None = SubscriptionState.ACTIVE,
    language: Language = Language.EN,
    first_name: str | None = None,
    paused_days: int = 0,
) -> int:
    """A subscriber, and (unless `state` is None) a subscription to the list for the purpose."""
    reader = Subscriber(
        address=address,
        dedupe_key=address.lower(),
        address_hmac=fingerprint(address),
        language=language,
        first_name=first_name,
        paused_until=tx.now + timedelta(days=paused_days) if paused_days else None,
    )
    tx.session.add(reader)
    tx.session.flush()
    if state is not None:
        tx.session.add(
            Subscription(
                subscriber_id=reader.id,
                list_id=list_id or a_list(tx),
                purpose=purpose,
                state=state,
                event_id=1,
                given_at=tx.now - timedelta(days=30),
            )
        )
        tx.session.flush()
    return reader.id


def many_readers(tx: Transaction, number: int, *, list_id: int, purpose: Purpose = Purpose.OFFERS) -> None:
    """reader-1@many.example and so on, all active."""
    values = {"number": number, "list": list_id, "purpose": purpose.value}
    tx.session.execute(
        text(
            """
            WITH people AS (
                INSERT INTO subscribers (address, dedupe_key, address_hmac, language)
                SELECT a, a, sha256(a::bytea), 'en'
                FROM (SELECT 'reader-' || n || '@many.example' AS a FROM generate_series(1, :number) n) x
                RETURNING id
            )
            INSERT INTO subscriptions (subscriber_id, list_id, purpose, state, event_id, given_at)
            SELECT id, :list, :purpose, 'active', 1, now() FROM people
            """
        ),
        values,
    )


def a_suppression(
    tx: Transaction,
    address: str,
    reason: SuppressionReason = SuppressionReason.MANUAL,
    *,
    list_id: int | None = None,
    lifted: bool = False,
) -> None:
    tx.session.add(
        Suppression(
            address_hmac=fingerprint(address),
            list_id=list_id,
            reason=reason,
            source="test",
            created_at=tx.now,
            lifted_at=tx.now if lifted else None,
        )
    )
    tx.session.flush()


def a_signup(
    tx: Transaction,
    address: str,
    *,
    state: SignupState = SignupState.ASKED,
    expires_hours: int = 72,
    language: Language = Language.EN,
) -> int:
    list_id = a_list(tx)
    notice = Notice(language=language, body="We never share.", sha256=fingerprint(f"notice {address}"))
    form = Form(slug=f"form {address}", list_id=list_id, definition={}, sha256=b"0")
    tx.session.add_all([notice, form])
    tx.session.flush()
    signup = Signup(
        address=address,
        dedupe_key=address.lower(),
        address_hmac=fingerprint(address),
        abuse_hmac=fingerprint(address),
        language=language,
        list_id=list_id,
        purposes=["digest", "offers"],
        topic_ids=[],
        form_id=form.id,
        statement_ids=[],
        notice_id=notice.id,
        state=state,
        created_at=tx.now,
        expires_at=tx.now + timedelta(hours=expires_hours),
    )
    tx.session.add(signup)
    tx.session.flush()
    return signup.id


def a_campaign(
    tx: Transaction, *, list_id: int | None = None, status: CampaignStatus = CampaignStatus.DRAFT, name: str = "Sale"
) -> int:
    campaign = Campaign(
        list_id=list_id or a_list(tx),
        purpose=Purpose.OFFERS,
        name=name,
        status=status,
        subject="New trail shoes",
        body="They are **here**.",
        changed_by="ada",
        created_at=tx.now,
    )
    tx.session.add(campaign)
    tx.session.flush()
    return campaign.id


def delivery_of(tx: Transaction, delivery_id: int) -> Delivery:
    """The row as it is in the database now."""
    return tx.session.scalars(
        select(Delivery).where(Delivery.id == delivery_id).execution_options(populate_existing=True)
    ).one()


def statuses(tx: Transaction, campaign_id: int) -> dict[str, str]:
    """Address → status (and skip reason) of a campaign's deliveries."""
    rows = tx.session.execute(
        text(
            "SELECT s.address, concat_ws(' ', d.status, d.skip_reason) FROM deliveries d "
            "JOIN subscribers s ON s.id = d.subscriber_id WHERE d.campaign_id = :id"
        ),
        {"id": campaign_id},
    )
    return dict(rows.all())
