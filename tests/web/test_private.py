"""The reader's own pages behind a fresh link: what they show and keep to themselves, and what their buttons do."""

import csv
import io
import json
import re
import zipfile
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from sqlalchemy import select, text

from service.domain.ledger import spell_time
from service.domain.outcomes import Phase
from service.domain.private_access import seal_link
from service.domain.tokens import Keys, Token, TokenKind
from service.domain.words import (
    Channel,
    ConsentState,
    DeliveryStatus,
    Lane,
    Language,
    MailKind,
    PrivacyRequestKind,
    Rhythm,
    SkipReason,
    SuppressionReason,
)
from service.store.schema import (
    AddressChange,
    Article,
    Campaign,
    Delivery,
    Issue,
    PrivacyRequest,
    Revision,
    Run,
    Source,
    Subscriber,
)
from service.store.schema import Digest as DigestRow
from service.texts import Catalogue
from service.usecases.dispatching import send_due
from tests.usecases.sending import a_sender
from tests.web.test_links import everything_stored


@pytest.fixture
def anna(reader, container) -> Subscriber:
    reader.sign_up(purposes=["digest", "offers"], first_name="Anna")
    reader.process()
    assert reader.confirm().status_code == 200
    with container.transaction() as tx:
        return tx.session.scalars(select(Subscriber)).one()


@pytest.fixture
def control(anna, keys: Keys) -> str:
    return "/c/" + keys.seal(Token(TokenKind.CONTROL, anna.id))


@pytest.fixture
def page(anna, keys: Keys, clock) -> str:
    return "/p/" + seal_link(keys, anna.id, anna.address, clock.now())


def deliveries(container, kind: MailKind) -> list[Delivery]:
    with container.transaction() as tx:
        return list(tx.session.scalars(select(Delivery).where(Delivery.kind == kind)).all())


def subscriber(container) -> Subscriber:
    with container.transaction() as tx:
        return tx.session.scalars(select(Subscriber)).one()


class TestTheLink:
    def test_is_asked_for_on_the_control_page_and_mailed(self, client, control, container):
        shown = client.get(control).text
        assert "Show everything you hold about me" in shown
        for number in range(5):
            asked = client.post(control, data={"action": "link"})
            assert (asked.status_code, asked.headers["location"]) == (303, f"{control}?done=link")
            said = client.get(asked.headers["location"]).text
            assert "A link is on its way to a•••@f•••.example" in said, f"the same for the {number + 1}th"
        assert len(deliveries(container, MailKind.PRIVATE_LINK)) == 3

    def test_the_control_page_itself_shows_nothing_private(self, client, control):
        assert "anna" not in client.get(control).text.lower()

    @pytest.mark.parametrize("path", ["", "/data.json", "/data.zip", "/mail/1", "/erase"])
    def test_ends_after_half_an_hour(self, client, page, clock, path, container):
        assert client.get(page).status_code == 200
        clock.advance(minutes=31)
        before = everything_stored(container)
        answer = client.get(page + path)
        assert (answer.status_code, "This link has expired" in answer.text) == (410, True)
        assert "anna" not in answer.text.lower()
        for post in ("/address", "/erase"):
            assert client.post(page + post, data={"address": "x@y.no"}).status_code == 410
        assert everything_stored(container) == before
        again = re.search(r'action="(/c/\w+)"', answer.text)[1]
        assert client.post(again, data={"action": "link"}).status_code == 303
        assert len(deliveries(container, MailKind.PRIVATE_LINK)) == 1

    @pytest.mark.parametrize("path", ["", "/data.json", "/data.zip", "/mail/1", "/erase"])
    def test_of_nobody_of_a_test_and_forged(self, client, page, keys, path, container, clock):
        now = int(clock.now().timestamp())
        for first, status, words in ((0, 200, "This was a test"), (987_654, 200, "You get nothing from us")):
            token = keys.seal(Token(TokenKind.PRIVATE, first, now))
            answer = client.get(f"/p/{token}{path}")
            assert (answer.status_code, words in answer.text) == (status, True)
        for token in ("x", "z" * 52, keys.seal(Token(TokenKind.CONTROL, subscriber(container).id))):
            answer = client.get(f"/p/{token}{path}")
            assert (answer.status_code, "We do not know this link" in answer.text) == (404, True)


def post(container, clock) -> dict[str, str]:
    """Everything that is due is mailed; the newest text by the address that it went to."""
    sender = a_sender(container.transaction, clock, lane=Lane.INTERACTIVE, write=container.writer.write)
    send_due(sender)
    mails = {}
    for message in sender.transport.accepted:
        plain = message_from_bytes(message.data, policy=policy.default).get_body(("plain",))
        mails[message.rcpt_to] = plain.get_content()
    return mails


@pytest.mark.requirement("D-13", "D-14")
def test_through_the_mails(client, control, container, clock, keys):
    """From the control page to the fresh link, to another address, and to erasure, as they are mailed."""
    post(container, clock)
    client.post(control, data={"action": "link"})
    [(address, mail)] = post(container, clock).items()
    assert address == "anna@fjellsko.example"
    own = re.search(r"http://localhost:8025(/p/\w+)", mail)[1]
    assert "What we hold about you" in client.get(own).text
    client.post(own + "/address", data={"address": "anna@new.example"})
    [(address, mail)] = post(container, clock).items()
    assert address == "anna@new.example"
    assert "anna@fjellsko.example" not in mail, "nothing of the old one"
    client.post(re.search(r"http://localhost:8025(/a/\w+)", mail)[1])
    clock.advance(seconds=1)
    client.post(control, data={"action": "link"})
    [(address, mail)] = post(container, clock).items()
    assert address == "anna@new.example", "and nothing to the old one"
    own = re.search(r"http://localhost:8025(/p/\w+)", mail)[1]
    assert client.get(own + "/erase").status_code == 200


class TestWhatWeHold:
    def test_the_page(self, client, page, keys, container):
        shown = client.get(page)
        assert shown.status_code == 200
        assert shown.headers["cache-control"] == "no-store"
        assert shown.headers["referrer-policy"] == "no-referrer"
        assert "noindex" in shown.headers["x-robots-tag"]
        assert "set-cookie" not in shown.headers
        for held in ("anna@fjellsko.example", "Anna", "Running", "Gear", "Whenever there is something new"):
            assert held in shown.text
        assert shown.text.count("Asked for") >= 2
        assert "We never share your personal information with third parties" in shown.text, "the words agreed to"
        receipts = re.findall(r'href="/r/(\w+)"', shown.text)
        with container.transaction() as tx:
            given = tx.session.scalars(
                text("SELECT id FROM consent_events WHERE state = 'given' ORDER BY id DESC")
            ).all()
        assert [keys.open(TokenKind.RECEIPT, token).first for token in receipts] == given

    @pytest.mark.requirement("D-13")
    def test_where_the_form_was_sent_from_stands_beside_the_button(self, client, reader, keys, clock, container):
        headers = {"user-agent": "Formfox/1", "referer": "https://fjellsko.example/hub"}
        reader.client.headers.update(headers)
        reader.sign_up()
        reader.process()
        reader.client.headers.update({"user-agent": "Buttonfox/2"})
        reader.confirm()
        found = subscriber(container)
        token = seal_link(keys, found.id, found.address, clock.now())
        history = client.get(f"/p/{token}").text.partition('class="timeline"')[2].partition("</ol>")[0]
        given, requested = history.split("<li>")[1:]
        assert "Formfox/1" in given
        assert "Buttonfox/2" in given
        assert "fox/" not in requested

    def test_looking_changes_nothing(self, client, page, container, queue):
        before = everything_stored(container)
        queue.hints.clear()
        for path in ("", "/data.json", "/data.zip", "/erase", "/mail/1"):
            for method in ("GET", "HEAD"):
                client.request(method, page + path)
        assert everything_stored(container) == before
        assert queue.hints == []

    @pytest.mark.requirement("D-13")
    def test_the_json_download(self, client, page):
        """D-13: profile, events, sends, suppression status, recipients; self-service link."""
        answer = client.get(page + "/data.json")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-disposition"] == 'attachment; filename="data.json"'
        assert answer.headers["cache-control"] == "no-store"
        held = json.loads(answer.text)
        assert held["profile"]["address"] == "anna@fjellsko.example"
        assert {"consent_events", "mails", "suppressions", "processors", "controller"} <= held.keys()
        assert [event["state"] for event in held["consent_events"]].count("given") == 2
        assert {mail["kind"] for mail in held["mails"]} == {"confirmation", "welcome"}

    @pytest.mark.requirement("D-13")
    def test_the_csv_download(self, client, page):
        answer = client.get(page + "/data.zip")
        assert answer.headers["content-type"] == "application/zip"
        archive = zipfile.ZipFile(io.BytesIO(answer.content))
        [profile] = csv.DictReader(io.StringIO(archive.read("profile.csv").decode("utf-8-sig")))
        assert profile["address"] == "anna@fjellsko.example"

    @pytest.mark.parametrize("language", Language)
    def test_in_every_language_with_everything_on_it(self, client, page, container, anna, language, clock):
        """Every word of every vocabulary, so that no state of a reader breaks the page."""
        with container.transaction() as tx:
            for kind in MailKind:
                for status in DeliveryStatus:
                    if status is DeliveryStatus.SENDING:
                        continue
                    skipped = SkipReason.PAUSED if status is DeliveryStatus.SKIPPED else None
                    tx.session.add(_delivery(tx, anna.id, kind, status, skipped))
            for reason in SuppressionReason:
                tx.session.execute(
                    text(
                        "INSERT INTO suppressions (address_hmac, reason, source, created_at, lifted_at) "
                        "VALUES (:hmac, :reason, 'test', :now, :now)"
                    ),
                    {"hmac": anna.address_hmac, "reason": reason.value, "now": tx.now},
                )
            for kind in PrivacyRequestKind:
                tx.session.add(
                    PrivacyRequest(
                        kind=kind, subscriber_id=anna.id, asked_by="subscriber", asked_at=tx.now, due_at=tx.now
                    )
                )
            tx.session.flush()
            tx.session.execute(
                text("UPDATE subscribers SET local_hour = 7, time_zone = 'Asia/Tokyo', paused_until = :until"),
                {"until": tx.now + timedelta(days=9)},
            )
        shown = client.get(f"{page}?language={language}")
        assert (shown.status_code, f'<html lang="{language}">' in shown.text) == (200, True)
        assert "07:00" in shown.text
        assert not re.search(r"\bNone\b|{\w+}", shown.text)

    @pytest.mark.parametrize("language", Language)
    def test_every_state_has_words(self, language):
        keys = Catalogue("pages").keys(language)
        for section, vocabulary in {
            "event": ConsentState,
            "channel": Channel,
            "mail": MailKind,
            "status": DeliveryStatus,
            "order": SuppressionReason,
            "request": PrivacyRequestKind,
            "rhythm": Rhythm,
        }.items():
            assert {f"{section}.{word}" for word in vocabulary} <= keys


def _delivery(tx, subscriber_id, kind, status, skipped) -> Delivery:
    list_id = tx.session.scalar(text("SELECT min(id) FROM lists"))
    return Delivery(
        lane="bulk",
        kind=kind,
        subscriber_id=subscriber_id,
        list_id=list_id,
        status=status,
        skip_reason=skipped,
        due_at=tx.now,
        created_at=tx.now,
    )


class TestPastMails:
    @pytest.fixture
    def digest(self, container, anna) -> int:
        """A digest that was mailed to Anna; returns its delivery."""
        with container.transaction() as tx:
            list_id = tx.session.scalar(text("SELECT min(id) FROM lists"))
            source = Source(slug="feed", list_id=list_id, location="/feed", topic_map={})
            digest = DigestRow(slug="hub", list_id=list_id, names={}, min_items=1, max_items=5, max_age_days=30)
            tx.session.add_all([source, digest])
            tx.session.flush()
            article = Article(
                source_id=source.id,
                guid="1",
                canonical_url="https://hub.fjellsko.example/hills",
                url_key="hills",
                title="Hills <made> easy",
                summary="Up, and down again.",
                language="en",
                published_at=tx.now,
            )
            run = Run(digest_id=digest.id, cutoff_at=tx.now)
            tx.session.add_all([article, run])
            tx.session.flush()
            issue = Issue(run_id=run.id, language="en", article_ids=[article.id])
            tx.session.add(issue)
            tx.session.flush()
            delivery = _delivery(tx, anna.id, MailKind.DIGEST, DeliveryStatus.ACCEPTED, None)
            delivery.issue_id, delivery.message_id = issue.id, "1@localhost"
            tx.session.add(delivery)
            tx.session.flush()
            return delivery.id

    def test_a_past_digest_opens_as_a_page(self, client, page, digest):
        shown = client.get(page).text
        assert f'href="{page}/mail/{digest}"' in shown
        assert "Hills &lt;made&gt; easy" in shown
        opened = client.get(f"{page}/mail/{digest}")
        assert opened.status_code == 200
        assert 'href="https://hub.fjellsko.example/hills"' in opened.text
        assert "Up, and down again." in opened.text

    def test_a_past_campaign_is_a_page_without_the_styles_of_a_mail(self, client, page, container, anna):
        body = "# Sale\n\nThey are **here**: <script>x</script> [look](https://www.fjellsko.example/new)"
        with container.transaction() as tx:
            list_id = tx.session.scalar(text("SELECT min(id) FROM lists"))
            campaign = Campaign(list_id=list_id, purpose="offers", name="x", status="sent", changed_by="ada")
            tx.session.add(campaign)
            tx.session.flush()
            revision = Revision(campaign_id=campaign.id, subject="New shoes", body=body, sha256=b"")
            tx.session.add(revision)
            tx.session.flush()
            delivery = _delivery(tx, anna.id, MailKind.CAMPAIGN, DeliveryStatus.ACCEPTED, None)
            delivery.revision_id, delivery.message_id = revision.id, "1@localhost"
            tx.session.add(delivery)
            tx.session.flush()
        shown = client.get(f"{page}/mail/{delivery.id}").text
        assert re.findall(r"<h1[^>]*>([^<]*)", shown) == ["New shoes"]
        assert "<h2>Sale</h2>" in shown
        assert "<strong>here</strong>" in shown
        assert not re.search(r"<script|style=", shown)

    def test_only_to_whom_it_was_mailed(self, client, page, digest, container):
        with container.transaction() as tx:
            other = tx.session.scalar(
                text(
                    "INSERT INTO subscribers (address, dedupe_key, address_hmac, language) "
                    "VALUES ('b@c.no', 'b@c.no', 'x', 'en') RETURNING id"
                )
            )
            tx.session.execute(text("UPDATE deliveries SET subscriber_id = :id WHERE kind = 'digest'"), {"id": other})
        for number in (digest, 987_654, 2**70):
            assert client.get(f"{page}/mail/{number}").status_code == 404

    def test_what_was_not_mailed_does_not_open(self, client, page, digest, container):
        with container.transaction() as tx:
            tx.session.execute(text("UPDATE deliveries SET status = 'cancelled' WHERE kind = 'digest'"))
        assert client.get(f"{page}/mail/{digest}").status_code == 404
        assert f"/mail/{digest}" not in client.get(page).text


@pytest.mark.requirement("D-14")
class TestAnotherAddress:
    """D-14, over the pages."""

    NEW = "anna@new.example"

    def ask(self, client, page, address=NEW):
        return client.post(page + "/address", data={"address": address})

    def link(self, container, keys) -> str:
        with container.transaction() as tx:
            return "/a/" + keys.seal(
                Token(TokenKind.ADDRESS_CHANGE, tx.session.scalars(select(AddressChange.id)).one())
            )

    def test_asked_then_confirmed(self, client, page, container, keys):
        asked = self.ask(client, page)
        assert asked.status_code == 303
        assert "one is on its way there" in client.get(asked.headers["location"]).text
        link = self.link(container, keys)
        before = everything_stored(container)
        for _ in range(2):
            button = client.get(link)
            assert (button.status_code, "Is this your new address?" in button.text) == (200, True)
            assert "a•••@n•••.example" in button.text
            assert client.head(link).status_code == 200
        assert everything_stored(container) == before, "only the button changes the address"
        assert "anna" not in button.text.lower()
        done = client.post(link)
        assert (done.status_code, "Your address is changed" in done.text) == (200, True)
        assert subscriber(container).address == self.NEW
        for method in ("GET", "POST"):
            assert client.request(method, link).status_code == 410
        assert client.get(page).status_code == 410, "mailed to the old address"

    def test_another_readers_address(self, client, page, container, keys, reader, clock):
        with container.transaction() as tx:
            tx.session.execute(
                text(
                    "INSERT INTO subscribers (address, dedupe_key, address_hmac, language) "
                    "VALUES ('anna@new.example', 'anna@new.example', 'x', 'de')"
                )
            )
        asked = self.ask(client, page)
        assert (asked.status_code, asked.headers["location"]) == (303, f"{page}?done=address#address-title")
        link = self.link(container, keys)
        for method in ("GET", "POST"):
            answer = client.request(method, link)
            assert (answer.status_code, "gets our mails already" in answer.text) == (409, True)

    def test_a_suppressed_address_looks_the_same_and_gets_nothing(self, client, page, container, keys):
        with container.transaction() as tx:
            tx.session.execute(
                text("INSERT INTO suppressions (address_hmac, reason, source) VALUES (:hmac, 'complaint', 'test')"),
                {"hmac": keys.address_hmac(self.NEW)},
            )
        asked = self.ask(client, page)
        assert (asked.status_code, asked.headers["location"]) == (303, f"{page}?done=address#address-title")
        assert deliveries(container, MailKind.ADDRESS_CHANGE) == []

    @pytest.mark.parametrize("known", ["unknown", "refused", *SuppressionReason, "asked today"])
    def test_the_readers_own_pages_tell_nothing_of_the_other_mailbox(
        self, client, page, container, keys, clock, reader, known
    ):
        """E-04: what the asker typed, and nothing of what became of it."""
        if known in list(SuppressionReason):
            with container.transaction() as tx:
                tx.session.execute(
                    text("INSERT INTO suppressions (address_hmac, reason, source) VALUES (:hmac, :reason, 'test')"),
                    {"hmac": keys.address_hmac(self.NEW), "reason": known},
                )
        if known == "asked today":
            reader.sign_up(address=self.NEW)
            reader.process()
        script = {self.NEW: (Phase.RCPT, 550, "5.1.1", "no such user")} if known == "refused" else {}
        self.ask(client, page)
        assert len(deliveries(container, MailKind.ADDRESS_CHANGE)) == (known in ("unknown", "refused"))
        send_due(a_sender(container.transaction, clock, lane=Lane.INTERACTIVE, script=script))
        held = client.get(page + "/data.json").json()
        [change] = held["address_changes"]
        now = clock.now()
        assert change == {
            "address": self.NEW,
            "created_at": spell_time(now),
            "expires_at": spell_time(now + timedelta(hours=24)),
        }
        assert {mail["kind"] for mail in held["mails"]} == {"confirmation", "welcome"}
        assert client.get(page).text.count(self.NEW) == 1

    @pytest.mark.parametrize(
        ("address", "words"),
        [
            ("", "Enter your e-mail address."),
            ("anna", "has an @ in it"),
            ("a@b@c", "not a complete e-mail address"),
            ("ANNA@fjellsko.example", "go to this address already"),
            ("<script>@x.no", "not a complete e-mail address"),
        ],
    )
    def test_what_cannot_be(self, client, page, container, address, words):
        before = everything_stored(container)
        answer = self.ask(client, page, address)
        assert (answer.status_code, words in answer.text) == (422, True)
        assert "<script" not in answer.text
        assert 'href="?language=' not in answer.text, "nobody gets this path"
        assert everything_stored(container) == before

    def test_a_domain_that_takes_no_mail_is_said_as_when_signing_up(self, app, client, page, container):
        """With what was probably meant."""

        class Directory:
            def accepts_mail(self, domain: str) -> bool:
                return domain not in ("gmial.com", "nowhere.no")

        before = everything_stored(container)
        app.state.mail_domains = Directory()
        for domain, words in (("gmial.com", "Did you mean gmail.com?"), ("nowhere.no", "Check it for typing errors.")):
            answer = self.ask(client, page, f"anna@{domain}")
            assert (answer.status_code, answer.text.count(words)) == (422, 2)
            assert f'value="anna@{domain}"' in answer.text
        assert everything_stored(container) == before
        assert self.ask(client, page, "anna@gmail.com").status_code == 303

    def test_forged(self, client):
        for token in ("x", "z" * 52):
            for method in ("GET", "POST"):
                assert client.request(method, f"/a/{token}").status_code == 404


class TestErasing:
    def test_says_what_goes_and_what_stays_then_one_button(self, client, page, container, anna):
        before = everything_stored(container)
        asked = client.get(page + "/erase")
        assert asked.status_code == 200
        for words in (
            "anna@fjellsko.example",
            "fingerprint of your address",
            "proof, without anything",
            "links in our",
        ):
            assert words in asked.text
        assert everything_stored(container) == before
        done = client.post(page + "/erase")
        assert (done.status_code, "We are forgetting you" in done.text) == (200, True)
        with container.transaction() as tx:
            [request] = tx.session.scalars(select(PrivacyRequest)).all()
        assert (request.kind, request.subscriber_id, request.asked_by) == ("erase", anna.id, "subscriber")

    def test_old_links_of_who_was_erased_answer_kindly(self, client, keys, container):
        """A-29: in mails that are years old."""
        now = int(container.clock.now().timestamp())
        for path, kind in (("/c/", TokenKind.CONTROL), ("/p/", TokenKind.PRIVATE), ("/u/", TokenKind.UNSUBSCRIBE)):
            answer = client.get(path + keys.seal(Token(kind, 987_654, now, 1)))
            assert (answer.status_code, "You get nothing from us" in answer.text) == (200, True)
        gone = client.get("/a/" + keys.seal(Token(TokenKind.ADDRESS_CHANGE, 987_654)))
        assert (gone.status_code, "This link no longer works" in gone.text) == (410, True)


@pytest.mark.requirement("D-08")
class TestTheWayOut:
    """D-08: reachable from every mail, two actions at most, no login, no reason, free, immediate."""

    def test_from_a_mail_it_is_a_link_and_a_button(self, client, keys, container, anna):
        """The steps a person takes, counted: the link in the mail, then the first button of the page."""
        with container.transaction() as tx:
            list_id = tx.session.scalar(text("SELECT min(list_id) FROM subscriptions"))
        steps = 1  # the link
        page = client.get("/u/" + keys.seal(Token(TokenKind.UNSUBSCRIBE, anna.id, 1, list_id, 0))).text
        form = re.search(r'<form[^>]*action="(/u/\w+)">(.*?)</form>', page, re.DOTALL)
        assert page.index("<form") == form.start(), "nothing before it, no offer in its way"
        first = re.search(r"<button([^>]*)>", form[2])[1]
        assert 'value="unsubscribe"' in first
        assert "quiet" not in first, "the one that stands out"
        assert not re.search(r"<(input|select|textarea)\b", form[2]), "no field at all, so none is required"
        steps += 1  # the button
        done = client.post(form[1], data={"action": "unsubscribe"})
        assert (done.status_code, "You are unsubscribed" in done.text) == (200, True)
        assert steps == 2
        with container.transaction() as tx:
            assert set(tx.session.scalars(text("SELECT state FROM subscriptions"))) == {"unsubscribed"}, "at once"

    def test_from_the_control_page_it_is_no_more(self, client, control, container):
        page = client.get(control).text
        way_out = client.get(re.search(r'href="(/u/\w+)"', page)[1]).text
        form = re.search(r'<form[^>]*action="(/u/\w+)"', way_out)[1]
        assert "You are unsubscribed" in client.post(form, data={"action": "unsubscribe"}).text
