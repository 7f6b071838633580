"""What every command has in common: exit codes, one JSON document, errors in one line, no tracebacks, a fast help."""

import json
import subprocess
import sys
import time

import pytest

from service.settings import Settings
from tests.cli.conftest import Milepost, as_environment
from tests.conftest import SettingsMaker


def test_help_names_every_exit_code(milepost: Milepost) -> None:
    ran = milepost("--help")
    said = " ".join(ran.out.split())
    assert ran.code == 0
    for meaning in ("0 done", "1 refused", "2 wrong usage", "3 a setting or server is missing", "4 not finished"):
        assert meaning in said


def test_help_is_fast() -> None:
    """Below 0.6 s on a quiet machine: nothing heavy is imported. What is imported is what can be tested anywhere."""
    heavy = ["sqlalchemy", "celery", "fastapi", "granian", "pydantic", "alembic", "psycopg", "redis", "httpx"]
    code = (
        "import sys; from service.cli.app import main; main(['--help']);"
        f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert time.monotonic() - begun < 6.0, "ten times what it takes"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["web", "--workers", "0"],
        ["web", "--port", "70000"],
        ["worker"],
        ["worker", "--lane", "fast"],
        ["campaign", "resolve", "1"],
        ["campaign", "resolve", "1", "--resend", "--close"],
        ["campaign", "show", "x"],
        ["campaign", "show", "0"],
        ["campaign", "show", str(2**63)],
        ["campaign", "create", "--list", "hub", "--purpose", "spam", "--subject", "s", "--body", "b"],
        ["campaign", "create", "--list", "hub", "--purpose", "offers", "--subject", "s"],
        ["campaign", "create", "--list", "hub", "--purpose", "offers", "--subject", "s", "--body-file", "/nowhere"],
        ["content", "add", "s", "feed.xml", "--list", "hub", "--topic", "no-equals-sign"],
        ["worker", "lost", "not-a-uuid"],
        ["token", "create"],
    ],
)
def test_wrong_usage_is_2_and_one_line(milepost: Milepost, bare: None, arguments: list[str]) -> None:
    ran = milepost(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert "Nothing was done." in ran.err


def test_wrong_usage_with_json_is_one_document(milepost: Milepost, bare: None) -> None:
    ran = milepost("campaign", "resolve", "1", "--json")
    assert ran.code == 2
    assert ran.document["error"]["code"] == "usage"
    assert ran.err == ""


def test_a_group_alone_shows_its_help(milepost: Milepost) -> None:
    ran = milepost("token")
    assert ran.code == 2
    assert "revoke" in ran.out + ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["token", "list"],
        ["campaign", "list"],
        ["campaign", "status", "1"],
        ["digest", "send", "hub"],
        ["content", "sources"],
        ["form", "snippet"],
        ["migrate"],
        ["web"],
        ["worker", "--lane", "bulk"],
        ["beat"],
    ],
)
def test_without_settings_every_command_says_which_are_missing(
    milepost: Milepost, bare: None, arguments: list[str]
) -> None:
    ran = milepost(*arguments)
    assert ran.code == 3
    assert "MILEPOST_DATABASE_URL: is missing" in ran.err
    assert "`milepost settings`" in ran.err


@pytest.mark.parametrize(
    "arguments", [["status"], ["token", "list"], ["campaign", "list"], ["web"], ["worker", "--lane", "bulk"]]
)
def test_without_a_database_it_says_so_and_how_to_mend_it(
    milepost: Milepost, bare: None, make_settings: SettingsMaker, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    settings = make_settings(database_url="postgresql://milepost_app:hush@127.0.0.1:1/milepost")
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    ran = milepost(*arguments, *(["--json"] if arguments[0] not in ("web", "worker") else []))
    assert ran.code == 3
    assert "PostgreSQL" in ran.out + ran.err
    assert "MILEPOST_DATABASE_URL" in ran.out + ran.err
    assert "hush" not in ran.out + ran.err


def test_an_empty_database_asks_for_migrate(
    milepost: Milepost, installation: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILEPOST_DATABASE_URL", _other_database(installation.database_url, "postgres"))
    for arguments in (["status"], ["web"], ["worker", "--lane", "bulk"]):
        ran = milepost(*arguments)
        assert ran.code == 3
        assert "milepost migrate" in ran.err


def _other_database(url: str, database: str) -> str:
    from sqlalchemy import make_url

    return make_url(url).set(database=database).render_as_string(hide_password=False)


def test_a_refusal_is_1_with_code_and_message(milepost: Milepost, installation: Settings) -> None:
    ran = milepost("token", "revoke", "nobody", "--json")
    assert ran.code == 1
    assert ran.document["error"]["code"] == "token_unknown"
    assert "nothing was revoked" in ran.document["error"]["message"]
    assert ran.document["error"]["field"] == "name"
    said = milepost("token", "revoke", "nobody")
    assert (said.code, said.out) == (1, "")
    assert said.err.strip() == ran.document["error"]["message"]


def test_a_bug_is_not_hidden(milepost: Milepost, bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("service.cli.opening.use_demo_if_alone", broken)
    with pytest.raises(ZeroDivisionError):
        milepost("status")


def test_without_any_setting_a_running_demo_is_meant(
    milepost: Milepost, house: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = as_environment(house)
    for name in environment:
        monkeypatch.delenv(name)
    monkeypatch.setattr("service.demo.state.load_environment", lambda: environment)
    ran = milepost("status", "--json")
    assert ran.code == 0
    assert ran.document["lists"] >= 1
    assert "using the demo" in ran.err


def test_one_setting_is_enough_to_leave_the_demo_alone(
    milepost: Milepost, bare: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.demo.state.load_environment", lambda: pytest.fail("must not be asked"))
    monkeypatch.setenv("MILEPOST_WEB_PORT", "8025")
    assert milepost("status").code == 3


def test_the_console_script_ends_with_the_code() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "status", "--json"], capture_output=True, text=True, check=False,
        env={"PATH": "", "MILEPOST_WEB_PORT": "8025"},
    )  # fmt: skip
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["code"] == "configuration"
    assert "Traceback" not in done.stderr
