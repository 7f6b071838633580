"""The savepoint tests of use cases find the words published, as in an installation."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from service.demo.servers import Postgres
from tests.conftest import engine_of, published
from tests.usecases.builders import PUBLISHER


@pytest.fixture(scope="session")
def shared_engine(postgres: Postgres, template: tuple[str, str]) -> Iterator[Engine]:
    with published(postgres, template, PUBLISHER) as (_, app), engine_of(app) as engine:
        yield engine
