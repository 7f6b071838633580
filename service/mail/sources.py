"""The sources of a mail's template as one text, to be kept as evidence of what was sent (D1 #11)."""

import json
import re
from functools import lru_cache
from pathlib import Path

from service.domain.words import Language, MailKind
from service.texts import templates_dir

_TEMPLATES = {".txt", ".mjml", ".html"}
FORMAT = "milepost-mail-template/1"
_INCLUDE = re.compile(r"""(?:<mj-include path=|\{% include )["']([^"']+)["']""")


@lru_cache(maxsize=64)
def template_source(kind: MailKind, templates: Path | None = None) -> str:
    """Canonical JSON, file name → text: the mail's own files, what they include, and the words in every language."""
    root = templates or templates_dir()
    folder = root / "emails" / kind.value
    waiting = [f"emails/{kind.value}/{path.name}" for path in folder.iterdir() if path.suffix in _TEMPLATES]
    waiting += [f"locale/mail.{language.value}.toml" for language in Language]
    files: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name not in files:
            files[name] = (root / name).read_text(encoding="utf-8")
            waiting += [f"emails/{included}" for included in _INCLUDE.findall(files[name])]
    return json.dumps(
        {"format": FORMAT, "kind": kind.value, "files": files},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
