"""The publisher and the writer of the mail tests. Building a writer compiles all templates, so there is one."""

import pytest

from service.domain.letters import Publisher
from service.domain.tokens import Keys
from service.mail.writer import Writer
from tests.mail.letters import PUBLISHER, SECRET


@pytest.fixture(scope="session")
def publisher() -> Publisher:
    return PUBLISHER


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys(SECRET)


@pytest.fixture(scope="session")
def writer(keys: Keys) -> Writer:
    return Writer(PUBLISHER, keys)
