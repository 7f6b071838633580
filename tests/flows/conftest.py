"""One demo on which the main job has run, for the suites that look at what it left."""

from collections.abc import Iterator

import pytest

from tests.house import House, demo


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with demo(tmp_path_factory.mktemp("flows") / "demo") as house:
        once = house.milepost("demo", "--once", "--dir", str(house.directory))
        assert once["ok"], once
        yield house
