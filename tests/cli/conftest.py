"""`milepost …` in this process, with the environment of an installation and a real database of its own."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest

from service.bootstrap import SystemClock, build_container
from service.cli.app import main
from service.demo.servers import Postgres
from service.settings import Settings
from tests.conftest import SettingsMaker, database_copy, demo_settings, published


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Milepost = Callable[..., Ran]


@pytest.fixture
def milepost(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Milepost]:
    """Run one command line and return what became of it."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("LOGNAME", "ada")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    yield run
    root.handlers[:], root.level = handlers, level


def as_environment(settings: Settings) -> dict[str, str]:
    def written(value: object) -> str:
        if isinstance(value, tuple):
            return ",".join(value)
        return str(value.value if isinstance(value, Enum) else value)

    return {f"MILEPOST_{k.upper()}": written(v) for k, v in settings.model_dump(exclude_defaults=True).items()}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting at all, and no demo on this machine."""
    for name in list(os.environ):
        if name.startswith("MILEPOST_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr("service.demo.state.load_environment", lambda: None)


@pytest.fixture
def installation(
    bare: None, make_settings: SettingsMaker, fresh_database: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings in the environment and a migrated, empty database. Redis and the relay do not answer."""
    owner, app = fresh_database
    settings = make_settings(owner_database_url=owner, database_url=app, relay_port="1")
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.fixture(scope="session")
def published_template(
    postgres: Postgres, template: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """As `milepost migrate` leaves it, which takes as long as a whole test."""
    built = build_container(demo_settings(tmp_path_factory.mktemp("publisher")))
    built.engine.dispose()
    with published(postgres, template, built.publisher, built.circumstances, SystemClock()) as urls:
        yield urls


@pytest.fixture
def fresh_database(
    request: pytest.FixtureRequest, postgres: Postgres, template: tuple[str, str]
) -> Iterator[tuple[str, str]]:
    of = request.getfixturevalue("published_template") if "house" in request.fixturenames else template
    with database_copy(postgres, of) as urls:
        yield urls


@pytest.fixture
def house(installation: Settings) -> Settings:
    """The same, with the words published, so that there are lists and forms."""
    return installation
