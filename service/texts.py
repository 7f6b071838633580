"""Words for readers, per language: TOML catalogues under templates/locale/, dates, and where the templates are.

`mail.en.toml` holds the texts of mails, `pages.en.toml` those of pages; a test holds the languages' keys together.
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from babel.dates import format_date, format_datetime

from service.domain.words import Language

LANGUAGE_NAMES = {Language.EN: "English", Language.DE: "Deutsch", Language.FR: "Français", Language.ES: "Español"}
"""Each in its own words."""

_LOCALES = {Language.EN: "en_GB", Language.DE: "de_DE", Language.FR: "fr_FR", Language.ES: "es_ES"}
"""Whose way of writing dates: day before month in all, so that nobody takes 3/4 for the wrong one."""
_TIMES = {
    Language.EN: ", HH:mm 'UTC'",
    Language.DE: ", HH:mm 'Uhr UTC'",
    Language.FR: " 'à' HH:mm 'UTC'",
    Language.ES: ", HH:mm 'UTC'",
}


def day(language: Language, at: date) -> str:
    """As the catalogues' sentences expect it: "2 March 2026", "2. März 2026", "1er mars 2026", "2 de marzo de 2026"."""
    words = format_date(at, "long", locale=_LOCALES[language])
    # Babel's data has "1 mars", which nobody says.
    return words.replace("1 ", "1er ", 1) if language is Language.FR and at.day == 1 else words


def minute(language: Language, at: datetime) -> str:
    """Times in mails are UTC and say so: not every reader has told us a time zone."""
    utc = at.astimezone(UTC)
    pattern = _TIMES[language]
    return day(language, utc) + format_datetime(utc, pattern, tzinfo=UTC, locale=_LOCALES[language])


def templates_dir() -> Path:
    """In a wheel the templates lie inside the package, in a checkout beside it."""
    inside = Path(__file__).parent / "_templates"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "templates"


class Catalogue:
    """The texts of one kind ("mail" or "pages") in every language, read once."""

    def __init__(self, kind: str, directory: Path | None = None) -> None:
        folder = (directory or templates_dir()) / "locale"
        self._texts = {
            language: _flatten(tomllib.loads((folder / f"{kind}.{language}.toml").read_text(encoding="utf-8")))
            for language in Language
        }

    def text(self, language: Language, key: str, **values: object) -> str:
        """The text for `key`, with {name} placeholders filled. An unknown key or placeholder raises KeyError."""
        return self._texts[language][key].format_map(values)

    def keys(self, language: Language) -> frozenset[str]:
        return frozenset(self._texts[language])


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat
