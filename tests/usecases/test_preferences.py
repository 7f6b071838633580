"""The control page's link is in every mail, so it may be in anybody's hands: little is shown, little can be done."""

from datetime import timedelta

import pytest

from service.domain.subscriptions import NotOurs
from service.domain.tokens import Token, TokenKind
from service.domain.words import Channel, Language, Purpose, Rhythm
from service.errors import ServiceError
from service.store import lists, subscribers
from service.usecases import preferences, unsubscribing
from service.usecases.preferences import Arrival, Control
from tests.usecases.builders import BUTTON_EVIDENCE, KEYS, a_reader


@pytest.fixture
def reader(tx) -> int:
    return a_reader(tx, purposes=("digest", "offers"), topics=("running", "gear"), first_name="Anna")


def control_token(reader: int) -> str:
    return KEYS.seal(Token(TokenKind.CONTROL, reader))


def get(tx, reader: int) -> Control:
    found = preferences.get_control(tx, KEYS, control_token(reader))
    assert isinstance(found, Control)
    return found


def chosen(control: Control) -> list[str]:
    return [topic.slug for topic in control.lists[0].topics if topic.chosen]


def test_shows_nothing_personal(tx, reader):
    control = get(tx, reader)
    assert control.masked_address == "a•••@f•••.no"
    assert "Anna" not in repr(control)
    assert "anna" not in repr(control)


def test_shows_topics_language_and_the_way_out(tx, reader):
    control = get(tx, reader)
    assert (control.language, control.paused_until) == (Language.EN, None)
    assert chosen(control) == ["running", "gear"]
    assert [entry.purpose for entry in control.lists[0].purposes] == [Purpose.DIGEST, Purpose.OFFERS]
    for entry in control.lists[0].purposes:
        asked = unsubscribing.get_unsubscribe(tx, KEYS, entry.unsubscribe_token)
        assert isinstance(asked, unsubscribing.UnsubscribeAsked)
        assert (asked.language, asked.purposes, asked.others) == (Language.EN, (entry.purpose,), True)


def test_topics_and_language_change_together(tx, reader):
    control = preferences.change_preferences(
        tx, KEYS, control_token(reader), topics=["nutrition", "gear"], language=Language.DE
    )
    assert isinstance(control, Control)
    assert (chosen(control), control.language) == (["nutrition", "gear"], Language.DE)
    assert control.lists[0].topics[0].name == "Laufen"


def test_who_was_never_asked_gets_and_sees_every_topic(tx):
    """So that the page can be saved as it is shown."""
    reader = a_reader(tx, form="hub-one-box", topics=())
    assert subscribers.list_topic_ids(tx, reader) == frozenset()
    shown = chosen(get(tx, reader))
    assert len(shown) == 6
    control = preferences.change_preferences(tx, KEYS, control_token(reader), topics=shown, language=Language.DE)
    assert isinstance(control, Control)
    assert (control.language, chosen(control)) == (Language.DE, shown)


def test_what_is_not_said_stays(tx, reader):
    before = get(tx, reader)
    assert preferences.change_preferences(tx, KEYS, control_token(reader)) == before


@pytest.mark.parametrize(("topics", "code"), [([], "topics_none_left"), (["chess", "gear"], "topic_unknown")])
def test_topics_that_cannot_be(tx, reader, topics, code):
    with pytest.raises(ServiceError) as refused, tx.session.begin_nested():
        preferences.change_preferences(tx, KEYS, control_token(reader), topics=topics, language=Language.DE)
    assert (refused.value.code, refused.value.field) == (code, "topics")
    assert chosen(get(tx, reader)) == ["running", "gear"]


def test_without_the_digest_no_topics_are_asked(tx):
    reader = a_reader(tx, purposes=("offers",))
    assert get(tx, reader).lists[0].topics == ()
    control = preferences.change_preferences(tx, KEYS, control_token(reader), topics=[], language=Language.DE)
    assert isinstance(control, Control)
    assert control.language is Language.DE
    assert len(subscribers.list_topic_ids(tx, reader)) == 1


def test_topics_of_other_lists_stay(tx, reader):
    club = lists.add_list(tx, "club", {Language.EN: "Club", Language.DE: "Club"}, "club.lists.fjell.no")
    topic = lists.add_topic(tx, club, "chess", {Language.EN: "Chess", Language.DE: "Schach"})
    subscribers.replace_topics(tx, reader, club, [topic])
    preferences.change_preferences(tx, KEYS, control_token(reader), topics=["gear"])
    assert topic in subscribers.list_topic_ids(tx, reader)


def test_rhythm_and_hour(tx, reader):
    before = get(tx, reader)
    assert (before.rhythm, before.arrival) == (Rhythm.DAILY, Arrival(None, None))
    for arrival in (Arrival(7, "Europe/Oslo"), Arrival(0, None), Arrival(None, None)):
        control = preferences.change_preferences(tx, KEYS, control_token(reader), rhythm=Rhythm.WEEKLY, arrival=arrival)
        assert isinstance(control, Control)
        assert (control.rhythm, control.arrival) == (Rhythm.WEEKLY, arrival)
    assert chosen(control) == chosen(before)


@pytest.mark.parametrize(
    ("arrival", "field"),
    [
        (Arrival(24, None), "hour"),
        (Arrival(-1, None), "hour"),
        (Arrival(7, "Mars/Olympus"), "time_zone"),
        (Arrival(7, "CET-1CEST"), "time_zone"),  # PostgreSQL would reckon with it; no clock has that name
        (Arrival(7, "'; --"), "time_zone"),
    ],
)
def test_times_that_no_clock_shows(tx, reader, arrival, field):
    with pytest.raises(ServiceError) as refused:
        preferences.change_preferences(tx, KEYS, control_token(reader), arrival=arrival)
    assert (refused.value.code, refused.value.field) == (f"{field}_unknown", field)
    assert get(tx, reader).arrival == Arrival(None, None)


def test_the_way_out_offers_less_before_it_ends(tx, reader):
    """Only what would be less: who gets a mail a month is offered no mail a month."""
    digest, offers = get(tx, reader).lists[0].purposes
    assert unsubscribing.get_unsubscribe(tx, KEYS, digest.unsubscribe_token).less_often
    assert not unsubscribing.get_unsubscribe(tx, KEYS, offers.unsubscribe_token).less_often
    preferences.change_preferences(tx, KEYS, control_token(reader), rhythm=Rhythm.MONTHLY)
    asked = unsubscribing.get_unsubscribe(tx, KEYS, digest.unsubscribe_token)
    assert not asked.less_often
    assert asked.control_token == control_token(reader)


def test_pause_and_resume(tx, reader, clock):
    until = tx.now + timedelta(days=7)
    assert preferences.pause(tx, KEYS, control_token(reader), until).paused_until == until  # type: ignore[union-attr]
    assert get(tx, reader).paused_until == until
    assert preferences.pause(tx, KEYS, control_token(reader), None).paused_until is None  # type: ignore[union-attr]


def test_a_pause_ends_by_itself(tx, reader, clock):
    preferences.pause(tx, KEYS, control_token(reader), tx.now + timedelta(days=7))
    clock.advance(days=7)
    tx.now = clock.now()
    assert get(tx, reader).paused_until is None


@pytest.mark.parametrize("days", [-1, 0, 367])
def test_pauses_that_cannot_be(tx, reader, days):
    with pytest.raises(ServiceError) as refused:
        preferences.pause(tx, KEYS, control_token(reader), tx.now + timedelta(days=days))
    assert (refused.value.code, refused.value.field) == ("pause_out_of_range", "until")
    assert get(tx, reader).paused_until is None


def test_nothing_subscribed_nothing_shown(tx, reader):
    for entry in get(tx, reader).lists[0].purposes:
        unsubscribing.unsubscribe(tx, KEYS, entry.unsubscribe_token, Channel.CONTROL, BUTTON_EVIDENCE)
    assert get(tx, reader).lists == ()


@pytest.mark.parametrize("token", ["", "z" * 52, control_token(987_654), KEYS.seal(Token(TokenKind.CONFIRM, 1))])
def test_forged_tokens_change_nothing(tx, reader, token):
    assert preferences.get_control(tx, KEYS, token) == NotOurs()
    assert preferences.change_preferences(tx, KEYS, token, language=Language.DE) == NotOurs()
    assert preferences.pause(tx, KEYS, token, None) == NotOurs()
