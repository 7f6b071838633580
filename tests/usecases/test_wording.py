"""Words are versions: what somebody agreed to is never another text later (D-05)."""

import re
from dataclasses import replace

import pytest
from sqlalchemy import Engine, func, select

from service.domain.words import Language, Purpose
from service.errors import Kind, ServiceError
from service.looks import forms as form_looks
from service.store import lists
from service.store.schema import Form, List, Notice, Statement, Topic
from service.texts import Catalogue
from service.usecases import wording
from tests.usecases.builders import PUBLISHER


@pytest.fixture(scope="module")
def shared_engine(empty_engine: Engine) -> Engine:
    """Nothing is published there yet."""
    return empty_engine


def counts(tx) -> list[int]:
    tables = (List, Topic, Statement, Notice, Form)
    return [tx.session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


def test_publishing_again_changes_nothing(tx):
    wording.publish(tx, PUBLISHER)
    before = counts(tx)
    languages = len(Language)
    assert before == [1, 6, len(Purpose) * languages, languages, 2]
    wording.publish(tx, PUBLISHER)
    assert counts(tx) == before


def test_changed_words_are_a_new_version_and_the_old_ones_stay(tx):
    wording.publish(tx, PUBLISHER)
    old = wording.get_form(tx, "hub", Language.EN)
    wording.publish(tx, replace(PUBLISHER, name="Fjellsko Trail AS"))
    new = wording.get_form(tx, "hub", Language.EN)
    assert new.id > old.id
    assert new.notice_id != old.notice_id
    assert {s.id for s in new.statements}.isdisjoint(s.id for s in old.statements)
    assert tx.session.get(Statement, old.statements[0].id).body == old.statements[0].body
    shown = wording.get_notice(tx, Language.EN, old.notice_id)
    assert shown is not None
    assert (shown.in_force, "Fjellsko Sport AS" in shown.body) == (False, True)


def test_going_back_to_older_words_is_a_new_version_with_the_old_statements(tx):
    wording.publish(tx, PUBLISHER)
    old = wording.get_form(tx, "hub", Language.EN)
    wording.publish(tx, replace(PUBLISHER, name="Fjellsko Trail AS"))
    wording.publish(tx, PUBLISHER)
    back = wording.get_form(tx, "hub", Language.EN)
    assert back.id > old.id
    assert (back.statements, back.notice_id) == (old.statements, old.notice_id)
    assert wording.get_notice(tx, Language.EN).id == old.notice_id
    before = counts(tx)
    wording.publish(tx, PUBLISHER)
    assert counts(tx) == before


def test_a_lists_identity_never_changes(tx):
    """A-32, also when the site moves to another host."""
    wording.publish(tx, PUBLISHER)
    before = lists.get_list(tx, "hub").list_id
    wording.publish(tx, replace(PUBLISHER, public_url="https://news.fjell.no"))
    tx.session.expire_all()
    assert lists.get_list(tx, "hub").list_id == before


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("purpose", Purpose)
def test_every_statement_says_who_what_how_often_and_how_to_leave(tx, language, purpose):
    """D-05: BGH VI ZR 721/15."""
    wording.publish(tx, PUBLISHER)
    [body] = [s.body for s in wording.get_form(tx, "hub", language).statements if s.purpose is purpose]
    first, small = body.split("\n\n")
    promised = {
        Language.EN: (
            ("week", "month"),
            "third parties for their marketing",
            "unsubscribe at any time",
            "privacy notice",
        ),
        Language.DE: (("Woche", "Monat"), "Dritte für deren Werbung", "jederzeit abmelden", "Datenschutzerklärung"),
        Language.FR: (
            ("semaine", "mois"),
            "jamais vos données personnelles à des tiers pour leur propre prospection commerciale",
            "désinscrire à tout moment",
            "politique de confidentialité",
        ),
        Language.ES: (
            ("semana", "mes"),
            "Nunca compartimos sus datos personales con terceros para que estos hagan su propia publicidad",
            "darse de baja en cualquier momento",
            "aviso de privacidad",
        ),
    }[language]
    assert PUBLISHER.name in first
    assert PUBLISHER.name in small
    assert any(word in first for word in promised[0])
    assert all(words in small for words in promised[1:])


@pytest.mark.parametrize("language", Language)
def test_the_notice_names_controller_rights_and_the_promise(tx, language):
    wording.publish(tx, PUBLISHER)
    notice = wording.get_notice(tx, language)
    assert notice is not None
    assert notice.in_force
    laws = {
        Language.EN: ("Art. 6(1)(a) GDPR", "Art. 7(1) GDPR", "third parties for their marketing"),
        Language.DE: ("Art. 6 Abs. 1 Buchst. a DSGVO", "Art. 7 Abs. 1 DSGVO", "niemals an Dritte für deren Werbung"),
        Language.FR: (
            *("article 6, paragraphe 1, point a), du RGPD", "article 7, paragraphe 1, du RGPD"),
            "jamais vos données personnelles à des tiers pour leur propre prospection commerciale",
        ),
        Language.ES: (
            *("artículo 6, apartado 1, letra a), del RGPD", "artículo 7, apartado 1, del RGPD"),
            "Nunca compartimos sus datos personales con terceros para que estos hagan su propia publicidad",
        ),
    }[language]
    processors = f"({PUBLISHER.public_url}/processors?language={language})"
    for fact in (PUBLISHER.name, PUBLISHER.postal_address, PUBLISHER.contact, processors, *laws):
        assert fact in notice.body
    assert "{" not in notice.body


@pytest.mark.parametrize("notice_id", [0, 987_654, 2**63, 10**30, -1])
def test_no_such_notice(tx, notice_id):
    wording.publish(tx, PUBLISHER)
    assert wording.get_notice(tx, Language.EN, notice_id) is None


def test_before_anything_is_published(tx):
    assert wording.get_notice(tx, Language.EN) is None
    with pytest.raises(ServiceError) as refused:
        wording.get_form(tx, "hub", Language.EN)
    assert (refused.value.kind, refused.value.field) == (Kind.NOT_FOUND, "form")
    with pytest.raises(ServiceError) as refused:
        lists.get_list(tx, "hub")
    assert refused.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("slug", [wording.FORM, wording.FORM_ONE_BOX])
def test_the_snippet_is_static_and_asks_for_nothing_by_default(tx, slug, language):
    """D-04: no box is ticked; D-29: nothing is loaded from anywhere."""
    wording.publish(tx, PUBLISHER)
    form = wording.get_form(tx, slug, language)
    html = form_looks.render_snippet(PUBLISHER, form, "https://fjell.no/hub?a=1&b=2")
    assert 'action="http://localhost:8025/subscribe"' in html
    assert 'value="https://fjell.no/hub?a=1&amp;b=2"' in html
    assert html.count('name="purposes"') == len(form.statements) == (2 if slug == "hub" else 1)
    assert html.count('name="topics"') == (6 if slug == "hub" else 0)
    for forbidden in ("checked", "<script", "<style", "style=", "src=", "<link", "token"):
        assert forbidden not in html
    for statement in form.statements:
        assert statement.body.split("\n\n")[1] in html
    assert f"/privacy/{form.notice_id}" in html
    assert 'name="page"' not in form_looks.render_snippet(PUBLISHER, form)


@pytest.mark.parametrize("language", Language)
def test_every_language_says_the_same_things(language):
    for kind in ("pages", "mail"):
        catalogue = Catalogue(kind)
        assert catalogue.keys(language) == catalogue.keys(Language.EN)


@pytest.mark.parametrize(
    ("language", "moments"),
    [
        (Language.EN, ("signed up", "confirmation mail", "unsubscribed", "undid")),
        (Language.DE, ("angemeldet", "Bestätigungsmail", "abgemeldet", "zurückgenommen")),
        (Language.FR, ("inscription", "message de confirmation", "désinscription", "annulée")),
        (Language.ES, ("suscribió", "mensaje de confirmación", "dio de baja", "deshizo")),
    ],
)
def test_the_notice_promises_what_the_code_keeps(tx, language, moments):
    """Evidence is stored of four moments; a sign-up that nobody confirms is gone after seven days (D-18)."""
    wording.publish(tx, PUBLISHER)
    body = wording.get_notice(tx, language).body
    stored, _, _, period = [section.partition("\n")[2] for section in body.split("\n## ")[2:6]]
    proof = stored.split("\n- ")[3]
    assert all(moment in proof for moment in moments)
    assert re.search(r"\b7\s(days|Tagen|jours|días)\b", period)
    assert re.search(r"\b30\s(days|Tage|jours|días)\b", period)
