"""Sample letters, from templates/emails/<name>/sample.toml: to preview and test a mail without a reader."""

import tomllib
from pathlib import Path

from pydantic import TypeAdapter

from service.domain.letters import Letter
from service.domain.words import Language, MailKind
from service.texts import templates_dir

_LETTER = TypeAdapter(Letter)


def load_sample(kind: MailKind, language: Language, templates: Path | None = None) -> Letter:
    """What the file says for all languages, and over it what it says for this one."""
    path = (templates or templates_dir()) / "emails" / kind.value / "sample.toml"
    sample = tomllib.loads(path.read_text(encoding="utf-8"))
    own = sample.pop(language.value)
    own["articles"] = [{"image_url": None, "image_alt": None} | article for article in own.get("articles", ())]
    for other in Language:
        sample.pop(other.value, None)
    absent = {"purpose": None, "campaign_id": None, "given_at": None}
    return _LETTER.validate_python(absent | sample | own | {"kind": kind.value, "language": language.value})
