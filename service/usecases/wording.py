"""The words that readers agree to: published as versions, read for a form, written out for the publisher's own site."""

import tomllib
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.domain.forms import FormStatement, FormTopic, FormView
from service.domain.letters import Publisher
from service.domain.words import Language, Purpose
from service.errors import Kind, ServiceError
from service.store import lists, wordings
from service.store.transaction import Transaction
from service.texts import Catalogue, templates_dir

FORM, FORM_ONE_BOX = "hub", "hub-one-box"
"""The forms of templates/wording/forms.toml: everything asked, and a single box."""

LARGEST_ID = 2**63 - 1
"""Of a bigint; a larger number in an address is nobody's id, not an error of the database."""


def publish(tx: Transaction, publisher: Publisher) -> None:
    """Store the lists, statements, notices and forms of templates/wording/ whose content is new. Safe to repeat."""
    wordings.lock_wordings(tx)
    folder = templates_dir() / "wording"
    described = tomllib.loads((folder / "forms.toml").read_text(encoding="utf-8"))
    list_ids = {slug: _publish_list(tx, publisher, slug, entry) for slug, entry in described["lists"].items()}
    notices = {
        language: wordings.add_notice(tx, language, _read(f"notice.{language}.md", publisher)) for language in Language
    }
    statements = {
        language: {
            purpose: wordings.add_statement(tx, purpose, language, _read(f"{purpose}.{language}.txt", publisher))
            for purpose in Purpose
        }
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
        wordings.add_form(tx, slug, list_ids[entry["list"]], definition)


def get_form(tx: Transaction, slug: str, language: Language) -> FormView:
    """The version of the form in force, in this language. Raises ServiceError (NOT_FOUND, field `form`)."""
    found = wordings.find_form(tx, slug) if "\0" not in slug else None  # PostgreSQL refuses to look for a NUL
    if found is None:
        raise ServiceError(
            Kind.NOT_FOUND, "form_unknown", "There is no such sign-up form; nothing was stored.", field="form"
        )
    form, of_list = found
    ids = form.definition["statements"][language.value]
    statements = wordings.list_statements(tx, [ids[purpose] for purpose in form.definition["purposes"]])
    return FormView(
        id=form.id,
        slug=form.slug,
        list_id=of_list.id,
        list_name=of_list.names[language.value],
        language=language,
        statements=tuple(FormStatement(s.id, s.purpose, s.body) for s in statements),
        topics=tuple(
            FormTopic(topic.id, topic.slug, topic.names[language.value]) for topic in lists.list_topics(tx, of_list.id)
        ),
        asks_topics=form.definition["topics"],
        asks_first_name=form.definition["first_name"],
        notice_id=form.definition["notices"][language.value],
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


def render_snippet(publisher: Publisher, form: FormView, page_url: str = "") -> str:
    """Static HTML for the publisher's own page: no script, no style, posts to {public_url}/subscribe.

    `page_url` is where it will stand, kept as evidence. The classes begin with `milepost-` for the site's own style.
    """
    texts = Catalogue("pages")
    return (
        _templates()
        .get_template("snippet.html")
        .render(
            publisher=publisher,
            form=form,
            page_url=page_url,
            text=lambda key, **values: texts.text(form.language, key, **values),
        )
    )


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


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(templates_dir() / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
