"""The real application over HTTP, on the test's own transaction, with a real Valkey for the network limits."""

import asyncio
import dataclasses
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, select

from service.bootstrap import Container, build_container
from service.demo.servers import Postgres, Valkey
from service.domain.tokens import Keys, Token, TokenKind
from service.store.schema import Signup
from service.store.transaction import TransactionFactory
from service.usecases import subscribing, wording
from service.web.app import create_app, furnish
from tests.conftest import FrozenClock, HintList, SettingsMaker, demo_settings, engine_of, published

_published_in: dict[Engine, tuple[Any, Any]] = {}
"""The publisher whose words a database has already, and the circumstances."""


@pytest.fixture(scope="session")
def shared_engine(
    postgres: Postgres, template: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """With the words of the demo's publisher in it."""
    built = build_container(demo_settings(tmp_path_factory.mktemp("publisher")))
    built.engine.dispose()
    words = built.publisher, built.circumstances
    with published(postgres, template, *words) as (_, app), engine_of(app) as engine:
        _published_in[engine] = words
        yield engine


@pytest.fixture
def container(
    make_settings: SettingsMaker,
    valkey: Valkey,
    shared_engine: Engine,
    transaction: TransactionFactory,
    clock: FrozenClock,
    queue: HintList,
) -> Container:
    return make_container(make_settings(redis_url=valkey.url), shared_engine, transaction, clock, queue)


def make_container(settings: Any, engine: Engine, transaction: Any, clock: Any, queue: Any) -> Container:
    """The product's container with the test's database, clock and queue in place of its own."""
    built = build_container(settings)
    built.engine.dispose()
    built = dataclasses.replace(built, clock=clock, queue=queue, engine=engine, transaction=transaction)
    if _published_in.get(engine) != (built.publisher, built.circumstances):
        with transaction() as tx:
            wording.publish(tx, built.publisher, built.circumstances)
    return built


_apps: dict[tuple[bool, tuple[str, ...]], FastAPI] = {}
"""By what they are built of."""


def furnished_app(container: Container) -> FastAPI:
    """The application, built once: FastAPI works out its routes again in each new one."""
    built_of = container.settings.public_url.startswith("https://"), container.settings.cors_origins
    if (built := _apps.get(built_of)) is None:
        built = _apps[built_of] = create_app(container)
    else:
        furnish(built, container)
    return built


@pytest.fixture
def app(container: Container) -> FastAPI:
    return furnished_app(container)


class InProcess(httpx.BaseTransport):
    """The application answers in this process, each request in an event loop of its own."""

    def __init__(self, app: FastAPI, ip: str) -> None:
        self.app, self.ip = app, ip

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())

        async def ask() -> httpx.Response:
            inner = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(self.ip, 50000))
            answer = await inner.handle_async_request(asked)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return asyncio.run(ask())


def make_client(app: FastAPI, ip: str = "testclient") -> httpx.Client:
    """A client whose network is `ip`; without one its network is unknown and so not limited."""
    return httpx.Client(transport=InProcess(app, ip), base_url="http://localhost:8025")


@pytest.fixture
def client(app: FastAPI) -> Iterator[httpx.Client]:
    with make_client(app) as client:
        yield client


@pytest.fixture
def keys(container: Container) -> Keys:
    return container.keys


ANNA = {
    "form": "hub",
    "language": "en",
    "address": "anna@fjellsko.example",
    "purposes": ["digest"],
    "topics": ["running", "gear"],
}


class Reader:
    """What a person does in a browser: open the form, take time, send it, follow links, press buttons."""

    def __init__(self, client: httpx.Client, container: Container, clock: FrozenClock) -> None:
        self.client, self.container, self.clock = client, container, clock

    def token(self, form: str = "hub", language: str = "en", seconds: float = 5) -> str:
        page = self.client.get(f"/subscribe?form={form}&language={language}").text
        self.clock.advance(seconds=seconds)
        return re.search(r'name="token" value="(\w+)"', page)[1]  # type: ignore[index]

    def sign_up(self, **fields: Any) -> Any:
        values = ANNA | fields
        if "token" not in values:
            values["token"] = self.token(values["form"], values["language"])
        return self.client.post("/subscribe", data=values)

    def process(self) -> int:
        with self.container.transaction() as tx:
            return subscribing.process_signups(tx, self.container.keys.ledger, timedelta(hours=72))

    def confirm(self, address: str = ANNA["address"]) -> Any:  # type: ignore[assignment]
        return self.client.post(f"/confirm/{self.confirmation_token(address)}")

    def confirmation_token(self, address: str = ANNA["address"]) -> str:  # type: ignore[assignment]
        with self.container.transaction() as tx:
            signup_id = tx.session.scalars(
                select(Signup.id).where(Signup.address == address).order_by(Signup.id.desc()).limit(1)
            ).one()
        return self.container.keys.seal(Token(TokenKind.CONFIRM, signup_id))


@pytest.fixture
def reader(client: httpx.Client, container: Container, clock: FrozenClock) -> Reader:
    return Reader(client, container, clock)
