"""Where libpq connects is what the URL says: nothing around it leads elsewhere."""

import pytest

from service.errors import ConfigurationError
from service.store import engine as store_engine

URL = "postgresql+psycopg://milepost_app@db.example.org/milepost"
LOCAL = "postgresql+psycopg://milepost_app@/milepost"


@pytest.mark.requirement("D-31")
@pytest.mark.parametrize(
    ("url", "variable", "value"),
    [
        (URL, "PGHOSTADDR", "203.0.113.9"),
        (LOCAL, "PGHOST", "elsewhere.example.org"),
        (LOCAL, "PGHOSTADDR", "203.0.113.9"),
        (URL + "?service=elsewhere", None, ""),
    ],
)
def test_a_detour_is_refused(monkeypatch: pytest.MonkeyPatch, url: str, variable: str | None, value: str) -> None:
    monkeypatch.setattr("service.egress.check", lambda *_: None)
    if variable:
        store_engine.create(url, "tests").dispose()
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match="elsewhere than the database URL says; nothing was"):
        store_engine.create(url, "tests")


def test_what_the_url_says_itself_is_no_detour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.egress.check", lambda *_: None)
    monkeypatch.setenv("PGHOST", "elsewhere.example.org")
    store_engine.create(URL, "tests").dispose()
    store_engine.create(f"{LOCAL}?host=/run/postgresql", "tests").dispose()


@pytest.mark.parametrize(
    ("url", "places"),
    [
        (URL, {("db.example.org", 5432)}),
        (LOCAL, set()),
        (f"{LOCAL}?host=/run/postgresql", set()),
        (f"{LOCAL}?host=a.example.org,b.example.org&port=5433", {("a.example.org", 5433), ("b.example.org", 5433)}),
        (f"{URL}?hostaddr=203.0.113.9", {("db.example.org", 5432), ("203.0.113.9", 5432)}),
    ],
)
@pytest.mark.requirement("D-31")
def test_every_place_of_a_url_is_known(url: str, places: set[tuple[str, int]]) -> None:
    assert set(store_engine.list_places(url)) == places
