"""What is published with the words: circumstances, how the forms look, mail templates; and what is refused (D-05)."""

import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from service.domain.contexts import Circumstances
from service.domain.processors import Processor
from service.domain.statements import find_form_flaws, find_unsaid
from service.domain.words import Language, MailKind, Purpose
from service.errors import Kind, ServiceError
from service.looks import forms as form_looks
from service.store.schema import ConsentEvent, Context, Form, FormSnapshot, MailTemplate, Statement
from service.store.transaction import Transaction
from service.texts import templates_dir
from service.usecases import wording
from tests.usecases.builders import PUBLISHER, a_reader


@pytest.fixture(scope="module")
def shared_engine(empty_engine: Engine) -> Engine:
    """Nothing is published there yet."""
    return empty_engine


RELAY = Processor(
    name="Postbud Relay SA",
    purpose="Hands our mail to mailboxes",
    hosts=("relay.postbud.example",),
    sees=("addresses", "content of mails"),
    country="Norway",
    third_country=False,
    reuse_of_data="none",
    log_days=30,
    contract="2026/14",
    contact="privacy@postbud.example",
)
STATED = Circumstances("Norway (EEA)", "The authority", "Oslo", "", (RELAY,), third_country=False)


def contexts(tx: Transaction) -> list[dict[str, object]]:
    return [json.loads(body) for body in tx.session.scalars(select(Context.body).order_by(Context.id))]


class TestCircumstances:
    def test_the_same_are_published_once_and_others_are_a_new_version_also_on_the_way_back(self, tx):
        for circumstances in (STATED, STATED, replace(STATED, storage_location="Bergen"), STATED, STATED):
            wording.publish(tx, PUBLISHER, circumstances)
        found = contexts(tx)
        assert [one["storage_location"] for one in found] == ["Oslo", "Bergen", "Oslo"]
        rows = tx.session.scalars(select(Context).order_by(Context.id)).all()
        assert [one["replaces"] for one in found] == [None, rows[0].sha256.hex(), rows[1].sha256.hex()]
        assert all(sha256(row.body.encode()).digest() == row.sha256 for row in rows)

    def test_who_was_told_of_whom(self, tx):
        wording.publish(tx, PUBLISHER, STATED)
        [context] = contexts(tx)
        [recipient] = context["recipients"]
        assert (recipient["name"], recipient["third_country"], recipient["log_days"]) == ("Postbud Relay SA", False, 30)
        assert "relay.postbud.example" not in json.dumps(context)
        assert context["controller"]["name"] == PUBLISHER.name

    def test_what_nobody_stated_is_said_to_be_so(self, tx):
        wording.publish(tx, PUBLISHER)
        [context] = contexts(tx)
        assert (
            context["jurisdiction"] == context["supervisory_authority"] == context["storage_location"] == "not stated"
        )

    @pytest.mark.requirement("D-05")
    def test_an_event_is_bound_to_those_in_force_and_stays_so(self, tx):
        wording.publish(tx, PUBLISHER, STATED)
        bound = tx.session.scalar(select(func.max(Context.id)))
        wording.publish(tx, PUBLISHER)  # with nothing stated: a version of its own
        subscriber = a_reader(tx)
        after = tx.session.scalar(select(func.max(Context.id)))
        assert after > bound
        wording.publish(tx, PUBLISHER, STATED)
        of_events = set(
            tx.session.scalars(select(ConsentEvent.context_id).where(ConsentEvent.subscriber_id == subscriber))
        )
        assert of_events == {after}


class TestLooks:
    def test_every_form_is_kept_as_it_looks_in_every_language(self, tx):
        wording.publish(tx, PUBLISHER)
        forms = tx.session.scalars(select(Form)).all()
        assert len(forms) == 2
        for form in forms:
            looks = tx.session.scalars(select(FormSnapshot).where(FormSnapshot.form_id == form.id)).all()
            assert {look.language for look in looks} == set(Language)
            for look in looks:
                assert sha256(look.body.encode()).digest() == look.sha256
                assert form.definition["looks"][look.language.value] == look.sha256.hex(), "the version binds its looks"
                shown = json.loads(look.body)
                assert "@media (prefers-color-scheme: dark)" in shown["page"], "with its style"
                assert 'href="/static/' not in shown["page"].replace('href="/static/milepost.svg"', "")
                assert 'name="token" value="[token]"' in shown["page"]
                for statement_id in form.definition["statements"][look.language.value].values():
                    words = tx.session.get_one(Statement, statement_id).body.split("\n\n")[1]
                    assert words in shown["page"]
                    assert words in shown["snippet"]

    @pytest.mark.requirement("D-04")
    @pytest.mark.parametrize("language", Language)
    def test_no_box_is_ticked_and_each_purpose_has_its_own(self, tx, language):
        """D-04: rendered forms have no `checked`; the language of the page is no consent."""
        wording.publish(tx, PUBLISHER)
        for slug, boxes in ((wording.FORM, 2), (wording.FORM_ONE_BOX, 1)):
            shown = json.loads(form_looks.render_snapshot(PUBLISHER, wording.get_form(tx, slug, language)))
            assert "checked" not in shown["snippet"]
            page = shown["page"].partition("<form")[2]
            before_the_language = page.partition('id="language"')[0]
            assert " checked" not in before_the_language
            assert page.count('name="purposes"') == shown["snippet"].count('name="purposes"') == boxes
            assert page.count(" required") == 1, "the address, and nothing else"

    @pytest.mark.requirement("D-05")
    def test_another_look_is_another_version(self, tx, tmp_path, monkeypatch):
        wording.publish(tx, PUBLISHER)
        before = wording.get_form(tx, "hub", Language.EN)
        sheet = tmp_path / "milepost.css"
        sheet.write_text("form { color: red }")
        monkeypatch.setattr(form_looks, "_STYLE_SHEET", sheet)
        form_looks.render_snapshot.cache_clear()
        wording.publish(tx, PUBLISHER)
        after = wording.get_form(tx, "hub", Language.EN)
        form_looks.render_snapshot.cache_clear()
        assert after.id > before.id
        assert after.statements == before.statements
        looks = tx.session.scalars(
            select(FormSnapshot.body).where(FormSnapshot.form_id == before.id, FormSnapshot.language == Language.EN)
        ).one()
        assert "color: red" not in looks


def test_the_sources_of_every_mail_are_kept_with_what_they_include(tx):
    wording.publish(tx, PUBLISHER)
    rows = {row.kind: row for row in tx.session.scalars(select(MailTemplate))}
    assert set(rows) == set(MailKind)
    files = json.loads(rows[MailKind.CONFIRMATION].body)["files"]
    assert {"emails/confirmation/body.mjml", "emails/_base/head.mjml", "locale/mail.fr.toml"} <= set(files)
    assert "emails/_base/footer.txt" in json.loads(rows[MailKind.WELCOME].body)["files"]
    assert not any(name.endswith("sample.toml") for name in files)
    assert files["emails/confirmation/body.txt"] == (
        templates_dir() / "emails" / "confirmation" / "body.txt"
    ).read_text(encoding="utf-8")


@pytest.mark.requirement("D-01", "D-05")
@pytest.mark.parametrize("table", ["contexts", "form_snapshots", "mail_templates", "statements", "notices", "forms"])
@pytest.mark.parametrize("act", ["UPDATE {} SET sha256 = sha256", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_what_is_published_is_never_changed(tx, table, act):
    wording.publish(tx, PUBLISHER)
    with pytest.raises(DBAPIError), tx.savepoint():
        tx.session.execute(text(act.format(table)))
    assert tx.session.scalar(text(f"SELECT count(*) FROM {table}")) > 0


COMPLETE = {
    (language, purpose): (templates_dir() / "wording" / f"{purpose}.{language}.txt")
    .read_text(encoding="utf-8")
    .format(controller_name="Fjellsko Sport AS")
    for language in Language
    for purpose in Purpose
}
CUTS = {
    "the legal entity beside the box": dict.fromkeys(Language, ("Fjellsko Sport AS", "we")),
    "how often mail comes": {
        Language.EN: ("once a week", "now and then"),
        Language.DE: ("einmal pro Woche", "ab und zu"),
        Language.FR: ("une fois par semaine", "de temps en temps"),
        Language.ES: ("una vez por semana", "de vez en cuando"),
    },
    "how to take the consent back": {
        Language.EN: ("unsubscribe", "write"),
        Language.DE: ("abmelden", "melden"),
        Language.FR: ("désinscrire", "inscrire"),
        Language.ES: ("darse de baja", "escribir"),
    },
    "where the privacy notice is": {
        Language.EN: ("privacy notice", "small print"),
        Language.DE: ("Datenschutzerklärung", "Kleingedruckten"),
        Language.FR: ("politique de confidentialité", "petite note"),
        Language.ES: ("aviso de privacidad", "texto pequeño"),
    },
    "that it comes by e-mail": {
        Language.EN: ("e-mail", "post"),
        Language.DE: ("E-Mail", "Post"),
        Language.FR: ("e-mail", "lettre"),
        Language.ES: ("correo electrónico", "carta"),
    },
}


@pytest.mark.requirement("D-05")
class TestWordsThatSayTooLittle:
    @pytest.mark.parametrize("language", Language)
    @pytest.mark.parametrize("purpose", Purpose)
    def test_ours_say_everything(self, language, purpose):
        assert find_unsaid(COMPLETE[language, purpose], language, "Fjellsko Sport AS") == ()

    @pytest.mark.parametrize("language", Language)
    @pytest.mark.parametrize("missing", CUTS)
    def test_each_thing_left_out_is_named(self, language, missing):
        said, instead = CUTS[missing][language]
        body = COMPLETE[language, Purpose.DIGEST].replace(said, instead)
        assert find_unsaid(body, language, "Fjellsko Sport AS") == (missing,)

    def test_a_box_that_does_not_say_what_is_sent(self):
        assert "what will be sent" in find_unsaid("Fjellsko Sport AS: yes!", Language.EN, "Fjellsko Sport AS")

    def test_nothing_of_it_is_published(self, tx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """D-05: publishing a form without these is blocked, with a message that says what to do."""
        copy = tmp_path / "templates"
        shutil.copytree(templates_dir(), copy)
        file = copy / "wording" / "offers.fr.txt"
        file.write_text(file.read_text(encoding="utf-8").replace("deux fois par mois au plus", "parfois"))
        monkeypatch.setattr(wording, "templates_dir", lambda: copy)
        with pytest.raises(ServiceError) as refused, tx.savepoint():
            wording.publish(tx, PUBLISHER)
        assert (refused.value.kind, refused.value.code) == (Kind.INVALID, "statement_incomplete")
        assert "offers.fr.txt does not say how often mail comes" in refused.value.message
        assert "nothing was published" in refused.value.message
        assert tx.session.scalar(select(func.count()).select_from(Form)) == 0

    def test_a_form_with_a_ticked_box_or_no_way_to_the_notice(self):
        form = '<input type="checkbox" name="purposes" value="digest"><a href="http://localhost/privacy/7">notice</a>'
        assert find_form_flaws(form, "/privacy/7") == ()
        assert find_form_flaws(form, "/privacy/77") == ("it does not link to its privacy notice (/privacy/77)",)
        ticked = form.replace('value="digest"', 'value="digest" checked')
        assert find_form_flaws(ticked, "/privacy/7") == ("a box is ticked beforehand",)
        assert find_form_flaws("<a href='/privacy/7'>", "/privacy/8")[0] == "it has no box to tick"

    def test_a_template_that_ticks_a_box_is_not_published(self, tx, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(
            wording,
            "render_snapshot",
            lambda publisher, form: form_looks.render_snapshot(publisher, form).replace(
                'name=\\"purposes\\"', 'name=\\"purposes\\" checked'
            ),
        )
        with pytest.raises(ServiceError, match="a box is ticked beforehand") as refused, tx.savepoint():
            wording.publish(tx, PUBLISHER)
        assert refused.value.code == "form_unfair"
