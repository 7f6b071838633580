"""The control page: topics, rhythm, hour, language and pause, by a link that is in every mail and may be forwarded."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from service.domain.addresses import mask_address
from service.domain.subscriptions import LONGEST_PAUSE, NotOurs
from service.domain.tokens import Keys, Token, TokenKind, purpose_flag
from service.domain.words import Language, Purpose, Rhythm, SubscriptionState
from service.errors import Kind, ServiceError
from service.store import lists, subscribers
from service.store.schema import List, Subscriber
from service.store.transaction import Transaction

LAST_HOUR = 23


@dataclass(frozen=True, slots=True)
class ControlTopic:
    id: int
    slug: str
    name: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class ControlPurpose:
    purpose: Purpose
    unsubscribe_token: str


@dataclass(frozen=True, slots=True)
class ControlList:
    """One list that the reader gets mail from."""

    id: int
    slug: str
    name: str
    purposes: tuple[ControlPurpose, ...]
    topics: tuple[ControlTopic, ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """When digests are to arrive."""

    hour: int | None
    """0 to 23; None: as soon as they are ready."""
    time_zone: str | None
    """An IANA name; None: UTC."""


@dataclass(frozen=True, slots=True)
class Control:
    """Nothing here tells who the reader is: no name, only a masked address (design §7)."""

    masked_address: str
    language: Language
    paused_until: datetime | None
    """None when no pause is in force."""
    rhythm: Rhythm
    arrival: Arrival
    lists: tuple[ControlList, ...]
    """Empty: nothing is subscribed to."""

    @property
    def gets_digest(self) -> bool:
        return any(entry.purpose is Purpose.DIGEST for a_list in self.lists for entry in a_list.purposes)


def get_control(tx: Transaction, keys: Keys, token_text: str) -> Control | NotOurs:
    """What the control page shows. Changes nothing."""
    subscriber = _open(tx, keys, token_text)
    return _control(tx, keys, subscriber) if subscriber else NotOurs()


def change_preferences(
    tx: Transaction,
    keys: Keys,
    token_text: str,
    *,
    language: Language | None = None,
    topics: Collection[str] | None = None,
    rhythm: Rhythm | None = None,
    arrival: Arrival | None = None,
) -> Control | NotOurs:
    """Set language, topics (slugs, over all lists that the reader gets mail from), rhythm and hour; None leaves one as
    it is.

    Raises ServiceError (INVALID): field `topics` for an unknown topic, and when no topic of a list would be left; field
    `hour` or `time_zone` for what no clock shows.
    """
    subscriber = _open(tx, keys, token_text)
    if subscriber is None:
        return NotOurs()
    before = _control(tx, keys, subscriber)
    if topics is not None:
        _replace_topics(tx, subscriber, before, frozenset(topics))
    if arrival is not None:
        _set_arrival(tx, subscriber.id, arrival)
    if rhythm is not None:
        subscribers.set_rhythm(tx, subscriber.id, rhythm)
    if language is not None:
        subscribers.set_language(tx, subscriber.id, language)
    return _again(tx, keys, subscriber)


def pause(tx: Transaction, keys: Keys, token_text: str, until: datetime | None) -> Control | NotOurs:
    """No list mail before `until`; None ends a pause. Raises ServiceError (INVALID, field `until`) for the past and
    for more than a year."""
    subscriber = _open(tx, keys, token_text)
    if subscriber is None:
        return NotOurs()
    if until is not None and not tx.now < until <= tx.now + LONGEST_PAUSE:
        raise ServiceError(
            Kind.INVALID, "pause_out_of_range", "A pause ends in the future and lasts a year at most.", field="until"
        )
    subscribers.set_pause(tx, subscriber.id, until)
    return _again(tx, keys, subscriber)


def _replace_topics(tx: Transaction, subscriber: Subscriber, before: Control, slugs: frozenset[str]) -> None:
    known = {topic.slug for a_list in before.lists for topic in a_list.topics}
    if slugs - known:
        raise ServiceError(
            Kind.INVALID, "topic_unknown", "One of the topics does not exist; nothing was changed.", field="topics"
        )
    for a_list in before.lists:
        chosen = [topic.id for topic in a_list.topics if topic.slug in slugs]
        if not a_list.topics:  # not asked, so not answered
            continue
        if not chosen:
            raise ServiceError(
                Kind.INVALID,
                "topics_none_left",
                "Without a topic there would be nothing to send; nothing was changed. Keep one, pause, or unsubscribe.",
                field="topics",
            )
        subscribers.replace_topics(tx, subscriber.id, a_list.id, chosen)


def _set_arrival(tx: Transaction, subscriber_id: int, arrival: Arrival) -> None:
    if arrival.hour is not None and not 0 <= arrival.hour <= LAST_HOUR:
        raise ServiceError(
            Kind.INVALID, "hour_unknown", "An hour is a number from 0 to 23; nothing was changed.", field="hour"
        )
    if arrival.time_zone is not None and not subscribers.knows_time_zone(tx, arrival.time_zone):
        raise ServiceError(
            Kind.INVALID, "time_zone_unknown", "There is no such time zone; nothing was changed.", field="time_zone"
        )
    subscribers.set_local_hour(tx, subscriber_id, arrival.hour, arrival.time_zone)


def _open(tx: Transaction, keys: Keys, token_text: str) -> Subscriber | None:
    token = keys.open(TokenKind.CONTROL, token_text)
    return subscribers.find_subscriber(tx, token.first) if token else None


def _again(tx: Transaction, keys: Keys, subscriber: Subscriber) -> Control:
    return _control(tx, keys, subscribers.lock_subscriber(tx, subscriber.id) or subscriber)


def _control(tx: Transaction, keys: Keys, subscriber: Subscriber) -> Control:
    paused = subscriber.paused_until
    active: dict[int, list[Purpose]] = {}
    for subscription in subscribers.list_subscriptions(tx, subscriber.id):
        if subscription.state is SubscriptionState.ACTIVE:
            active.setdefault(subscription.list_id, []).append(subscription.purpose)
    chosen = subscribers.list_topic_ids(tx, subscriber.id)
    return Control(
        masked_address=mask_address(subscriber.address),
        language=subscriber.language,
        paused_until=paused if paused and paused > tx.now else None,
        rhythm=subscriber.rhythm,
        arrival=Arrival(subscriber.local_hour, subscriber.time_zone),
        lists=tuple(
            _control_list(tx, keys, subscriber, a_list, active[a_list.id], chosen)
            for a_list in lists.list_lists(tx)
            if a_list.id in active
        ),
    )


def _control_list(
    tx: Transaction, keys: Keys, subscriber: Subscriber, a_list: List, purposes: list[Purpose], chosen: frozenset[int]
) -> ControlList:
    language = subscriber.language.value
    topics = lists.list_topics(tx, a_list.id)
    all_of_them = chosen.isdisjoint(topic.id for topic in topics)  # who has chosen none gets every topic
    return ControlList(
        id=a_list.id,
        slug=a_list.slug,
        name=a_list.names[language],
        purposes=tuple(
            ControlPurpose(
                purpose,
                keys.seal(Token(TokenKind.UNSUBSCRIBE, subscriber.id, 0, a_list.id, purpose_flag(purpose))),
            )
            for purpose in purposes
        ),
        topics=tuple(
            ControlTopic(topic.id, topic.slug, topic.names[language], all_of_them or topic.id in chosen)
            for topic in topics
            if Purpose.DIGEST in purposes  # topics choose articles; nothing else asks for them
        ),
    )
