"""Robots, list bombing and letters that are not what they seem, over HTTP and as far as the outbox (E-03 … E-10)."""

import base64
import dataclasses
import re
import socket
import sys
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message as Mail
from typing import Any

import pytest
import redis
from fastapi import FastAPI
from sqlalchemy import func, select, text

from service.bootstrap import Container, build_container
from service.domain.forms import FormView
from service.domain.words import ConsentState, Lane, Language, MailKind, SignupState
from service.errors import ConfigurationError
from service.looks import forms as form_looks
from service.mail.memory import MemoryTransport
from service.ports import Hint
from service.store.schema import Base, ConsentEvent, Delivery, Signup, Statement, Subscriber
from service.usecases import dispatching, wording
from service.web.app import create_app
from service.web.mail_domains import DnsMailDomains
from tests.usecases.sending import a_sender
from tests.web.conftest import ANNA, Reader, make_client, make_container
from tests.web.name_server import NameServer


class Outbox:
    """What the relay took: the worker decides, writes with the product's own writer, and sends into memory."""

    def __init__(self, reader: Reader, container: Container, clock: Any) -> None:
        self.reader = reader
        self.sender = a_sender(container.transaction, clock, lane=Lane.INTERACTIVE, write=container.writer.write)

    def deliver(self) -> list[Mail]:
        """Everything sent so far."""
        self.reader.process()
        dispatching.send_due(self.sender)
        assert isinstance(self.sender.transport, MemoryTransport)
        return [message_from_bytes(message.data) for message in self.sender.transport.accepted]


@pytest.fixture
def outbox(reader: Reader, container: Container, clock: Any) -> Outbox:
    return Outbox(reader, container, clock)


def everything_in(mail: Mail) -> str:
    """Headers and decoded bodies."""
    parts = [part.get_payload(decode=True).decode() for part in mail.walk() if not part.is_multipart()]  # type: ignore[union-attr]
    return "\n".join([*(f"{name}: {value}" for name, value in mail.items()), *parts])


def count(container: Container, table: Any) -> int:
    with container.transaction() as tx:
        return tx.session.scalar(select(func.count()).select_from(table)) or 0


class TestRobots:
    """E-06: confirmation by mail and friction for robots together; nobody else's captcha."""

    @pytest.mark.requirement("E-06")
    @pytest.mark.parametrize("robot", ["without a token", "too fast", "with an old form", "fills the honeypot"])
    def test_a_robot_gets_a_friendly_page_and_causes_no_mail(self, reader, container, outbox, robot):
        sent: dict[str, Any] = {
            "without a token": {"token": ""},
            "too fast": {"token": reader.token(seconds=2.9)},
            "with an old form": {"token": reader.token(seconds=3601)},
            "fills the honeypot": {"token": reader.token(), "website": "https://spam.example"},
        }[robot]
        answer = reader.client.post("/subscribe", data=ANNA | sent, follow_redirects=True)
        assert answer.status_code == 200
        assert outbox.deliver() == []
        assert (count(container, Signup), count(container, Subscriber)) == (0, 0)

    @pytest.mark.requirement("E-06")
    def test_only_a_form_opened_and_read_causes_a_mail(self, reader, outbox):
        reader.sign_up(token=reader.token(seconds=3))
        assert [mail["To"] for mail in outbox.deliver()] == [ANNA["address"]]

    @pytest.mark.requirement("E-06")
    @pytest.mark.parametrize("form", ["hub", "hub-one-box"])
    @pytest.mark.parametrize("language", Language)
    def test_the_honeypot_is_for_nobody_who_reads(self, client, container, form, language):
        """Neither eyes, nor a screen reader, nor the tab key, nor a browser that fills in forms comes to it."""
        hosted = client.get(f"/subscribe?form={form}&language={language}").text
        with container.transaction() as tx:
            snippet = form_looks.render_snippet(container.publisher, wording.get_form(tx, form, language), "")
        for page in (hosted, snippet):
            [trap] = re.findall(r'<(?:div|p)[^>]*aria-hidden="true"[^>]*>.*?</(?:div|p)>', page, re.DOTALL)
            [field] = re.findall(r'<input[^>]* name="website"[^>]*>', page)
            assert field in trap
            assert 'tabindex="-1"' in field
            assert 'autocomplete="off"' in field
            assert "required" not in field
            assert "<script" not in page

    @pytest.mark.requirement("E-06")
    def test_without_javascript_and_from_a_static_page_it_takes_one_more_button(self, reader, container, outbox, clock):
        """The publisher's page is static: no token. The hosted form comes back filled in, with one."""
        with container.transaction() as tx:
            view: FormView = wording.get_form(tx, "hub", Language.FR)
            snippet = form_looks.render_snippet(container.publisher, view, "https://fjell.no/hub")
        assert 'name="token"' not in snippet
        shown = reader.client.post("/subscribe", data=ANNA | {"language": "fr", "page": "https://fjell.no/hub"})
        assert (shown.status_code, f'value="{ANNA["address"]}"' in shown.text) == (200, True)
        assert outbox.deliver() == []
        token = re.search(r'name="token" value="(\w+)"', shown.text)[1]
        clock.advance(seconds=1)
        assert reader.sign_up(language="fr", token=token).status_code == 303
        assert len(outbox.deliver()) == 1


class TestProbing:
    """E-03: a mail server learns nothing before there is a mail for it."""

    @pytest.fixture
    def connections(self) -> Iterator[list[Any]]:
        """Every address that this process connects or sends to, its own name server's answers aside."""
        made: list[Any] = []
        watching = True

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            answering = isinstance(threading.current_thread(), NameServer)
            if watching and not answering and event in ("socket.connect", "socket.sendto"):
                made.append(arguments[1])

        sys.addaudithook(watch)  # stays for ever, so it is told when to stop
        yield made
        watching = False

    @pytest.mark.requirement("E-03")
    def test_signing_up_talks_to_no_mail_server(
        self, make_settings, valkey, shared_engine, transaction, clock, queue, connections
    ):
        directory = NameServer()
        directory.start()
        asked_at = ("127.0.0.1", directory.port)
        with socket.create_server(("127.0.0.1", 0)) as relay:
            settings = make_settings(
                environment="production",
                redis_url=valkey.url,
                public_url="https://news.fjellsko.no",
                signup_check_dns="true",
                relay_port=str(relay.getsockname()[1]),
            )
            container = make_container(settings, shared_engine, transaction, clock, queue)
            app = create_app(container, DnsMailDomains(directory.resolver(), 1))
            with make_client(app, "203.0.113.61") as client:
                reader = Reader(client, container, clock)
                for address in ("anna@fjell.no", "ben@addressonly.no", "eve@nullmx.no", "gone@gone.no"):
                    reader.sign_up(address=address)
                reader.process()
            relay.setblocking(False)
            with pytest.raises(BlockingIOError):
                relay.accept()
        directory.stop()
        assert {name for name, _ in directory.asked} == {"fjell.no.", "addressonly.no.", "nullmx.no.", "gone.no."}
        reached = {(peer[0], peer[1]) for peer in connections if isinstance(peer, tuple)}
        assert asked_at in reached, "or nothing was watched"
        valkey_port = int(valkey.url.rpartition(":")[2].partition("/")[0])
        assert reached <= {asked_at, ("127.0.0.1", valkey_port)}


class TestOneVictim:
    """E-05: whoever types it in, from wherever, however often: one mail."""

    def networks(self, number: int) -> Iterator[str]:
        """Each another IPv4 /24 or IPv6 /48."""
        for n in range(number):
            yield f"2a{n % 16:02x}:{n:x}::1" if n % 2 else f"{11 + n // 250}.{n % 250}.7.9"

    @pytest.mark.long
    @pytest.mark.requirement("E-05")
    def test_a_thousand_sign_ups_from_a_thousand_networks_are_one_mail(
        self, make_settings, valkey, shared_engine, transaction, clock, queue
    ):
        """Also though Redis is emptied half-way: the limit per address is a fact in PostgreSQL."""
        settings = make_settings(redis_url=valkey.url, trusted_proxies="127.0.0.0/8")
        container = make_container(settings, shared_engine, transaction, clock, queue)
        spellings = ("v.ictim@gmail.com", "Victim+{}@gmail.com", "vic.tim+{}@googlemail.com", "VICTIM@GoogleMail.com")
        statuses = []
        with make_client(create_app(container), "127.0.0.1") as client:
            reader = Reader(client, container, clock)
            outbox = Outbox(reader, container, clock)
            token = reader.token()
            for n, network in enumerate(self.networks(1000)):
                if n == 500:
                    with redis.Redis.from_url(valkey.url) as counters:
                        assert counters.dbsize() > 0
                        counters.flushall()
                client.headers["X-Forwarded-For"] = network
                address = spellings[n % 4].format(n)
                statuses.append(reader.sign_up(address=address, token=token).status_code)
                if n % 250 == 249:
                    outbox.deliver()
            while reader.process():
                pass
            mails = outbox.deliver()
        assert statuses == [303] * 1000, "every network was within its share, and nobody was told anything else"
        assert [mail["To"] for mail in mails] == ["v.ictim@gmail.com"]
        with container.transaction() as tx:
            states = dict(tx.session.execute(select(Signup.state, func.count()).group_by(Signup.state)).all())
            assert states == {SignupState.ASKED: 1, SignupState.LIMITED: 999}
            assert tx.session.scalars(select(Delivery.kind)).all() == [MailKind.CONFIRMATION]

    @pytest.mark.requirement("E-04", "E-05")
    def test_the_answer_to_a_held_sign_up_is_everybodys(self, reader, container):
        """A stranger cannot find out that a domain is under attack either."""
        token = reader.token()
        answers = set()
        for n in range(33):
            answer = reader.sign_up(address=f"reader{n}@victim.no", token=token)
            answers.add(str((answer.status_code, sorted(answer.headers.items()), answer.content)))
            reader.process()
        assert len(answers) == 1
        with container.transaction() as tx:
            assert tx.session.scalars(select(Signup.state).order_by(Signup.id)).all()[29:] == [
                SignupState.ASKED,
                *[SignupState.HELD] * 3,
            ]


class TestThreeKeys:
    """E-02: mailed as typed, found again case-folded, limited as the provider would see it."""

    @pytest.mark.requirement("E-02")
    def test_mailed_as_typed_and_limited_as_one_mailbox(self, reader, container, outbox, clock):
        for address in ("A.b+x@Gmail.com", "ab@gmail.com", "a.B@googlemail.com"):
            assert reader.sign_up(address=address).status_code == 303
        assert [mail["To"] for mail in outbox.deliver()] == ["A.b+x@gmail.com"]
        clock.advance(hours=25)
        reader.sign_up(address="ab@gmail.com")
        assert [mail["To"] for mail in outbox.deliver()] == ["A.b+x@gmail.com", "ab@gmail.com"]
        clock.advance(hours=25)
        reader.sign_up(address="a.B+X@GMAIL.com")
        assert [mail["To"] for mail in outbox.deliver()][2:] == ["A.b+x@gmail.com"], "she is found again, as she wrote"
        assert count(container, Subscriber) == 2, "nobody is merged with anybody"


class TestWordsOfStrangers:
    """E-09: a form is no way to send somebody a text."""

    SPAM = "Win at https://prize.example/now"

    @pytest.mark.requirement("E-09")
    @pytest.mark.parametrize("language", Language)
    def test_a_url_in_the_name_does_not_reach_the_outbox(self, reader, outbox, language):
        assert reader.sign_up(first_name=self.SPAM, language=language, page="https://prize.example/").status_code == 303
        [mail] = outbox.deliver()
        assert "prize" not in everything_in(mail)
        assert "/confirm/" in everything_in(mail), "or the wrong thing was read"

    @pytest.mark.requirement("E-09")
    def test_nor_a_mail_to_somebody_who_is_a_reader_already(self, reader, outbox, clock):
        reader.sign_up(first_name="Anna")
        outbox.deliver()
        reader.confirm()
        clock.advance(hours=25)
        reader.sign_up(first_name=self.SPAM, page="https://prize.example/")
        mails = outbox.deliver()
        assert len(mails) == 3
        assert all("prize" not in everything_in(mail) for mail in mails)


class TestTheLink:
    """E-07, what the server keeps: nothing that could be used as a link."""

    @pytest.mark.requirement("E-07")
    def test_no_table_holds_the_token(self, reader, container, outbox):
        reader.sign_up()
        [mail] = outbox.deliver()
        token = re.search(r"/confirm/(\w+)", everything_in(mail))[1]
        assert self.rows_with(container, token) == []
        assert reader.client.post(f"/confirm/{token}").status_code == 200
        assert self.rows_with(container, token) == []

    def rows_with(self, container: Container, token: str) -> list[str]:
        """Tables that hold the token, as text, in bytes, or its raw bytes."""
        raw = base64.b32decode(token.upper() + "====")
        forms = [token, token.encode().hex(), raw.hex(), base64.b64encode(raw).decode()]
        with container.transaction() as tx:
            assert tx.session.scalar(text("SELECT count(*) FROM signups WHERE signups::text ILIKE '%fjellsko%'")) == 1
            return [
                table
                for table in Base.metadata.tables
                for form in forms
                if tx.session.scalar(
                    text(f"SELECT count(*) FROM {table} t WHERE t::text ILIKE :form"), {"form": f"%{form}%"}
                )
            ]

    @pytest.mark.requirement("E-07")
    def test_it_is_256_bits_that_nobody_can_guess_or_change(self, reader, container):
        """16 bytes of AES-SIV's tag and 16 encrypted ones; a single character changed opens nothing."""
        reader.sign_up()
        reader.process()
        token = reader.confirmation_token()
        assert len(token) * 5 // 8 >= 32
        for position in range(len(token)):
            other = token[:position] + ("a" if token[position] != "a" else "b") + token[position + 1 :]
            assert reader.client.post(f"/confirm/{other}").status_code == 404, position
        with container.transaction() as tx:
            assert ConsentState.GIVEN not in tx.session.scalars(select(ConsentEvent.state)).all()

    @pytest.mark.requirement("E-07")
    def test_it_confirms_the_words_that_were_shown_whatever_is_published_since(self, reader, container, outbox):
        reader.sign_up()
        outbox.deliver()
        with container.transaction() as tx:
            [shown] = tx.session.scalars(select(Signup.statement_ids)).one()
            wording.publish(tx, dataclasses.replace(container.publisher, name="Fjellsko Trail AS"))
            newest = tx.session.scalar(select(func.max(Statement.id)))
        page = reader.client.get(f"/confirm/{reader.confirmation_token()}").text
        assert "Fjellsko Sport AS" in page
        assert reader.confirm().status_code == 200
        with container.transaction() as tx:
            [given] = tx.session.scalars(select(ConsentEvent).where(ConsentEvent.state == ConsentState.GIVEN)).all()
            assert given.statement_id == shown < newest
            assert given.list_id == tx.session.scalars(select(Signup.list_id)).one()


class TestTypingErrors:
    """E-10: a hint beside the page that everybody gets; the address stays as typed."""

    @pytest.mark.requirement("E-10")
    @pytest.mark.parametrize(("language", "words"), [("en", "Did you mean"), ("de", "Meinten Sie"),
                                                     ("fr", "Vouliez-vous dire"), ("es", "¿Quería decir")])  # fmt: skip
    def test_a_reader_sees_the_hint_and_is_mailed_as_typed(self, reader, outbox, language, words):
        answer = reader.sign_up(address="Anna@gmial.com", language=language)
        assert answer.headers["location"] == f"/subscribe/sent?language={language}&meant=gmail.com"
        page = reader.client.get(answer.headers["location"])
        assert words in page.text
        assert "gmail.com" in page.text
        assert "meant=gmail.com&amp;language=" in page.text, "stays when the page's language is changed"
        assert [mail["To"] for mail in outbox.deliver()] == ["Anna@gmial.com"]

    @pytest.mark.requirement("E-10")
    def test_a_program_gets_it_too(self, reader):
        answer = reader.client.post("/subscribe", json=ANNA | {"token": reader.token(), "address": "anna@gmial.com"})
        assert (answer.status_code, answer.json()["hint"]["meant"]) == (202, "gmail.com")
        assert "gmail.com" in answer.json()["hint"]["message"]

    @pytest.mark.requirement("E-04", "E-10")
    def test_the_hint_is_the_same_for_who_is_known(self, reader, clock):
        """It follows from what was typed and from nothing stored."""
        reader.sign_up(address="known@gmial.com")
        reader.process()
        reader.confirm("known@gmial.com")
        clock.advance(hours=25)
        answers = [reader.sign_up(address=f"{name}@gmial.com") for name in ("known", "never")]
        assert len({str((a.status_code, sorted(a.headers.items()), a.content)) for a in answers}) == 1

    @pytest.mark.parametrize("meant", ["evil.example", "<script>", "gmial.com", "", "GMAIL.COM"])
    def test_only_names_of_our_own_table_are_repeated(self, client, meant):
        page = client.get("/subscribe/sent", params={"meant": meant})
        assert page.status_code == 200
        assert "Did you mean" not in page.text
        assert not meant or meant not in page.text


class TestThrowAwayDomains:
    """E-10: accepted unless the operator's own list says otherwise."""

    def app_with(self, make_settings, valkey, shared_engine, transaction, clock, queue, file) -> tuple[FastAPI, Any]:
        settings = make_settings(redis_url=valkey.url, **({"disposable_domains_file": str(file)} if file else {}))
        container = make_container(settings, shared_engine, transaction, clock, queue)
        return create_app(container), container

    @pytest.mark.requirement("E-10")
    def test_by_default_they_are_accepted(self, reader, outbox):
        assert reader.sign_up(address="anna@mailinator.com").status_code == 303
        assert len(outbox.deliver()) == 1

    @pytest.mark.requirement("E-10")
    def test_a_list_refuses_them_for_everybody_alike(
        self, make_settings, valkey, shared_engine, transaction, clock, queue, tmp_path
    ):
        file = tmp_path / "domains"
        file.write_text("# ours\nmailinator.com\n")
        app, container = self.app_with(make_settings, valkey, shared_engine, transaction, clock, queue, file)
        with make_client(app) as client:
            reader = Reader(client, container, clock)
            for kind in ("data", "json"):
                for domain in ("mailinator.com", "box.Mailinator.com"):
                    sent = ANNA | {"token": reader.token(), "address": f"anna@{domain}"}
                    answer = client.post("/subscribe", **{kind: sent})  # type: ignore[arg-type]
                    assert (answer.status_code, "throw-away" in answer.text) == (422, True)
            assert count(container, Signup) == 0
            assert reader.sign_up().status_code == 303
        assert (Hint.PROCESS_SIGNUPS, Lane.INTERACTIVE, ()) in queue.hints

    @pytest.mark.parametrize("content", [None, "fjell.no\nno domain\n", b"\xff\xfe"])
    def test_a_list_that_cannot_be_read_stops_the_start(self, make_settings, tmp_path, content):
        file = tmp_path / "domains"
        if content is not None:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(ConfigurationError, match="MILEPOST_DISPOSABLE_DOMAINS_FILE"):
            build_container(make_settings(disposable_domains_file=str(file)))
