"""No GET changes anything (invariant 5): seen in the code that a GET reaches, and in a database that refuses writes."""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import event

from service.bootstrap import Container
from service.domain.tokens import Token, TokenKind
from service.domain.words import Lane
from service.ports import Hint
from service.store import engine as store_engine
from service.store import migrate
from service.store.transaction import factory
from service.web.app import create_app
from tests.conftest import FrozenClock, HintList, SettingsMaker
from tests.web.conftest import Reader, make_client, make_container

READS = ("get_", "find_", "list_", "count_", "read_", "check_", "render_")
"""How what may be called by a GET begins (design §6)."""

READS_TOO = {migrate.pending}

TOKENS = [
    Token(TokenKind.CONFIRM, 1),  # confirmed
    Token(TokenKind.CONFIRM, 2),  # waiting for its button
    Token(TokenKind.UNSUBSCRIBE, 1, second=1, small=1, flag=1),
    Token(TokenKind.CONTROL, 1),
    Token(TokenKind.UNDO, 1, second=1),
]


class Deaf:
    """A queue that must not be told anything."""

    def hint(self, hint: Hint, lane: Lane, *ids: int) -> None:
        raise AssertionError(f"a GET left the hint {hint} on {lane} {ids}")


@contextmanager
def container_on(
    url: str, make_settings: SettingsMaker, clock: FrozenClock, queue: Any, *, read_only: bool
) -> Iterator[Container]:
    engine = store_engine.create(url, "tests")
    if read_only:

        @event.listens_for(engine, "begin")
        def _refuse_writes(connection: Any) -> None:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    writing = store_engine.create(url, "tests")
    built = make_container(make_settings(), writing, factory(writing, clock, HintList()), clock, queue)
    yield dataclasses.replace(built, engine=engine, transaction=factory(engine, clock, queue))
    engine.dispose()
    writing.dispose()


def pages(app: FastAPI) -> Iterator[APIRoute]:
    """Every route with a GET, however deep the router that holds it lies."""
    yield from (route for route in _routes(app.routes) if {"GET", "HEAD"} & (route.methods or set()))


def _routes(routes: list[Any]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif inner := getattr(getattr(route, "original_router", route), "routes", None):
            yield from _routes(inner)


@pytest.fixture
def urls(fresh_database: tuple[str, str], make_settings: SettingsMaker, clock: FrozenClock) -> str:
    """A database in which one reader has confirmed and a second has not."""
    _, app_url = fresh_database
    with (
        container_on(app_url, make_settings, clock, HintList(), read_only=False) as container,
        make_client(create_app(container)) as client,
    ):
        reader = Reader(client, container, clock)
        for address in ("anna@fjellsko.example", "ben@fjellsko.example"):
            assert reader.sign_up(address=address).status_code < 400
            assert reader.process() == 1
        assert reader.confirm("anna@fjellsko.example").status_code == 200
    return app_url


def test_a_database_that_refuses_writes_is_enough_for_every_get(
    urls: str, make_settings: SettingsMaker, clock: FrozenClock
) -> None:
    with container_on(urls, make_settings, clock, Deaf(), read_only=True) as container:
        app = create_app(container)
        tokens = [container.keys.seal(token) for token in TOKENS]
        shown = set()
        with make_client(app) as client:
            for route in pages(app):
                if route.path.startswith("/api/"):
                    continue  # an API token's last use is noted (invariant 5)
                for path in _filled(route.path, tokens):
                    answer = client.get(path)
                    assert answer.status_code < 500, f"GET {path} writes: move it to a POST behind a button"
                    if answer.status_code == 200:
                        shown.add(route.path)
            assert shown >= {"/confirm/{token}", "/u/{token}", "/c/{token}", "/subscribe"}, "these pages were not shown"
            # The same database refuses what does write, so the above was a test.
            acted = client.post(f"/u/{tokens[2]}", data={"List-Unsubscribe": "One-Click"})
            assert acted.status_code >= 500


def test_what_a_get_calls_only_reads(container: Container) -> None:
    seen: set[Callable[..., Any]] = set()
    called: set[str] = set()
    faults = []
    for route in pages(create_app(container)):
        for callee in _reached(route.endpoint, seen):
            called.add(callee.__name__)
            if not callee.__name__.startswith(READS) and callee not in READS_TOO:
                faults.append(f"GET {route.path} calls {callee.__module__}.{callee.__name__}")
    assert {"get_confirmation", "get_unsubscribe", "get_control", "list_campaign_reports"} <= called
    assert not faults, f"A GET calls only what begins with {READS}; move the act to a POST: {faults}"


def _filled(path: str, tokens: list[str]) -> Iterator[str]:
    if "{token}" in path:
        yield from (path.replace("{token}", token) for token in (*tokens, "forged"))
    else:
        before, brace, rest = path.partition("{")
        yield before + "1" + rest.partition("}")[2] if brace else path


def _reached(function: Callable[..., Any], seen: set[Callable[..., Any]]) -> Iterator[Callable[..., Any]]:
    """Functions of use cases and store that `function` calls, also through functions of the web package."""
    if function in seen:
        return
    seen.add(function)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        callee = _resolve(node.func, getattr(function, "__globals__", {}))
        home = getattr(callee, "__module__", None) or ""
        if not inspect.isfunction(callee):
            continue
        if home.startswith(("service.usecases", "service.store")):
            yield callee
        elif home.startswith("service.web"):
            yield from _reached(callee, seen)


def _resolve(node: ast.expr, names: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_resolve(node.value, names), node.attr, None)
    return None


@pytest.fixture
def container(make_settings: SettingsMaker, clock: FrozenClock) -> Container:
    """Wired, but never connected: the code is only read."""
    from service.bootstrap import build_container

    return dataclasses.replace(build_container(make_settings()), clock=clock)
