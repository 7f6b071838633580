"""The words that readers agree to: published as versions with what they were true under, and read for a form."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from service.domain.contexts import Circumstances, make_context
from service.domain.forms import FormStatement, FormTopic, FormView
from service.domain.letters import Publisher
from service.domain.statements import find_form_flaws, find_unsaid
from service.domain.words import Language, MailKind, Purpose
from service.errors import Kind, ServiceError
from service.looks.forms import render_snapshot
from service.mail.sources import template_source
from service.store import contexts, lists, wordings
from service.store.transaction import Transaction
from service.texts import templates_dir

FORM, FORM_ONE_BOX = "hub", "hub-one-box"
"""The forms of templates/wording/forms.toml: everything asked, and a single box."""

LARGEST_ID = 2**63 - 1
"""Of a bigint; a larger number in an address is nobody's id, not an error of the database."""


NOTHING_STATED = Circumstances()


def publish(tx: Transaction, publisher: Publisher, circumstances: Circumstances = NOTHING_STATED) -> None:
    """Store the lists, statements, notices and forms of templates/wording/ whose content is new. Safe to repeat.

    With them goes what proves them: how each form looks, the mails' templates, and the circumstances.
    Raises ServiceError (INVALID) for words that nobody could agree to (D-05), with nothing published.
    """
    wordings.lock_wordings(tx)
    contexts.add_context(tx, make_context(publisher, circumstances))
    for kind in MailKind:
        contexts.add_mail_template(tx, kind, template_source(kind))
    folder = templates_dir() / "wording"
    described = tomllib.loads((folder / "forms.toml").read_text(encoding="utf-8"))
    list_ids = {slug: _publish_list(tx, publisher, slug, entry) for slug, entry in described["lists"].items()}
    notices = {
        language: wordings.add_notice(tx, language, _read(f"notice.{language}.md", publisher)) for language in Language
    }
    statements = {
        language: {purpose: _publish_statement(tx, publisher, purpose, language) for purpose in Purpose}
        for language in Language
    }
    for slug, entry in described["forms"].items():
        asked = [Purpose(purpose) for purpose in entry["purposes"]]
        definition = {
            "purposes": [purpose.value for purpose in asked],
            "topics": entry["topics"],
            "first_name": entry["first_name"],
            "statements": {
                language.value: {purpose.value: ids[purpose] for purpose in asked}
                for language, ids in statements.items()
            },
            "notices": {language.value: notice_id for language, notice_id in notices.items()},
        }
        _publish_form(tx, publisher, slug, list_ids[entry["list"]], definition)


def _publish_statement(tx: Transaction, publisher: Publisher, purpose: Purpose, language: Language) -> int:
    name = f"{purpose}.{language}.txt"
    body = _read(name, publisher)
    unsaid = find_unsaid(body, language, publisher.name)
    if unsaid:
        raise ServiceError(
            Kind.INVALID,
            "statement_incomplete",
            f"templates/wording/{name} does not say {', '.join(unsaid)}; nothing was published. Nobody can agree to "
            "what is not said (D-05): complete it and publish again.",
        )
    return wordings.add_statement(tx, purpose, language, body)


def _publish_form(tx: Transaction, publisher: Publisher, slug: str, list_id: int, definition: dict[str, Any]) -> None:
    """A version is bound to its looks: a changed template or style sheet is another version."""
    looks = {}
    for language in Language:
        view = _view(tx, 0, slug, list_id, definition, language)
        looks[language] = render_snapshot(publisher, view)
        shown = json.loads(looks[language])
        for rendering in ("page", "snippet"):
            flaws = find_form_flaws(shown[rendering], f"/privacy/{view.notice_id}")
            if flaws:
                raise ServiceError(
                    Kind.INVALID,
                    "form_unfair",
                    f"The form {slug} ({rendering}, {language}) cannot be published: {', '.join(flaws)}. Nothing was "
                    "published. Mend its template.",
                )
    hashes = {language.value: sha256(body.encode()).hexdigest() for language, body in looks.items()}
    form_id = wordings.add_form(tx, slug, list_id, {**definition, "looks": hashes})
    for language, body in looks.items():
        contexts.add_form_snapshot(tx, form_id, language, body)


def get_form(tx: Transaction, slug: str, language: Language) -> FormView:
    """The version of the form in force, in this language. Raises ServiceError (NOT_FOUND, field `form`)."""
    found = wordings.find_form(tx, slug) if "\0" not in slug else None  # PostgreSQL refuses to look for a NUL
    if found is None:
        raise ServiceError(
            Kind.NOT_FOUND, "form_unknown", "There is no such sign-up form; nothing was stored.", field="form"
        )
    form, of_list = found
    return _view(tx, form.id, slug, of_list.id, form.definition, language)


def _view(
    tx: Transaction, form_id: int, slug: str, list_id: int, definition: Mapping[str, Any], language: Language
) -> FormView:
    of_list = lists.find_list(tx, list_id)
    ids = definition["statements"][language.value]
    statements = wordings.list_statements(tx, [ids[purpose] for purpose in definition["purposes"]])
    return FormView(
        id=form_id,
        slug=slug,
        list_id=list_id,
        list_name=of_list.names[language.value],
        language=language,
        statements=tuple(FormStatement(s.id, s.purpose, s.body) for s in statements),
        topics=tuple(
            FormTopic(topic.id, topic.slug, topic.names[language.value]) for topic in lists.list_topics(tx, list_id)
        ),
        asks_topics=definition["topics"],
        asks_first_name=definition["first_name"],
        notice_id=definition["notices"][language.value],
    )


@dataclass(frozen=True, slots=True)
class NoticeView:
    id: int
    language: Language
    body: str
    """Markdown."""
    published_at: datetime
    in_force: bool


def get_notice(tx: Transaction, language: Language, notice_id: int | None = None) -> NoticeView | None:
    """The privacy notice with this id, whatever its language, or the one in force in `language`."""
    if notice_id is not None and abs(notice_id) > LARGEST_ID:
        return None
    notice = wordings.find_notice_in_force(tx, language) if notice_id is None else wordings.find_notice(tx, notice_id)
    if notice is None:
        return None
    in_force = wordings.find_notice_in_force(tx, notice.language)
    return NoticeView(notice.id, notice.language, notice.body, notice.published_at, notice == in_force)


def _publish_list(tx: Transaction, publisher: Publisher, slug: str, entry: dict[str, Any]) -> int:
    host = publisher.public_url.partition("://")[2].partition(":")[0]
    list_id = lists.add_list(tx, slug, _names(entry["names"]), f"{slug}.list-id.{host}")
    for position, (topic, names) in enumerate(entry["topics"].items()):
        lists.add_topic(tx, list_id, topic, _names(names), position)
    return list_id


def _names(names: dict[str, str]) -> dict[Language, str]:
    return {language: names[language.value] for language in Language}


def _read(name: str, publisher: Publisher) -> str:
    """A wording with the publisher's facts filled in; what readers agree to names the legal entity (D-05)."""
    return (
        (templates_dir() / "wording" / name)
        .read_text(encoding="utf-8")
        .strip()
        .format(
            controller_name=publisher.name,
            controller_address=publisher.postal_address,
            controller_contact=publisher.contact,
            public_url=publisher.public_url,
            site_url=publisher.site_url,
        )
    )
