"""The web application: readers' pages, the operators' API, health. Built once per process by the container."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from service import egress
from service.bootstrap import Container, build_container, check_may_serve
from service.usecases import wording
from service.web import errors, health
from service.web.api.routes import router as api
from service.web.api.token_limit import TokenLimit
from service.web.body_limit import BodyLimit
from service.web.cors import OwnOriginsOnly
from service.web.limits import NetworkLimit
from service.web.mail_domains import DnsMailDomains, MailDomains
from service.web.pages import Pages
from service.web.public import routes as public
from service.web.security_headers import SecurityHeaders

STATIC = Path(__file__).parent / "static"


def create_app(container: Container, mail_domains: MailDomains | None = None) -> FastAPI:
    """The application. `mail_domains` says whether a domain takes mail; by default DNS, where settings ask for it."""
    settings = container.settings
    # No redirect for a slash too many: it would lead to whatever host the request named, and RFC 8058 §3.1 forbids any.
    app = FastAPI(title="Milepost", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    furnish(app, container, mail_domains)
    app.include_router(api)
    app.include_router(health.router)
    app.include_router(public.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    errors.install(app)
    # Added last runs first: headers stand on every answer, also on one that refuses a body.
    app.add_middleware(BodyLimit)
    app.add_middleware(OwnOriginsOnly, origins=settings.cors_origins)
    app.add_middleware(SecurityHeaders, https=settings.public_url.startswith("https://"))
    return app


def furnish(app: FastAPI, container: Container, mail_domains: MailDomains | None = None) -> None:
    """Everything that requests find in the application."""
    settings = container.settings
    app.state.container = container
    app.state.pages = Pages(container)
    app.state.network_limit = NetworkLimit(settings.redis_url, settings.signup_network_per_hour, container.keys)
    app.state.token_limit = TokenLimit(settings.redis_url, settings.api_per_minute)
    app.state.mail_domains = (mail_domains or DnsMailDomains()) if settings.signup_check_dns else None


def from_environment() -> FastAPI:
    """What the web server starts (`service.web.app:from_environment`, a factory). Raises ConfigurationError."""
    container = build_container(process="web")
    check_may_serve(container)
    with container.transaction() as tx:
        wording.publish(tx, container.publisher, container.circumstances)
    app = create_app(container)
    app.router.lifespan_context = _serving
    return app


@asynccontextmanager
async def _serving(_: FastAPI) -> AsyncIterator[None]:
    """Told by the server once it is about to answer."""
    egress.start_no_programs()
    yield
