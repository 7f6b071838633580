"""The links in mails: a GET asks, a POST acts, forged links say one thing, one click is RFC 8058's."""

import re

import httpx
import pytest
from sqlalchemy import func, select, text

from service.domain.tokens import Token, TokenKind, purpose_flag
from service.domain.words import Channel, ConsentState, Language, Purpose, SubscriptionState
from service.store import consent, subscribers
from service.store.schema import Base, ConsentEvent, Signup, Subscriber, Subscription
from service.web.time_zones import zones_by_region
from tests.usecases.builders import personal

URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=frontier"
ONE_CLICK = {
    URLENCODED: b"List-Unsubscribe=One-Click",
    MULTIPART: b"--frontier\r\n"
    b'Content-Disposition: form-data; name="List-Unsubscribe"\r\n\r\n'
    b"One-Click\r\n--frontier--\r\n",
}


@pytest.fixture
def anna(reader, container) -> Subscriber:
    """Signed up for both purposes, confirmed."""
    reader.sign_up(purposes=["digest", "offers"])
    reader.process()
    assert reader.confirm().status_code == 200
    with container.transaction() as tx:
        return tx.session.scalars(select(Subscriber)).one()


@pytest.fixture
def links(anna, container, keys) -> dict[str, str]:
    with container.transaction() as tx:
        [list_id] = tx.session.scalars(select(Subscription.list_id).distinct())
        signup_id = tx.session.scalars(select(Signup.id)).one()
    flag = purpose_flag(Purpose.DIGEST)
    return {
        "unsubscribe": "/u/" + keys.seal(Token(TokenKind.UNSUBSCRIBE, anna.id, 4711, list_id, flag)),
        "test unsubscribe": "/u/" + keys.seal(Token(TokenKind.UNSUBSCRIBE, 0, 4711, list_id, flag)),
        "deleted unsubscribe": "/u/" + keys.seal(Token(TokenKind.UNSUBSCRIBE, 987_654, 4711, list_id, flag)),
        "control": "/c/" + keys.seal(Token(TokenKind.CONTROL, anna.id)),
        "test control": "/c/" + keys.seal(Token(TokenKind.CONTROL, 0)),
        "deleted control": "/c/" + keys.seal(Token(TokenKind.CONTROL, 987_654)),
        "confirm": "/confirm/" + keys.seal(Token(TokenKind.CONFIRM, signup_id)),
        "test confirm": "/confirm/" + keys.seal(Token(TokenKind.CONFIRM, 0)),
    }


def states(container) -> dict[Purpose, SubscriptionState]:
    with container.transaction() as tx:
        reader = tx.session.scalars(select(Subscriber)).one()
        return {s.purpose: s.state for s in subscribers.list_subscriptions(tx, reader.id)}


def everything_stored(container) -> dict[str, object]:
    """A fingerprint of every row of every table."""
    with container.transaction() as tx:
        return {
            table: tx.session.scalar(
                text(f"SELECT md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) FROM {table} t")
            )
            for table in Base.metadata.tables
        }


class TestLookingChangesNothing:
    """Invariant 5, A-25, E-07: scanners follow every link in every mail."""

    AGENTS = ("Mozilla/5.0 (compatible; Barracuda)", "SafeLinks", "GoogleImageProxy", "")

    @pytest.mark.requirement("E-07")
    def test_get_and_head_a_hundred_times(self, reader, container, links, queue, client):
        reader.sign_up(address="ben@fjell.no")
        reader.process()
        waiting = f"/confirm/{reader.confirmation_token('ben@fjell.no')}"
        queue.hints.clear()
        before = everything_stored(container)
        for number in range(100):
            agent = {"User-Agent": self.AGENTS[number % len(self.AGENTS)]}
            for path in (waiting, links["unsubscribe"], links["control"]):
                assert client.request("HEAD" if number % 2 else "GET", path, headers=agent).status_code == 200
        for path in [*links.values(), "/", "/help", "/privacy", "/imprint", "/subscribe", "/subscribe/token"]:
            client.get(path)
        assert everything_stored(container) == before
        assert queue.hints == []

    @pytest.mark.parametrize("link", ["unsubscribe", "control", "confirm", "test unsubscribe", "deleted control"])
    def test_pages_have_no_script_no_cookie_and_are_not_kept(self, client, links, link):
        page = client.get(links[link])
        assert page.status_code in (200, 410)
        assert "<script" not in page.text
        assert "set-cookie" not in page.headers
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "noindex" in page.headers["x-robots-tag"]

    def test_the_unsubscribe_page_is_one_form_before_all_others(self, client, links):
        page = client.get(links["unsubscribe"]).text
        forms = re.findall(r'<form[^>]*action="/(\w)/', page)
        assert forms == ["u", "c", "c"], "fewer mails are offered behind the way out, never in it"
        assert "required" not in page


class TestConfirm:
    def test_the_words_then_the_button_then_done(self, reader, container, client):
        reader.sign_up(purposes=["digest"], language="de")
        reader.process()
        page = client.get(f"/confirm/{reader.confirmation_token()}").text
        assert "Trainingsübersicht:" in page
        assert "niemals an Dritte" in page
        assert states(container) == {Purpose.DIGEST: SubscriptionState.PENDING}
        done = client.post(re.search(r'<form[^>]* action="([^"]+)"', page)[1])
        assert (done.status_code, "Sie sind angemeldet" in done.text) == (200, True)
        assert states(container) == {Purpose.DIGEST: SubscriptionState.ACTIVE}
        assert client.get(re.search(r'href="(/c/\w+)"', done.text)[1]).status_code == 200

    @pytest.mark.requirement("E-07")
    def test_again_is_the_same_page_and_nothing_more(self, client, links, container):
        before = everything_stored(container)
        for method in ("POST", "GET"):
            again = client.request(method, links["confirm"])
            assert (again.status_code, "You are signed up" in again.text) == (200, True)
            assert "on its way" not in again.text, "no second welcome"
        assert everything_stored(container) == before

    @pytest.mark.parametrize(("language", "words"), [("en", "no longer signed up"), ("de", "nicht mehr angemeldet")])
    def test_an_old_link_says_how_things_are_now(self, client, links, container, language, words):
        client.post(links["unsubscribe"], data={"action": "unsubscribe"})
        assert words not in client.get(f"{links['confirm']}?language={language}").text, "the other purpose goes on"
        client.post(links["unsubscribe"], data={"action": "everything"})
        before = everything_stored(container)
        for method in ("POST", "GET"):
            page = client.request(method, f"{links['confirm']}?language={language}")
            assert (page.status_code, words in page.text) == (200, True)
        assert f'href="/subscribe?language={language}"' in page.text
        assert everything_stored(container) == before

    def test_expired(self, reader, client, container, clock):
        reader.sign_up(language="de")
        reader.process()
        clock.advance(hours=73)
        for method in ("GET", "POST"):
            page = client.request(method, f"/confirm/{reader.confirmation_token()}")
            assert (page.status_code, "Dieser Link gilt nicht mehr" in page.text) == (410, True)
        assert states(container) == {Purpose.DIGEST: SubscriptionState.PENDING}

    def test_where_the_button_was_pressed(self, container, anna):
        with container.transaction() as tx:
            given = [e for e in consent.list_events(tx, anna.id) if e.state is ConsentState.GIVEN]
            pages = {personal(tx, event, container.keys)["page_url"] for event in given}
        assert pages == {"http://localhost:8025/confirm"}


class TestForgedLinks:
    @pytest.mark.parametrize("path", ["/u/{}", "/c/{}", "/confirm/{}", "/u/{}/undo"])
    def test_one_answer_for_all_of_them(self, client, container, links, keys, path):
        """A-26: no oracle between unknown, cut off, and made for something else."""
        token = links["unsubscribe"].removeprefix("/u/")
        other = links["confirm" if "/c/" in path else "control"].rpartition("/")[2]
        forged = [token[:-1], "a" * 52, other, token[::-1], "%00", "x" * 5000, "ä" * 52]
        genuine = links["confirm" if "confirm" in path else "control" if "/c/" in path else "unsubscribe"][-52:]
        forged.append(genuine[:-1] + chr(ord(genuine[-1]) + 1))  # differs only in bits that base32 has no use for
        forged += [keys.seal(Token(kind, 1)) for kind in (TokenKind.BOUNCE, TokenKind.FORM)]
        before = everything_stored(container)
        answers = set()
        for text_ in forged:
            for method in ("POST",) if "undo" in path else ("GET", "POST"):
                data = {"action": "everything"} if method == "POST" else None
                answer = client.request(method, path.format(text_), data=data)
                answers.add((answer.status_code, answer.text))
        assert len(answers) == 1
        assert answers.pop()[0] == 404
        assert everything_stored(container) == before

    def test_in_the_language_of_the_browser(self, client):
        page = client.get("/u/xyz", headers={"Accept-Language": "de"})
        assert (page.status_code, "Diesen Link kennen wir nicht" in page.text) == (404, True)

    def test_upper_case_is_the_same_link(self, client, links):
        """Some relays change the case of what they forward."""
        path = links["unsubscribe"]
        assert client.get("/u/" + path.removeprefix("/u/").upper()).status_code == 200


class TestOneClick:
    """RFC 8058 §3.1 and §3.2; A-24."""

    @pytest.mark.parametrize("content_type", ONE_CLICK)
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Origin": "https://mail.example", "Referer": "https://mail.example/inbox"},
            {"Cookie": "session=1", "Accept": "application/json"},
            {"User-Agent": "", "Accept-Language": "de"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        ],
        ids=["bare", "cross-origin", "cookie", "no-agent", "fetch-metadata"],
    )
    def test_matrix(self, client, links, container, content_type, headers):
        for _ in range(3):
            answer = client.post(
                links["unsubscribe"], content=ONE_CLICK[content_type], headers={"Content-Type": content_type} | headers
            )
            assert answer.status_code == 200
            assert answer.text == "Unsubscribed.\n"
            assert "location" not in answer.headers
            assert "set-cookie" not in answer.headers
        assert states(container) == {
            Purpose.DIGEST: SubscriptionState.UNSUBSCRIBED,
            Purpose.OFFERS: SubscriptionState.ACTIVE,
        }

    def test_the_event(self, client, links, container, anna):
        client.post(links["unsubscribe"], data={"List-Unsubscribe": "One-Click"})
        with container.transaction() as tx:
            event = consent.list_events(tx, anna.id)[-1]
        assert (event.state, event.channel, event.delivery_id) == (ConsentState.WITHDRAWN, Channel.ONE_CLICK, 4711)

    @pytest.mark.parametrize("link", ["unsubscribe", "test unsubscribe", "deleted unsubscribe"])
    def test_always_200_for_links_of_ours(self, client, links, link, clock):
        """A-29: also after 400 days, also when there is nobody left."""
        clock.advance(days=400)
        answer = client.post(links[link], data={"List-Unsubscribe": "One-Click"})
        assert (answer.status_code, answer.text) == (200, "Unsubscribed.\n")

    def test_it_ends_one_thing_even_if_more_was_sent(self, client, links, container):
        client.post(links["unsubscribe"], data={"List-Unsubscribe": "One-Click", "action": "everything"})
        assert states(container)[Purpose.OFFERS] is SubscriptionState.ACTIVE

    @pytest.mark.parametrize("body", [b"", b"List-Unsubscribe=", b"List-Unsubscribe=Yes", b"action=confirm", b"x=1"])
    def test_a_post_that_says_nothing_shows_the_button(self, client, links, container, body):
        before = everything_stored(container)
        answer = client.post(links["unsubscribe"], content=body, headers={"Content-Type": URLENCODED})
        assert (answer.status_code, answer.text.count('action="/u/')) == (422, 1)
        assert everything_stored(container) == before
        for link in ("test unsubscribe", "deleted unsubscribe"):
            answer = client.post(links[link], content=body, headers={"Content-Type": URLENCODED})
            assert answer.status_code == 200

    @pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
    def test_other_content_types(self, client, links, container, content_type):
        before = everything_stored(container)
        body = b"List-Unsubscribe=One-Click"
        answer = client.post(links["unsubscribe"], content=body, headers={"Content-Type": content_type})
        assert answer.status_code == 415
        assert everything_stored(container) == before


class TestUnsubscribePage:
    def press(self, client: httpx.Client, page: str, label: str) -> httpx.Response:
        """Press the button that reads `label`, as a browser would."""
        form = next(f for f in re.findall(r"<form.*?</form>", page, re.DOTALL) if label in f)
        action = re.search(r'action="([^"]+)"', form)[1]
        name = re.search(r'<button[^>]*name="(\w+)" value="(\w+)"[^>]*>' + label, form)
        return client.post(action, data={name[1]: name[2]} if name else {})

    def test_two_presses_from_the_mail(self, client, links, container, anna):
        """D-08: the link and the button; nothing to fill in."""
        page = client.get(links["unsubscribe"]).text
        done = self.press(client, page, "Unsubscribe")
        assert (done.status_code, "You are unsubscribed" in done.text) == (200, True)
        assert states(container)[Purpose.DIGEST] is SubscriptionState.UNSUBSCRIBED
        assert states(container)[Purpose.OFFERS] is SubscriptionState.ACTIVE
        with container.transaction() as tx:
            event = consent.list_events(tx, anna.id)[-1]
        assert (event.channel, event.delivery_id) == (Channel.PAGE, 4711)

    def test_everything(self, client, links, container):
        done = self.press(client, client.get(links["unsubscribe"]).text, "Unsubscribe from everything")
        assert set(states(container).values()) == {SubscriptionState.UNSUBSCRIBED}
        undone = self.press(client, done.text, "That was a mistake")
        assert (undone.status_code, "Everything is as it was" in undone.text) == (200, True)
        assert set(states(container).values()) == {SubscriptionState.ACTIVE}

    def test_the_rest_afterwards(self, client, links, container):
        done = self.press(client, client.get(links["unsubscribe"]).text, "Unsubscribe")
        self.press(client, done.text, "Unsubscribe from everything")
        assert set(states(container).values()) == {SubscriptionState.UNSUBSCRIBED}
        page = client.get(links["unsubscribe"])
        assert (page.status_code, "unsubscribed from this already" in page.text, "<form" in page.text) == (
            200,
            True,
            False,
        )

    def test_already_unsubscribed_but_not_from_all(self, client, links, container):
        client.post(links["unsubscribe"], data={"List-Unsubscribe": "One-Click"})
        page = client.get(links["unsubscribe"]).text
        assert "unsubscribed from this already" in page
        self.press(client, page, "Unsubscribe from everything")
        assert set(states(container).values()) == {SubscriptionState.UNSUBSCRIBED}

    def test_a_mistake_is_a_new_consent_event(self, client, links, container, anna):
        done = self.press(client, client.get(links["unsubscribe"]).text, "Unsubscribe")
        self.press(client, done.text, "That was a mistake")
        with container.transaction() as tx:
            event = consent.list_events(tx, anna.id)[-1]
        assert (event.state, event.channel) == (ConsentState.GIVEN, Channel.UNDO)
        assert event.statement_id is not None

    def test_a_mistake_after_an_hour(self, client, links, container, clock):
        done = self.press(client, client.get(links["unsubscribe"]).text, "Unsubscribe")
        clock.advance(minutes=61)
        late = self.press(client, done.text, "That was a mistake")
        assert (late.status_code, "can no longer be undone" in late.text) == (410, True)
        assert states(container)[Purpose.DIGEST] is SubscriptionState.UNSUBSCRIBED

    @pytest.mark.parametrize(("link", "words"), [("test", "This was a test"), ("deleted", "You get nothing from us")])
    @pytest.mark.parametrize("of", ["unsubscribe", "control"])
    def test_links_for_nobody(self, client, links, container, link, words, of):
        before = everything_stored(container)
        page = client.get(links[f"{link} {of}"])
        assert (page.status_code, words in page.text) == (200, True)
        data = {"action": "everything" if of == "unsubscribe" else "resume"}
        page = client.post(links[f"{link} {of}"], data=data)
        assert (page.status_code, words in page.text) == (200, True)
        assert everything_stored(container) == before


class TestControlPage:
    def test_shows_a_masked_address_and_no_name(self, client, links):
        page = client.get(links["control"]).text
        assert "a•••@f•••.example" in page
        assert "anna" not in page.lower()

    def test_topics_and_language(self, client, links):
        saved = client.post(links["control"], data={"action": "save", "topics": ["nutrition"], "language": "de"})
        assert (saved.status_code, saved.headers["location"]) == (303, f"{links['control']}?done=saved")
        page = client.get(saved.headers["location"]).text
        assert '<html lang="de">' in page
        assert "Gespeichert" in page
        assert re.findall(r'value="([\w-]+)" checked', page) == ["nutrition", "daily", "de"]

    def test_rhythm_and_hour(self, client, links):
        choices = {"action": "save", "topics": ["gear"], "rhythm": "weekly", "hour": "7", "time_zone": "Asia/Tokyo"}
        page = client.get(client.post(links["control"], data=choices).headers["location"]).text
        assert '<input type="radio" name="rhythm" value="weekly" checked>' in page
        assert re.findall(r'<option value="([^"]+)" selected', page) == ["7", "Asia/Tokyo"]
        anew = {"action": "save", "topics": ["gear"], "hour": "", "time_zone": "Asia/Tokyo"}
        page = client.get(client.post(links["control"], data=anew).headers["location"]).text
        assert re.findall(r'<option value="([^"]+)" selected', page) == ["Europe/London"], "no hour, no time zone"
        assert '<input type="radio" name="rhythm" value="weekly" checked>' in page, "what is not said stays"

    @pytest.mark.parametrize(("language", "city"), [("de", "Kopenhagen"), ("fr", "Copenhague"), ("en", "Copenhagen")])
    def test_time_zones_are_named_in_the_readers_language(self, client, links, language, city):
        page = client.get(f"{links['control']}?language={language}").text
        assert f'<option value="Europe/Copenhagen">{city}</option>' in page

    def test_every_time_zone_on_offer_is_known_to_the_database(self, container):
        offered = {zone.name for _, zones in zones_by_region(Language.EN) for zone in zones}
        with container.transaction() as tx:
            known = set(tx.session.scalars(text("SELECT name FROM pg_timezone_names")))
        assert len(offered) > 300
        assert offered <= known

    def test_less_instead_of_nothing(self, client, links, container):
        """Each offer beside the unsubscribe is one press, and changes nothing else."""
        page = client.get(links["unsubscribe"]).text
        hidden = r'<input type="hidden" name="(\w+)" value="(\w+)">'
        offer = rf'<form method="post" action="(/c/\w+)">\s*{hidden}\s*<button[^>]*value="(\w+)"'
        [less, pause] = re.findall(offer, page)
        before = states(container)
        for action, field, value, button in (less, pause):
            assert client.post(action, data={field: value, "action": button}).status_code == 303
        with container.transaction() as tx:
            reader = tx.session.scalars(select(Subscriber)).one()
            assert (reader.rhythm, reader.paused_until is not None) == ("monthly", True)
        assert states(container) == before
        assert 'value="monthly"' not in client.get(links["unsubscribe"]).text

    @pytest.mark.parametrize(
        ("fields", "day"),
        [
            ({"pause": "week"}, "9 March 2026"),
            ({"pause": "month"}, "1 April 2026"),
            ({"until": "2026-12-24"}, "24 December 2026"),
        ],
    )
    def test_pause_and_resume(self, client, links, fields, day):
        paused = client.post(links["control"], data={"action": "pause"} | fields)
        assert paused.status_code == 303
        page = client.get(paused.headers["location"]).text
        assert day in page
        assert 'value="pause"' not in page
        resumed = client.post(links["control"], data={"action": "resume"})
        assert "The pause is over" in client.get(resumed.headers["location"]).text

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"action": "save", "topics": []}, "Keep at least one topic"),
            ({"action": "save", "topics": ["chess"]}, "does not exist"),
            ({"action": "save", "topics": ["gear\x00"]}, "does not exist"),
            ({"action": "save", "topics": ["gear"], "language": "it"}, "one of the languages"),
            ({"action": "save", "topics": ["gear"], "rhythm": "hourly"}, "one of the rhythms"),
            ({"action": "save", "topics": ["gear"], "hour": "24"}, "one of the hours"),
            ({"action": "save", "topics": ["gear"], "hour": "²"}, "one of the hours"),
            ({"action": "save", "topics": ["gear"], "hour": "9" * 5000}, "one of the hours"),
            ({"action": "save", "topics": ["gear"], "hour": "7", "time_zone": "Moon"}, "one of the time zones"),
            ({"action": "save", "topics": ["gear"], "hour": "7", "time_zone": "a\x00"}, "one of the time zones"),
            ({"action": "pause", "until": "2026-03-02"}, "after today"),
            ({"action": "pause", "until": "2028-01-01"}, "within a year"),
            ({"action": "pause", "until": "tomorrow"}, "year-month-day"),
            ({"action": "pause"}, "year-month-day"),
            ({"action": "erase"}, "button is unknown"),
            ({}, "button is unknown"),
        ],
    )
    def test_what_cannot_be(self, client, links, container, fields, words):
        before = everything_stored(container)
        page = client.post(links["control"], data=fields or {"x": "y"})
        assert (page.status_code, words in page.text) == (422, True)
        assert everything_stored(container) == before

    def test_the_way_out_is_on_it(self, client, links, container):
        for _ in range(2):
            page = client.get(links["control"]).text
            way_out = re.search(r'href="(/u/\w+)"', page)[1]
            assert client.post(way_out, data={"action": "unsubscribe"}).status_code == 200
        assert "You get no mails from us" in client.get(links["control"]).text
        with container.transaction() as tx:
            channels = tx.session.scalars(
                select(ConsentEvent.channel).where(ConsentEvent.state == ConsentState.WITHDRAWN)
            ).all()
        assert channels == [Channel.CONTROL, Channel.CONTROL]

    def test_an_odd_word_in_the_address_is_not_shown(self, client, links):
        assert client.get(f"{links['control']}?done=<script>").status_code == 200


def test_no_event_without_a_person(container, client):
    """Nothing above was counted for somebody else."""
    with container.transaction() as tx:
        assert tx.session.scalar(select(func.count()).select_from(ConsentEvent)) == 0
