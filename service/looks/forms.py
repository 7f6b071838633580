"""How a sign-up form looks: static HTML for the publisher's own site, and the snapshot kept as evidence (D1 #8)."""

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.domain.forms import FormView, Submission
from service.domain.ledger import canonical
from service.domain.letters import Publisher
from service.texts import LANGUAGE_NAMES, Catalogue, templates_dir

FORMAT = "milepost-form-snapshot/1"
WITHHELD = "[token]"
"""Stands where a page carries the form's token, which is another each time."""
_STYLE_SHEET = Path(__file__).parents[1] / "web" / "static" / "milepost.css"
_LINKED_STYLE = '<link rel="stylesheet" href="/static/milepost.css">'


def render_snippet(publisher: Publisher, form: FormView, page_url: str = "") -> str:
    """Static HTML for the publisher's own page: no script, no style, posts to {public_url}/subscribe.

    `page_url` is where it will stand, kept as evidence. The classes begin with `milepost-` for the site's own style.
    """
    return _render("snippet", publisher, form, page_url=page_url)


@lru_cache(maxsize=64)
def render_snapshot(publisher: Publisher, form: FormView) -> str:
    """Canonical JSON: the hosted page, with its style sheet inside, and the snippet, as nobody has touched them yet.

    `form.id` is not part of it: the version's hash is made over this snapshot's.
    """
    page = _render(
        "subscribe",
        publisher,
        form,
        sent=Submission(form=form.slug),
        problems={},
        freshness=None,
        token=WITHHELD,
        switch=None,
        is_demo=False,
        language=form.language,
        language_names=LANGUAGE_NAMES,
    )
    style = _STYLE_SHEET.read_text(encoding="utf-8")
    page = page.replace(_LINKED_STYLE, f"<style>\n{style}</style>")
    return canonical({"format": FORMAT, "page": page, "snippet": render_snippet(publisher, form)}).decode()


def _render(template: str, publisher: Publisher, form: FormView, **values: Any) -> str:
    html: str = (
        templates()
        .get_template(f"{template}.html")
        .render(
            publisher=publisher,
            form=form,
            text=lambda key, **words: _texts().text(form.language, key, **words),
            **values,
        )
    )
    return html


@cache
def _texts() -> Catalogue:
    return Catalogue("pages")


@cache
def templates() -> Environment:
    """templates/pages, for what is rendered outside a request."""
    return Environment(
        loader=FileSystemLoader(templates_dir() / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
