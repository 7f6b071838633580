"""Words for readers, per language: TOML catalogues under templates/locale/, and where the templates are.

`mail.en.toml` holds the texts of mails, `pages.en.toml` those of pages; a test holds the languages' keys together.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.domain.words import Language


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
