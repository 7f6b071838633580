"""Readers' pages: Jinja2 templates under templates/pages, in the reader's language, without script."""

from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.bootstrap import Container
from service.domain.words import Language
from service.texts import LANGUAGE_NAMES, Catalogue, day, minute, templates_dir


class Pages:
    def __init__(self, container: Container) -> None:
        self.texts = Catalogue("pages")
        self._environment = Environment(
            loader=FileSystemLoader(templates_dir() / "pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            publisher=container.publisher,
            is_demo=container.settings.is_demo,
            language_names=LANGUAGE_NAMES,
        )

    def render(self, template: str, language: Language, status: int = 200, **values: Any) -> HTMLResponse:
        """The page `template` (without .html). It can ask for `text(key)`, `day(time)` and `minute(time)`.

        `switch` is the query that a link to the page in another language keeps; None: the page has no address to link.
        """
        values.setdefault("switch", "")
        html = self._environment.get_template(f"{template}.html").render(
            language=language,
            text=lambda key, **words: self.texts.text(language, key, **words),
            day=lambda at: day(language, at),
            minute=lambda at: minute(language, at),
            **values,
        )
        return HTMLResponse(html, status, headers={"Content-Language": language.value})

    def message(self, key: str, language: Language, status: int = 200, *, switch: str | None = "") -> HTMLResponse:
        """A page of a heading and a paragraph: texts `message.<key>.title` and `message.<key>.body`."""
        return self.render("message", language, status, key=f"message.{key}", switch=switch)
