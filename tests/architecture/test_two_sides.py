"""Things that stand in two places and must agree: task names, settings and their page, mails, languages, wordings."""

import os
import re
import string
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from service.domain.words import Language, MailKind, Purpose
from service.ports import Hint
from service.settings import PREFIX, Settings
from service.store.schema import Base
from service.texts import _flatten, templates_dir
from tests.architecture.sources import ROOT, committed, product
from tests.cli.conftest import as_environment
from tests.conftest import SettingsMaker

EMAILS = templates_dir() / "emails"
LOCALE = templates_dir() / "locale"
KINDS = sorted({path.name.partition(".")[0] for path in LOCALE.glob("*.toml")})


def test_every_hint_is_a_task_and_every_task_a_hint(make_settings: SettingsMaker) -> None:
    """ports.Hint is what the web sends, workers/ is what Celery runs; they share no import."""
    show = "from workers.app import app; app.loader.import_default_modules(); print(*app.tasks)"
    done = subprocess.run(
        # A process of its own: the app configures itself once, from its environment.
        [sys.executable, "-c", show],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **as_environment(make_settings())},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    tasks = {name for name in done.stdout.split() if name.startswith("workers.")}
    assert tasks == {hint.value for hint in Hint}, "Give the task the name of its Hint, and every Hint a task."


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    missing = [name for field in Settings.model_fields if f"`{(name := PREFIX + field.upper())}`" not in page]
    assert not missing, f"Run `milepost settings --markdown > docs/settings.md`; it lacks {missing}"
    assert all(field.description for field in Settings.model_fields.values()), "Give the Field a description."


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    known |= {f"{name}_FILE" for name in known}
    unknown = [
        f"{name}: {variable}"
        for name in committed()
        if name.endswith((".md", ".yml", ".example")) or name in ("Dockerfile", "Makefile")
        for variable in re.findall(rf"{PREFIX}[A-Z0-9_]*[A-Z0-9]", (ROOT / name).read_text(encoding="utf-8"))
        if variable not in known
    ]
    assert not unknown, f"There is no such setting; `milepost settings` lists them: {unknown}"


def test_every_mail_has_its_folder_and_every_folder_its_mail() -> None:
    folders = {path.name for path in EMAILS.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders == {kind.value for kind in MailKind}, "One folder under templates/emails/ per MailKind, no other."


@pytest.mark.parametrize("kind", MailKind)
def test_every_mail_is_complete(kind: MailKind) -> None:
    files = {path.name for path in (EMAILS / kind.value).iterdir()}
    needed = {"subject.txt", "body.txt", "body.mjml", "sample.toml"}
    assert files >= needed, f"templates/emails/{kind.value}/ lacks {sorted(needed - files)}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_text_exists_in_every_language_with_the_same_placeholders(kind: str) -> None:
    texts = {
        language: _flatten(tomllib.loads((LOCALE / f"{kind}.{language}.toml").read_text(encoding="utf-8")))
        for language in Language
    }
    for one, other in pairwise(Language):
        difference = texts[one].keys() ^ texts[other].keys()
        assert not difference, f"Add to the language that lacks it: {kind} {sorted(difference)}"
        for key in texts[one]:
            assert _placeholders(texts[one][key]) == _placeholders(texts[other][key]), (
                f"{kind} {key}: {one} and {other} fill in different values"
            )


def test_every_wording_exists_in_every_language() -> None:
    names = {path.name for path in (templates_dir() / "wording").iterdir()}
    needed = {f"{purpose}.{language}.txt" for purpose in Purpose for language in Language}
    needed |= {f"notice.{language}.md" for language in Language}
    assert names >= needed, f"templates/wording/ lacks {sorted(needed - names)}"


def test_links_between_the_pages_of_documentation_lead_somewhere() -> None:
    broken = [
        f"{name}: {target}"
        for name in committed()
        if name.endswith(".md")
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", (ROOT / name).read_text(encoding="utf-8"))
        if "://" not in target
        and not target.startswith(("mailto:", "{public_url}"))
        and not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert not broken, f"These links lead nowhere: {broken}"


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_decision_is_numbered_and_listed() -> None:
    folder = ROOT / "docs" / "adr"
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [name[:4] for name in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    listed = (folder / "README.md").read_text(encoding="utf-8")
    for name in records:
        text = (folder / name).read_text(encoding="utf-8")
        assert f"({name})" in listed, f"Add {name} to docs/adr/README.md"
        assert text.count("\n") <= 60, f"{name}: a decision has at most 60 lines"
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives", "Enforced by"], (name, headings)


def test_the_project_is_described_for_a_stranger() -> None:
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"):
        assert len((ROOT / name).read_text(encoding="utf-8")) > 200, f"{name} is missing or empty"
    assert "Apache License" in Path(ROOT / "LICENSE").read_text(encoding="utf-8")


BROUGHT_FOR_OTHERS = {
    "packaging": "kombu's Redis transport imports it without asking for it",
    "psycopg": "SQLAlchemy's driver",
    "python-multipart": "Starlette reads forms with it",
}
IMPORTED_AS = {
    "email-validator": "email_validator",
    "markdown-it-py": "markdown_it",
    "mjml-python": "mjml",
}


def test_every_dependency_is_used_and_has_a_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[\[<>=~ ]", requirement)[0] for requirement in project["dependencies"]}
    imported = {module.partition(".")[0] for source in product() for _, module, _ in source.imports()}
    unused = {name for name in names - BROUGHT_FOR_OTHERS.keys() if IMPORTED_AS.get(name, name) not in imported}
    assert not unused, f"Nothing imports {unused}: take it out of pyproject.toml and run `make lock`."
    reasons = (ROOT / "docs" / "adr" / "0010-dependencies.md").read_text(encoding="utf-8")
    unexplained = {name for name in names if name not in reasons}
    assert not unexplained, f"Say why in docs/adr/0010-dependencies.md: {unexplained}"


def test_every_table_is_explained() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    missing = [name for name in Base.metadata.tables if f"`{name}`" not in page]
    assert not missing, f"Add to the tables in ARCHITECTURE.md: {missing}"


def test_pages_and_messages_name_only_commands_that_exist() -> None:
    listed = re.findall(r"^## `milepost (.+)`$", (ROOT / "docs" / "cli.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(listed) > 20
    groups = {command.partition(" ")[0] for command in listed if " " in command}
    known = {*listed, *groups}
    unknown = [
        f"{name}: milepost {command}"
        for name in committed()
        if name.endswith(".md") or (name.startswith(("service/", "workers/")) and name.endswith(".py"))
        for first, second in re.findall(
            # A command stands in backticks, or after a path, or at the start of a line of a shell.
            r"(?:`|/|^)milepost ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?",
            (ROOT / name).read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        if (command := f"{first} {second}" if first in groups and second else first) not in known | {"commands"}
    ]
    assert not unknown, f"There is no such command; see docs/cli.md: {unknown}"


def test_pages_name_only_files_that_exist() -> None:
    gone = [
        f"{name}: {path}"
        for name in committed()
        if name.endswith(".md")
        for path in re.findall(
            r"`((?:tests|service|workers|templates|docker|docs)/[\w./-]+)`", (ROOT / name).read_text(encoding="utf-8")
        )
        if not (ROOT / path).exists()
    ]
    assert not gone, f"There is no such file any more: {gone}"
