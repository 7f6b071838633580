"""The API as the web serves it, over ASGI, on a real database; everything a test does is rolled back."""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.bootstrap import Container, build_container
from service.domain.words import Role
from service.store.transaction import TransactionFactory
from service.usecases.access import create_token
from tests.conftest import FrozenClock, HintList, SettingsMaker
from tests.web.conftest import furnished_app


class Client:
    """Speaks HTTP to the application without a socket, one request at a time."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.headers: dict[str, str] = {}

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = self.headers | (more.pop("headers", None) or {})

        async def speak() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1") as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(speak())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)


@pytest.fixture
def container(
    make_settings: SettingsMaker, transaction: TransactionFactory, clock: FrozenClock, queue: HintList
) -> Iterator[Container]:
    built = build_container(make_settings())
    yield replace(built, transaction=transaction, clock=clock, queue=queue)
    built.engine.dispose()


@pytest.fixture
def stranger(container: Container) -> Client:
    """A client without a token."""
    return Client(furnished_app(container))


@pytest.fixture
def client(stranger: Client, transaction: TransactionFactory) -> Client:
    """A client with the token named "timetable", which may do what takes no personal data out."""
    with transaction() as tx:
        created = create_token(tx, "timetable", [Role.CAMPAIGN, Role.SIGN_UP])
    stranger.headers["Authorization"] = f"Bearer {created.token}"
    return stranger


Refusal = Callable[..., dict[str, Any]]


@pytest.fixture
def refusal() -> Refusal:
    """Check that an answer is a problem and return it."""

    def check(response: Any, status: int, code: str) -> dict[str, Any]:
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        body: dict[str, Any] = response.json()
        assert (body["status"], body["code"]) == (status, code)
        assert re.search("nothing was|no other was", body["detail"], re.IGNORECASE), body["detail"]
        return body

    return check
