"""Subscribers: found by the dedupe key of their address, with the topics they chose."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from service.domain.words import Language, Rhythm
from service.store.schema import List, Subscriber, SubscriberTopic, Subscription, Topic
from service.store.transaction import Transaction

_READERS = "hashtext('milepost readers')"


def keep_readers(tx: Transaction) -> None:
    """Nobody is erased from now to the end of the transaction; who is just being erased is waited for.

    One lock for a whole audience: one for each of its readers took a quarter of the time of planning.
    """
    tx.session.execute(text(f"SELECT pg_advisory_xact_lock_shared({_READERS})"))


def lock_readers(tx: Transaction) -> None:
    """Whoever plans mail waits until the end of the transaction, or is waited for: somebody is to be erased."""
    tx.session.execute(text(f"SELECT pg_advisory_xact_lock({_READERS})"))


def add_subscriber(
    tx: Transaction,
    *,
    address: str,
    dedupe_key: str,
    address_hmac: bytes,
    language: Language,
    first_name: str | None = None,
    created_at: datetime | None = None,
) -> int:
    """Add the subscriber, or find the one with this dedupe key and change nothing. Returns the id."""
    statement = (
        insert(Subscriber)
        .values(
            address=address,
            dedupe_key=dedupe_key,
            address_hmac=address_hmac,
            language=language,
            first_name=first_name,
            created_at=created_at or tx.now,
        )
        .on_conflict_do_nothing(index_elements=[Subscriber.dedupe_key])
        .returning(Subscriber.id)
    )
    added = tx.session.scalar(statement)
    if added is not None:
        return added
    return tx.session.scalars(select(Subscriber.id).where(Subscriber.dedupe_key == dedupe_key)).one()


@dataclass(frozen=True, slots=True)
class NewSubscriber:
    address: str
    dedupe_key: str
    address_hmac: bytes
    language: Language
    first_name: str | None


def add_new(tx: Transaction, new: Sequence[NewSubscriber]) -> dict[str, int]:
    """Add these where nobody has their dedupe key. Dedupe key → id, of those who were added."""
    if not new:
        return {}
    added = tx.session.execute(
        insert(Subscriber)
        .on_conflict_do_nothing(index_elements=[Subscriber.dedupe_key])
        .returning(Subscriber.dedupe_key, Subscriber.id),
        [{name: getattr(each, name) for name in each.__slots__} | {"created_at": tx.now} for each in new],
    )
    return {row.dedupe_key: row.id for row in added}


def add_topics(tx: Transaction, chosen: Collection[tuple[int, int]]) -> None:
    """(subscriber, topic) pairs, of subscribers who have none of the list's yet."""
    if chosen:
        tx.session.execute(
            insert(SubscriberTopic).on_conflict_do_nothing(),
            [{"subscriber_id": subscriber_id, "topic_id": topic_id} for subscriber_id, topic_id in chosen],
        )


def find_subscriber(tx: Transaction, subscriber_id: int) -> Subscriber | None:
    return tx.session.get(Subscriber, subscriber_id)


def find_by_dedupe_key(tx: Transaction, dedupe_key: str) -> Subscriber | None:
    return tx.session.scalar(select(Subscriber).where(Subscriber.dedupe_key == dedupe_key))


def lock_subscriber(tx: Transaction, subscriber_id: int) -> Subscriber | None:
    """The subscriber, with everybody else who wants to change it waiting until this transaction ends."""
    return tx.session.scalar(
        select(Subscriber)
        .where(Subscriber.id == subscriber_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def list_subscriptions(tx: Transaction, subscriber_id: int) -> list[Subscription]:
    return list(
        tx.session.scalars(
            select(Subscription)
            .where(Subscription.subscriber_id == subscriber_id)
            .order_by(Subscription.list_id, Subscription.purpose)
            .execution_options(populate_existing=True)
        )
    )


def find_a_list(tx: Transaction, subscriber_id: int) -> int | None:
    """A list that this reader has had to do with, else any: a mail about the reader's own data names one."""
    own = select(Subscription.list_id).where(Subscription.subscriber_id == subscriber_id)
    return tx.session.scalar(select(List.id).order_by(List.id.in_(own).desc(), List.id).limit(1))


def list_topic_ids(tx: Transaction, subscriber_id: int) -> frozenset[int]:
    return frozenset(
        tx.session.scalars(select(SubscriberTopic.topic_id).where(SubscriberTopic.subscriber_id == subscriber_id))
    )


def replace_topics(tx: Transaction, subscriber_id: int, list_id: int, topic_ids: Collection[int]) -> None:
    """Make these the subscriber's topics within the list; topics of other lists stay."""
    of_list = select(Topic.id).where(Topic.list_id == list_id)
    tx.session.execute(
        delete(SubscriberTopic).where(
            SubscriberTopic.subscriber_id == subscriber_id,
            SubscriberTopic.topic_id.in_(of_list),
            SubscriberTopic.topic_id.not_in(topic_ids),
        )
    )
    chosen = tx.session.scalars(of_list.where(Topic.id.in_(topic_ids))).all()
    if chosen:
        tx.session.execute(
            insert(SubscriberTopic).on_conflict_do_nothing(),
            [{"subscriber_id": subscriber_id, "topic_id": topic_id} for topic_id in chosen],
        )


def set_language(tx: Transaction, subscriber_id: int, language: Language) -> None:
    tx.session.execute(update(Subscriber).where(Subscriber.id == subscriber_id).values(language=language))


def set_first_name(tx: Transaction, subscriber_id: int, first_name: str) -> None:
    tx.session.execute(update(Subscriber).where(Subscriber.id == subscriber_id).values(first_name=first_name))


def set_rhythm(tx: Transaction, subscriber_id: int, rhythm: Rhythm) -> None:
    tx.session.execute(update(Subscriber).where(Subscriber.id == subscriber_id).values(rhythm=rhythm))


def set_local_hour(tx: Transaction, subscriber_id: int, hour: int | None, time_zone: str | None) -> None:
    """When digests are to arrive; an hour of None is as soon as they are ready."""
    tx.session.execute(
        update(Subscriber).where(Subscriber.id == subscriber_id).values(local_hour=hour, time_zone=time_zone)
    )


def knows_time_zone(tx: Transaction, name: str) -> bool:
    """Whether the server that reckons with time zones has one of this name."""
    if "\0" in name:  # PostgreSQL refuses to look for a NUL
        return False
    known = text("SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = :name)")
    return bool(tx.session.scalar(known, {"name": name}))


def set_pause(tx: Transaction, subscriber_id: int, until: datetime | None) -> None:
    """No list mail before `until`; None: no pause."""
    tx.session.execute(update(Subscriber).where(Subscriber.id == subscriber_id).values(paused_until=until))
