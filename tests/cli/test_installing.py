"""Secrets that are never overwritten, settings that are all documented, migrations that can be repeated."""

import stat
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from service import settings as settings_module
from service.cli import app as tree
from service.cli import documentation
from service.demo.servers import Postgres
from service.settings import Settings
from tests.cli.conftest import Milepost, as_environment
from tests.conftest import SettingsMaker

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_docs_settings_is_what_the_code_says() -> None:
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == documentation.settings_page(), (
        "run `milepost settings --markdown > docs/settings.md`"
    )


def test_docs_cli_is_what_the_code_says() -> None:
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == documentation.commands_page(tree.app, tree.EPILOG), (
        "run `milepost commands > docs/cli.md`"
    )


def test_every_setting_has_a_description_and_a_kind() -> None:
    for setting in documentation.document_settings():
        assert setting.description.strip().endswith((".", "milepost", ")")), setting.variable
        assert setting.kind, setting.variable


def test_every_option_and_command_is_explained() -> None:
    import typer.main

    for path, command in documentation._walk(typer.main.get_command(tree.app), "milepost"):
        assert command.help, path
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{path}: {parameter.name}"


def test_settings_as_json_names_what_is_required(milepost: Milepost, bare: None) -> None:
    documented = {entry["variable"]: entry for entry in milepost("settings", "--json").document}
    assert set(documented) == {f"MILEPOST_{name.upper()}" for name in Settings.model_fields}
    assert documented["MILEPOST_SECRET_KEY"]["default"] is None
    assert documented["MILEPOST_SECRET_KEY"]["from_file"] is True
    assert documented["MILEPOST_RELAY_PORT"] | {"description": ""} == {
        "variable": "MILEPOST_RELAY_PORT",
        "kind": "whole number, 1 to 65535",
        "default": "587",
        "from_file": False,
        "description": "",
    }


def test_settings_for_people(milepost: Milepost, bare: None) -> None:
    ran = milepost("settings")
    assert ran.code == 0
    assert "MILEPOST_RELAY_TLS" in ran.out


def test_a_secret_key_that_the_settings_accept(milepost: Milepost, make_settings: SettingsMaker) -> None:
    one, two = milepost("secrets").out.strip(), milepost("secrets").out.strip()
    assert one != two
    assert make_settings(secret_key=one).secret_key == one


def test_secrets_in_files_are_private_and_never_overwritten(
    milepost: Milepost, tmp_path: Path, make_settings: SettingsMaker
) -> None:
    directory = tmp_path / "secrets"
    assert milepost("secrets", "--dir", directory, "--database-host", "db").code == 0
    first = {path.name: path.read_text() for path in directory.iterdir()}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    assert len(set(first.values())) == len(first) == 9
    ran = milepost("secrets", "--dir", directory)
    assert {path.name: path.read_text() for path in directory.iterdir()} == first
    assert ran.err.count("kept") == 9
    assert not any(value.strip() in ran.out + ran.err for value in first.values())

    environment = as_environment(make_settings()) | {
        f"MILEPOST_{name.upper()}_FILE": str(directory / name)
        for name in ("secret_key", "database_url", "owner_database_url", "redis_url")
    }
    for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL"):
        del environment[f"MILEPOST_{name}"]
    loaded = settings_module.load(environment)
    assert make_url(loaded.database_url).host == "db"
    assert make_url(loaded.database_url).password == first["app_password"].strip()
    assert first["redis_password"].strip() in loaded.redis_url


def test_a_url_is_made_from_the_password_that_was_kept(milepost: Milepost, tmp_path: Path) -> None:
    (tmp_path / "app_password").write_text("of:last/year\n")
    milepost("secrets", "--dir", tmp_path)
    assert make_url((tmp_path / "database_url").read_text().strip()).password == "of:last/year"


def test_migrate_says_what_it_applied_and_may_be_repeated(milepost: Milepost, house: Settings) -> None:
    assert milepost("migrate", "--json").document == {"applied": []}
    assert "up to date" in milepost("migrate").out


def test_migrate_needs_the_owner(milepost: Milepost, house: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILEPOST_OWNER_DATABASE_URL")
    ran = milepost("migrate")
    assert ran.code == 3
    assert "MILEPOST_OWNER_DATABASE_URL is missing; nothing was migrated" in ran.err


def test_migrate_from_nothing_with_an_administrator(
    milepost: Milepost, bare: None, postgres: Postgres, make_settings: SettingsMaker, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    admin = make_url(postgres.url())
    urls = {
        name: admin.set(username=f"milepost_{role}", password=f"{role}-pass", database="from_nothing")
        for name, role in (("owner_database_url", "owner"), ("database_url", "app"))
    }
    written = {name: url.render_as_string(hide_password=False) for name, url in urls.items()}
    for name, value in as_environment(make_settings(**written)).items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "admin_url"
    file.write_text(postgres.url().replace("postgresql+psycopg", "postgresql") + "\n")
    try:
        ran = milepost("migrate", "--admin-url-file", file, "--json")
        assert ran.code == 0, ran.err
        assert ran.document["applied"][0] == "0001"
        assert milepost("status", "--json").document["lists"] >= 1
    finally:
        engine = create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("DROP DATABASE IF EXISTS from_nothing WITH (FORCE)"))
        engine.dispose()


def test_migrate_does_not_create_other_peoples_roles(
    milepost: Milepost, house: Settings, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "admin_url"
    file.write_text(postgres.url())
    monkeypatch.setenv("MILEPOST_DATABASE_URL", house.database_url.replace("milepost_app", "root"))
    ran = milepost("migrate", "--admin-url-file", file)
    assert ran.code == 3
    assert "one names root" in ran.err


def test_migrate_without_the_administrators_file(milepost: Milepost, house: Settings, tmp_path: Path) -> None:
    ran = milepost("migrate", "--admin-url-file", tmp_path / "nowhere")
    assert ran.code == 3
    assert "nowhere cannot be read: No such file or directory; nothing was migrated" in ran.err
